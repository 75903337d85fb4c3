//! What can be typed. The doc comments are the help texts.

mod backend;
mod bench;
mod policy;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use limbeck::device::DeviceName;

pub use self::backend::{BackendCheckArgs, BackendCommand, BackendListArgs};
pub use self::bench::{
    BenchArgs, BenchBackendArgs, BenchCommand, BenchDistillArgs, BenchInputArgs, BenchPolicyArgs, BenchSampleArgs,
};
pub use self::policy::{PolicyCommand, PolicyLanguage, PolicyReplayArgs};

/// Distils a classifier without its training data.
///
/// Exit codes: 0 done, 1 the run failed, 2 the input is wrong, 130 or 143 interrupted by Ctrl-C or SIGTERM. Data goes to stdout, everything else to stderr.
#[derive(Debug, Parser)]
#[command(name = "limbeck", version, arg_required_else_help = true)]
pub struct Cli {
    /// Print warnings and errors only.
    #[arg(long, short, global = true)]
    pub quiet: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Go the whole way from a recipe to a report; the same command goes on after an interruption.
    Run(RunArgs),
    /// Draw the images of a run.
    Synth(StageArgs),
    /// Grade the images of a run and decide which stay.
    Select(StageArgs),
    /// Train the students of a run.
    Distill(StageArgs),
    /// Count the students' accuracy on real test images.
    Eval(StageArgs),
    /// Write a run's summary.json and report.html.
    Report(StageArgs),
    /// Judge the drawn images: the teacher's accuracy on them and their Fréchet distance to real ones.
    Fidelity(FidelityArgs),
    /// Train a teacher or a generator on real images.
    #[command(subcommand)]
    Train(TrainCommand),
    /// Look at plugins.
    #[command(subcommand)]
    Backend(BackendCommand),
    /// Look at policies.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Measure this machine.
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Say what this machine and this build can do.
    Doctor,
}

#[derive(Debug, Args)]
pub struct DeviceArgs {
    /// Where to compute: `cpu` or `cuda:N`.
    #[arg(long, default_value_t, value_name = "DEVICE")]
    pub device: DeviceName,
}

#[derive(Debug, Args)]
pub struct RecipeArgs {
    /// The recipe, a TOML file; or the plan.toml of an earlier run, to do it again.
    #[arg(value_name = "RECIPE")]
    pub file: PathBuf,
    /// Replace a value of the recipe, such as `--set distill.epochs=20`, or `--set train.epochs=20` of a training; without a
    /// value the key is taken out. Paths are relative to the recipe's folder.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    #[command(flatten)]
    pub device: DeviceArgs,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// The run directory. Default: runs/NAME.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Stop when this stage is done; with [rounds], `synth` and `select` stop in the first of them.
    #[arg(long, value_name = "STAGE", default_value = "report")]
    pub until: Stage,
}

/// The stages of a run, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Stage {
    Synth,
    Select,
    Distill,
    Eval,
    Report,
}

impl Stage {
    /// Its name, as it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Synth => "synth",
            Self::Select => "select",
            Self::Distill => "distill",
            Self::Eval => "eval",
            Self::Report => "report",
        }
    }
}

#[derive(Debug, Args)]
pub struct StageArgs {
    /// The run directory that `limbeck run` made.
    pub run: PathBuf,
    #[command(flatten)]
    pub device: DeviceArgs,
}

#[derive(Debug, Args)]
pub struct FidelityArgs {
    #[command(flatten)]
    pub stage: StageArgs,
    /// Print one JSON object on one line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum TrainCommand {
    /// Train a classifier, to serve as a teacher.
    Classifier(TrainArgs),
    /// Train a class-conditional diffusion model.
    Generator(TrainArgs),
}

#[derive(Debug, Args)]
pub struct TrainArgs {
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// Where weights, metrics and resume points go.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}
