//! The source folder of a policy: made by `limbeck policy new`, turned into a component by `limbeck policy build`.

mod build;
mod create;
mod sdk;
mod watch;

use std::fmt;
use std::path::Path;

pub use build::build;
pub use create::create;
pub use watch::Watch;

use crate::{Error, Result};

/// What a policy is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Rust,
    C,
    JavaScript,
    Python,
}

impl Language {
    pub const ALL: [Self; 4] = [Self::Rust, Self::C, Self::JavaScript, Self::Python];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::C => "c",
            Self::JavaScript => "js",
            Self::Python => "python",
        }
    }

    /// The file by which a folder is known to be in this language.
    fn mark(self) -> &'static str {
        match self {
            Self::Rust => "Cargo.toml",
            Self::C => "policy.c",
            Self::JavaScript => "package.json",
            Self::Python => "policy.py",
        }
    }

    /// The language of a folder.
    pub fn of(folder: &Path) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|language| folder.join(language.mark()).is_file());
        found.ok_or_else(|| {
            let marks = Self::ALL.map(Self::mark).join(", ");
            Error::input(format!(
                "`{}` is no folder of a policy, it has none of {marks}: make one with `limbeck policy new`",
                folder.display()
            ))
        })
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
