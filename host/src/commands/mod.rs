//! One module a command: each reads its input, calls the engine, and says what came out.

mod backend;
mod bench;
mod doctor;

use limbeck::Result;
use limbeck::progress::{Mode, Progress};

use crate::cli::{BackendCommand, Cli, Command};

pub fn dispatch(cli: Cli) -> Result<()> {
    let progress = Progress::new(Mode::detect(cli.quiet));
    match cli.command {
        Command::Backend(BackendCommand::Inspect { file }) => backend::show(&file, &progress),
        Command::Bench(command) => bench::bench(&command, &progress),
        Command::Doctor => doctor::doctor(&progress),
    }
}
