//! The command line. Errors become one line on stderr and an exit code: 1 the run failed, 2 the input is wrong.

mod cli;
mod commands;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: limbeck_models::process::Aligned = limbeck_models::process::Aligned;

fn main() -> ExitCode {
    limbeck_models::process::prepare();
    let cli = cli::Cli::parse();
    std::panic::set_hook(Box::new(report_panic));
    match catch_unwind(AssertUnwindSafe(|| commands::dispatch(cli))) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
        // The hook has said it already.
        Err(_) => ExitCode::FAILURE,
    }
}

/// A panic is a bug of ours: one line that says where, and the backtrace only for who asks for it.
fn report_panic(info: &std::panic::PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or("unknown").replace('\n', " ");
    let place = info.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
    eprintln!("error: internal fault{place}: {message} (a bug of limbeck; finished work is kept)");
    if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
        eprintln!("{}", std::backtrace::Backtrace::force_capture());
    }
}
