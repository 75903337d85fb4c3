//! What can be typed. The doc comments are the help texts.

use clap::{Parser, Subcommand};

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
    /// Say what this machine and this build can do.
    Doctor,
}
