//! Everything that can be wrong with a policy, each case with the file's name and the remedy.

use std::path::PathBuf;

use super::Found;

/// The result of anything that touches a policy.
pub type Result<T> = std::result::Result<T, PolicyError>;

/// What is wrong with a policy. `policy` is the file as the user named it, `call` the function that the host called.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("policy `{}`: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("policy `{}` {found}", path.display())]
    NotAComponent { path: PathBuf, found: Found },
    #[error("policy `{}` is {bytes} bytes long, and at most {cap} are accepted: build it with `--release` and strip it", path.display())]
    TooLarge { path: PathBuf, bytes: u64, cap: u64 },
    #[error("policy `{}` is damaged, or uses what the sandbox forbids (threads, 64-bit memory, garbage collection, relaxed SIMD): {reason}", path.display())]
    Invalid { path: PathBuf, reason: String },
    #[error("policy `{}` doesn't export `{export}`: {remedy}", path.display())]
    MissingExport { path: PathBuf, export: String, remedy: String },
    #[error("policy `{}` speaks version {found} of the policy interface, this host speaks {}: rebuild it with limbeck-policy {}", path.display(), super::component::VERSION, super::component::VERSION)]
    WrongVersion { path: PathBuf, found: String },
    #[error("policy `{}` is a {found}, and the recipe names it where a {wanted} belongs", path.display())]
    WrongRole { path: PathBuf, wanted: String, found: String },
    #[error("policy `{}` imports `{import}`, which no host gives to a policy: {remedy}", path.display())]
    UnknownImport { path: PathBuf, import: String, remedy: &'static str },
    #[error("policy `{}` doesn't fit the policy interface {}: {reason}; rebuild it against the same version", path.display(), super::component::VERSION)]
    WrongSignature { path: PathBuf, reason: String },

    #[error("policy `{policy}` asks for what this stage can't give: {reason}")]
    BadColumns { policy: String, reason: String },
    #[error("policy `{policy}` refused in `{call}`: {message}")]
    Refused { policy: String, call: &'static str, message: String },

    #[error(
        "policy `{policy}` used up its {budget} units of fuel in `{call}`: it loops for ever, or needs a higher `fuel` under [limits]"
    )]
    OutOfFuel { policy: String, call: &'static str, budget: u64 },
    #[error(
        "policy `{policy}` ran for more than {seconds} s in `{call}`: it hangs, or needs more `seconds` under [limits]"
    )]
    OutOfTime { policy: String, call: &'static str, seconds: f64 },
    #[error(
        "policy `{policy}` wanted {what} in `{call}`, and at most {cap} are allowed: it leaks, or needs more `memory-mib` under [limits]"
    )]
    OutOfMemory { policy: String, call: &'static str, what: String, cap: String },
    #[error("policy `{policy}` ran out of stack in `{call}`: it calls itself without end")]
    OutOfStack { policy: String, call: &'static str },
    #[error(
        "policy `{policy}` tried to use `{what}` in `{call}`: a policy has no files, no network, no processes and no clock"
    )]
    Forbidden { policy: String, call: &'static str, what: String },
    #[error("policy `{policy}` crashed in `{call}`: {message}")]
    Trap { policy: String, call: &'static str, message: String },
    #[error("policy `{policy}` gave a bad reply to `{call}`: {reason}")]
    BadReply { policy: String, call: &'static str, reason: String },
    #[error("policy `{policy}` crashed before and can't be called again (`{call}`): make a new instance")]
    Poisoned { policy: String, call: &'static str },
    #[error("the sandbox of policies can't start: {reason}")]
    Sandbox { reason: String },
}

/// The calls of an instance that come before any work: what they ask for is in the recipe.
const BEFORE_ANY_WORK: [&str; 3] = ["start", "describe", "init"];

impl PolicyError {
    /// Whether the user can repair it in the recipe or by another file (exit code 2), or the run itself went wrong.
    pub fn is_input(&self) -> bool {
        match self {
            Self::Unreadable { .. }
            | Self::NotAComponent { .. }
            | Self::TooLarge { .. }
            | Self::Invalid { .. }
            | Self::MissingExport { .. }
            | Self::WrongVersion { .. }
            | Self::WrongRole { .. }
            | Self::UnknownImport { .. }
            | Self::WrongSignature { .. }
            | Self::BadColumns { .. } => true,
            Self::Refused { call, .. }
            | Self::OutOfFuel { call, .. }
            | Self::OutOfTime { call, .. }
            | Self::OutOfMemory { call, .. } => BEFORE_ANY_WORK.contains(call),
            _ => false,
        }
    }
}

impl From<PolicyError> for crate::Error {
    fn from(error: PolicyError) -> Self {
        if error.is_input() { Self::input(error.to_string()) } else { Self::failed(error.to_string()) }
    }
}
