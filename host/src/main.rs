//! The command line. Errors become one line on stderr and an exit code: 1 the run failed, 2 the input is wrong.

mod cli;
mod commands;

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: limbeck_models::process::Aligned = limbeck_models::process::Aligned;

fn main() -> ExitCode {
    limbeck_models::process::prepare();
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(asked) => return explain(&asked),
    };
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

/// What clap has to say: help and version on stdout, or what was typed wrong on stderr.
fn explain(asked: &clap::Error) -> ExitCode {
    let printed = asked.print().and_then(|()| std::io::stdout().flush());
    match limbeck::progress::tolerate_closed(printed) {
        Ok(()) => ExitCode::from(u8::try_from(asked.exit_code()).unwrap_or(2)),
        Err(error) => {
            eprintln!("error: can't write: {error}");
            ExitCode::FAILURE
        }
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
