//! What can be typed. The doc comments are the help texts.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use limbeck::device::DeviceName;

/// Distils a classifier without its training data.
///
/// Exit codes: 0 done, 1 the run failed, 2 the input is wrong. Data goes to stdout, everything else to stderr.
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
    Fidelity(StageArgs),
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
    /// The recipe, a TOML file.
    #[arg(value_name = "RECIPE")]
    pub file: PathBuf,
    /// Replace a value of the recipe, such as `--set distill.epochs=20`. Paths are relative to the recipe's folder.
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

#[derive(Debug, Subcommand)]
pub enum BackendCommand {
    /// Say which files of a folder look like plugins, and what is linked in. This runs no plugin's code.
    List(BackendListArgs),
    /// Load a plugin and print its manifest and SHA-256 as JSON. This runs the plugin's code.
    Inspect {
        /// The dynamic library.
        file: PathBuf,
    },
    /// Try a plugin as a run would, and say in words what is wrong with it. This runs the plugin's code.
    Check(BackendCheckArgs),
    /// What a teacher costs through a plugin, beside the same network linked in. The same as `limbeck bench backend`.
    Bench(BenchBackendArgs),
}

#[derive(Debug, Args)]
pub struct BackendListArgs {
    /// Where to look.
    #[arg(default_value = "dist/plugins", value_name = "FOLDER")]
    pub folder: PathBuf,
    /// Print one JSON object on one line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct BackendCheckArgs {
    /// The dynamic library.
    pub file: PathBuf,
    /// The weights that a recipe would name under [teacher].
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// A key of the recipe's `[teacher] config`, such as `--config network=resnet18`.
    #[arg(long, value_name = "KEY=VALUE")]
    pub config: Vec<String>,
    /// Print one JSON object on one line.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub device: DeviceArgs,
}

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Name the policies in a folder, with their roles and what they do.
    List {
        /// Where `cargo xtask build` and `limbeck policy build` put them.
        #[arg(default_value = "dist/policies")]
        folder: PathBuf,
    },
    /// Say what a component is, try it on made-up images, and name every mismatch with its remedy.
    Check {
        /// The component.
        file: PathBuf,
        #[command(flatten)]
        config: PolicyConfigArgs,
    },
    /// Make the folder of a new policy: an example that works, to be changed.
    New {
        /// What it is written in.
        #[arg(long, value_name = "LANGUAGE")]
        lang: PolicyLanguage,
        /// The folder; its last part is the policy's name, such as `my-filter`.
        folder: PathBuf,
    },
    /// Build the policy in a folder with the tools of its language.
    Build {
        #[arg(default_value = ".")]
        folder: PathBuf,
        /// Where the component goes, as NAME.wasm.
        #[arg(long, value_name = "DIR", default_value = "dist/policies")]
        out: PathBuf,
    },
    /// Say what a policy would have kept and weighed in a finished run, beside what the run did. Nothing is drawn or trained.
    Replay {
        /// The component.
        file: PathBuf,
        #[command(flatten)]
        replay: PolicyReplayArgs,
    },
    /// Build a policy and replay it, again whenever its source changes, until it is interrupted.
    Dev {
        /// The policy's folder.
        folder: PathBuf,
        /// Where the component goes, as NAME.wasm.
        #[arg(long, value_name = "DIR", default_value = "dist/policies")]
        out: PathBuf,
        #[command(flatten)]
        replay: PolicyReplayArgs,
    },
}

#[derive(Debug, Args)]
pub struct PolicyReplayArgs {
    /// The directory of a run that `limbeck run` finished.
    pub run: PathBuf,
    #[command(flatten)]
    pub config: PolicyConfigArgs,
    /// How many images to keep: a count such as 500, or a share such as 0.5. Default: as the run.
    #[arg(long, value_name = "COUNT|SHARE")]
    pub keep: Option<String>,
    /// Which round of a run with rounds, from 0. Default: the last.
    #[arg(long)]
    pub round: Option<u32>,
    /// Also write a page with charts and images, which needs nothing else.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct PolicyConfigArgs {
    /// A key of the policy's configuration, such as `--config floor=0.2`; may be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    pub config: Vec<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum PolicyLanguage {
    Rust,
    C,
    Js,
    Python,
}

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// One guided denoiser step of a DiT with random weights.
    Sample(BenchSampleArgs),
    /// One distillation step: teacher forward, student forward and backward, optimiser.
    Distill(BenchDistillArgs),
    /// A teacher's forward pass through a plugin, linked in, and without any plugin, in turns.
    Backend(BenchBackendArgs),
    /// Reading, decoding, randomly cropping and normalising images.
    Input(BenchInputArgs),
    /// One call of a policy on made-up images, in each of its roles: lending columns, running, checking the reply.
    Policy(BenchPolicyArgs),
}

#[derive(Debug, Args)]
pub struct BenchBackendArgs {
    /// The candle classifiers as a dynamic library. Default: the one beside this program, or else in dist/plugins.
    #[arg(long, value_name = "FILE")]
    pub plugin: Option<PathBuf>,
    /// The teacher's network, with random weights.
    #[arg(long, default_value = "resnet18")]
    pub model: String,
    /// Side of the images, which have three channels.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u64).range(8..=1024))]
    pub size: u64,
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub batch: u64,
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(2..=100_000))]
    pub classes: u64,
    /// Turns that are timed, after two that are not.
    #[arg(long, default_value_t = 31, value_parser = clap::value_parser!(u64).range(5..=1_000_000))]
    pub rounds: u64,
    /// Print one JSON object on one line.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub device: DeviceArgs,
}

#[derive(Debug, Args)]
pub struct BenchSampleArgs {
    /// `DiT-S/2`, `DiT-B/4`, ….
    #[arg(long, default_value = "DiT-S/2")]
    pub model: String,
    /// Images; guidance doubles them in the network.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub batch: u64,
    /// Side of the latent image.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u64).range(2..=1024))]
    pub latent_size: u64,
    #[command(flatten)]
    pub common: BenchArgs,
}

#[derive(Debug, Args)]
pub struct BenchDistillArgs {
    /// The teacher's network.
    #[arg(long, default_value = "resnet34")]
    pub teacher: String,
    /// The student's network.
    #[arg(long, default_value = "resnet18")]
    pub student: String,
    /// Images a step.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub batch: u64,
    /// Side of the images, which have three channels.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u64).range(8..=1024))]
    pub image_size: u64,
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(2..=100_000))]
    pub classes: u64,
    #[command(flatten)]
    pub common: BenchArgs,
}

#[derive(Debug, Args)]
pub struct BenchInputArgs {
    /// A folder with one folder of images a class.
    #[arg(long, value_name = "DIR")]
    pub images: PathBuf,
    /// Images a batch.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub batch: u64,
    /// Side of the cropped images.
    #[arg(long, default_value_t = 224, value_parser = clap::value_parser!(u64).range(8..=1024))]
    pub image_size: u64,
    /// Threads that load.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=256))]
    pub workers: u64,
    #[command(flatten)]
    pub common: BenchArgs,
}

#[derive(Debug, Args)]
pub struct BenchPolicyArgs {
    /// The component.
    pub file: PathBuf,
    /// Images in a batch, a pool or a round.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub samples: u64,
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(2..=100_000))]
    pub classes: u64,
    /// Images that a selector may keep. Default: a tenth of the samples.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub budget: Option<u64>,
    /// The policy's configuration as JSON.
    #[arg(long, default_value = "{}", value_name = "JSON")]
    pub config: String,
    /// Calls that are timed, after one that is not; the median counts.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub calls: u64,
    /// Units of fuel a call.
    #[arg(long, default_value_t = 1_000_000_000_000)]
    pub fuel: u64,
    /// MiB of memory that it may use.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub memory_mib: u64,
    /// Print one JSON object on one line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Steps that are timed, after one or two that are not; the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub steps: u64,
    /// Print one JSON object on one line.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub device: DeviceArgs,
}
