//! What can go wrong with a network or its weights, in the reader's words.

/// The result of anything that touches a network.
pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the checkpoint has no tensor `{name}`: it is incomplete, or of another architecture")]
    MissingTensor { name: String },
    #[error(
        "tensor `{name}` has shape {found:?}, the network needs {expected:?}: the checkpoint is of another architecture, or of \
         other classes, channels or image size"
    )]
    WrongShape { name: String, expected: Vec<usize>, found: Vec<usize> },
    #[error("`{path}` is not a readable safetensors file: {reason}")]
    BadCheckpoint { path: String, reason: String },
    #[error("`{path}` can't be read as a file of PyTorch's: {reason}")]
    BadTorchFile { path: String, reason: String },
    #[error(
        "`{path}` holds {value} in tensor `{tensor}`: it is damaged, or of a training that diverged: name another file"
    )]
    NotFinite { path: String, tensor: String, value: f64 },
    #[error("`{path}`: {source}")]
    Io { path: String, source: std::io::Error },
    #[error("{0}")]
    Config(String),
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl Error {
    /// What is wrong with a file, for those who name it and the remedy themselves.
    pub fn reason(&self) -> String {
        match self {
            Self::BadCheckpoint { reason, .. } => format!("not a readable safetensors file: {reason}"),
            Self::NotFinite { tensor, value, .. } => format!("{value} in tensor `{tensor}`"),
            Self::Io { source, .. } => source.to_string(),
            other => other.to_string(),
        }
    }
}
