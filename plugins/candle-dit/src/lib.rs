//! The denoiser that `limbeck train generator` trains, as a dynamic library.

limbeck_backend::export_backend!(limbeck_candle::CandleDit);
