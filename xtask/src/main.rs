//! The chores of this repository: `cargo xtask demo` runs the main job, `cargo xtask test` passes the tests.

mod build;
mod check;
mod demo;
mod shell;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use shell::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "The chores of this repository")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Build host, plugins and policies; plugins and policies go to dist/.
    Build {
        /// More arguments of `cargo build`, such as `--features cuda`.
        #[arg(last = true)]
        more: Vec<String>,
    },
    /// Build, then distil a student from the generator of handwritten digits, and say where the report is.
    Demo {
        /// More arguments of `limbeck run`, such as `--set distill.epochs=5`.
        #[arg(last = true)]
        more: Vec<String>,
    },
    /// Build, then run every test.
    Test {
        /// More arguments of `cargo test`, such as the name of a test.
        #[arg(last = true)]
        more: Vec<String>,
    },
    /// All that must pass before a change is merged: test, fmt, clippy, doc.
    Ci,
    /// Check that the workspace and its tests build with CUDA, and with cuDNN. Needs a CUDA toolkit, but no GPU.
    CudaCheck,
}

fn main() -> ExitCode {
    match run(Cli::parse().chore) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(chore: Chore) -> Result<()> {
    let workspace = Workspace::find()?;
    match chore {
        Chore::Build { more } => build::build(&workspace, &more).map(|_| ()),
        Chore::Demo { more } => demo::demo(&workspace, &more),
        Chore::Test { more } => check::test(&workspace, &more),
        Chore::Ci => check::ci(&workspace),
        Chore::CudaCheck => check::cuda(&workspace),
    }
}
