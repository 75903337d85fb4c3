//! One module a command: each reads its input, calls the engine, and says what came out.

mod doctor;

use limbeck::Result;
use limbeck::progress::{Mode, Progress};

use crate::cli::{Cli, Command};

pub fn dispatch(cli: Cli) -> Result<()> {
    let progress = Progress::new(Mode::detect(cli.quiet));
    match cli.command {
        Command::Doctor => doctor::doctor(&progress),
    }
}
