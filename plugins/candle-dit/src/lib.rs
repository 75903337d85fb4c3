//! The denoiser that `limbeck train generator` trains, as a dynamic library.

#[global_allocator]
static ALLOCATOR: limbeck_models::process::Aligned = limbeck_models::process::Aligned;

limbeck_backend::export_backend!(limbeck_candle::CandleDit);
