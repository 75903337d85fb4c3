//! `limbeck policy`: looking at policies, making and trying them.

use std::path::PathBuf;

use clap::{Args, Subcommand};

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
