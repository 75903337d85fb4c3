//! `limbeck backend`: looking at plugins.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{BenchBackendArgs, DeviceArgs};

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
