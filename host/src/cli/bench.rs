//! `limbeck bench`: what is measured, and at which sizes.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::DeviceArgs;

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
    /// Turns that are timed, after two that are not; at least 5.
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
