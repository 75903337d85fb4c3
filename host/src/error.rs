//! The one error type of the engine. It knows whose fault it is, because that decides the exit code.

use std::fmt::Display;

/// The result of everything that can fail in the engine.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, in the reader's words, with the remedy where there is one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user's input is wrong: a recipe, a file it names, the output directory. Exit code 2.
    #[error("{0}")]
    Input(String),
    /// The run failed. Exit code 1.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// The user can repair this: name the thing and the remedy.
    pub fn input(message: impl Into<String>) -> Self {
        Self::Input(message.into())
    }

    /// The run can't go on, though the input was right.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }

    /// A training that leads nowhere: `what` shows it.
    pub fn diverged(what: impl Display) -> Self {
        Self::failed(format!("{what}, the training diverged: lower `optimizer.lr`, and begin again in another --out"))
    }

    /// The same error with `what: ` before its message.
    pub fn context(self, what: impl Display) -> Self {
        match self {
            Self::Input(message) => Self::Input(format!("{what}: {message}")),
            Self::Failed(message) => Self::Failed(format!("{what}: {message}")),
        }
    }

    /// 2 when the input is wrong, 1 when the run failed.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Input(_) => 2,
            Self::Failed(_) => 1,
        }
    }
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        // Display of candle's errors appends a backtrace when one was taken; the first line is the reason.
        let shown = error.to_string();
        Self::Failed(shown.lines().next().unwrap_or("unknown tensor error").to_owned())
    }
}

impl From<limbeck_models::Error> for Error {
    fn from(error: limbeck_models::Error) -> Self {
        use limbeck_models::Error as Models;
        match error {
            Models::Tensor(tensor) => tensor.into(),
            // Everything else that a network refuses is a checkpoint or a configuration that the user named.
            other => Self::Input(other.to_string()),
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Adds what was being done to an error on its way up.
pub trait Context<T> {
    /// Prefixes the message with `what: `, keeping the kind of the error.
    fn context(self, what: impl Display) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl Display) -> Result<T> {
        self.map_err(|error| error.into().context(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_keeps_the_kind() {
        let input: Result<()> = Err(Error::input("no such key"));
        let error = input.context("recipe.toml").unwrap_err();
        assert_eq!((error.to_string().as_str(), error.exit_code()), ("recipe.toml: no such key", 2));

        let io: std::io::Result<()> = Err(std::io::Error::other("disk gone"));
        let error = io.context("writing").unwrap_err();
        assert_eq!((error.to_string().as_str(), error.exit_code()), ("writing: disk gone", 1));
    }

    #[test]
    fn a_checkpoint_of_another_network_is_wrong_input() {
        let error = limbeck_models::Error::MissingTensor { name: "fc.weight".into() };
        assert_eq!(Error::from(error).exit_code(), 2);
    }
}
