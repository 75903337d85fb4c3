//! The operations under the networks: fast on the CPU, candle's own on other devices, one gradient for both.
