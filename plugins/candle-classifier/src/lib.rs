//! Teachers whose networks Limbeck has itself, as a dynamic library.

limbeck_backend::export_backend!(limbeck_candle::CandleClassifier);
