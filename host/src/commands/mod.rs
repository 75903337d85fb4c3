//! One module a command: each reads its input, calls the engine, and says what came out.

mod backend;
mod bench;
mod bench_backend;
mod bench_policy;
mod doctor;
mod kept;
mod planned;
mod policy;
mod preflight;
mod run;
mod train;

use limbeck::backend::watch_plugins;
use limbeck::progress::{Mode, Progress};
use limbeck::{Result, interrupt};

use crate::cli::{Cli, Command, Stage};

pub fn dispatch(cli: Cli) -> Result<()> {
    let progress = Progress::new(Mode::detect(cli.quiet));
    let _watch = watch_plugins(&progress);
    carry_out(cli.command, &progress)?;
    progress.written()
}

fn carry_out(command: Command, progress: &Progress) -> Result<()> {
    if goes_on(&command) {
        interrupt::watch(progress)?;
    }
    match command {
        Command::Run(args) => run::run(&args, progress),
        Command::Synth(args) => run::stage(Stage::Synth, &args, progress),
        Command::Select(args) => run::stage(Stage::Select, &args, progress),
        Command::Distill(args) => run::stage(Stage::Distill, &args, progress),
        Command::Eval(args) => run::stage(Stage::Eval, &args, progress),
        Command::Report(args) => run::stage(Stage::Report, &args, progress),
        Command::Fidelity(args) => run::fidelity(&args, progress),
        Command::Train(command) => train::train(&command, progress),
        Command::Backend(command) => backend::backend(&command, progress),
        Command::Policy(command) => policy::policy(&command, progress),
        Command::Bench(command) => bench::bench(&command, progress),
        Command::Doctor => doctor::doctor(progress),
    }
}

/// Whether the same command, given again, takes up what an interrupted one has left.
fn goes_on(command: &Command) -> bool {
    match command {
        Command::Run(_) | Command::Train(_) => true,
        Command::Synth(_) | Command::Select(_) | Command::Distill(_) | Command::Eval(_) | Command::Report(_) => true,
        Command::Fidelity(_) | Command::Backend(_) | Command::Policy(_) | Command::Bench(_) | Command::Doctor => false,
    }
}
