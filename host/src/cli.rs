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
    /// Look at plugins.
    #[command(subcommand)]
    Backend(BackendCommand),
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

#[derive(Debug, Subcommand)]
pub enum BackendCommand {
    /// Load a plugin and print its manifest and SHA-256 as JSON. This runs the plugin's code.
    Inspect {
        /// The dynamic library.
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// One guided denoiser step of a DiT with random weights.
    Sample(BenchSampleArgs),
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
