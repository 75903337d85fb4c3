//! A policy's file: read, checked, compiled once, ready to make instances.

use std::fmt;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{InstancePre, Linker};

use super::state::State;
use super::{PolicyError, Result, Sandbox, contract, imports, sniff, wasi};

/// The version of `limbeck:policy` that this host speaks.
pub const VERSION: &str = "0.1";
/// The longest file accepted: components of the Python toolchain have about 40 MB.
const FILE_CAP: u64 = 100 << 20;

/// What a policy can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Scorer,
    Selector,
    Weigher,
    Planner,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Scorer, Self::Selector, Self::Weigher, Self::Planner];

    /// The name of the interface in `limbeck:policy`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scorer => "scorer",
            Self::Selector => "selector",
            Self::Weigher => "weigher",
            Self::Planner => "planner",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A compiled policy. Cheap to clone; instances are made from it with [`Policy::start`].
#[derive(Clone)]
pub struct Policy {
    pub(super) sandbox: Sandbox,
    pub(super) path: PathBuf,
    sha256: String,
    bytes: u64,
    roles: Vec<Role>,
    imports: Vec<String>,
    pub(super) pre: InstancePre<State>,
}

impl Policy {
    /// Reads, checks and compiles a file. Nothing of it runs yet.
    pub fn open(sandbox: &Sandbox, path: &Path) -> Result<Self> {
        let bytes = read(path)?;
        if let Some(found) = sniff::sniff(&bytes) {
            return Err(PolicyError::NotAComponent { path: path.to_owned(), found });
        }
        Self::compile(sandbox, path, &bytes)
    }

    fn compile(sandbox: &Sandbox, path: &Path, bytes: &[u8]) -> Result<Self> {
        let engine = sandbox.engine();
        let sha256 = crate::hash::sha256_bytes(bytes);
        let component = sandbox
            .compile(bytes, &sha256)
            .map_err(|error| PolicyError::Invalid { path: path.to_owned(), reason: format!("{error:#}") })?;
        let ty = component.component_type();
        let imports: Vec<String> = ty.imports(engine).map(|(name, _)| name.to_owned()).collect();
        let exports: Vec<String> = ty.exports(engine).map(|(name, _)| name.to_owned()).collect();
        for (name, import) in ty.imports(engine) {
            check_import(path, name, &import.ty)?;
        }
        let roles = roles(path, &exports)?;

        let unfit = |error: wasmtime::Error| PolicyError::WrongSignature {
            path: path.to_owned(),
            reason: format!("{error:#}"),
        };
        let mut linker = Linker::new(engine);
        imports::link(&mut linker).map_err(unfit)?;
        wasi::link(&mut linker, &component, engine).map_err(unfit)?;
        let pre = linker.instantiate_pre(&component).map_err(unfit)?;
        check_exports(&pre, &roles).map_err(unfit)?;
        Ok(Self {
            sandbox: sandbox.clone(),
            path: path.to_owned(),
            sha256,
            bytes: bytes.len() as u64,
            roles,
            imports,
            pre,
        })
    }

    /// The file as the user named it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's name without folder and extension, for log lines.
    pub fn stem(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Of the file, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The length of the file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// At least one.
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// The names of the interfaces that it imports.
    pub fn imports(&self) -> &[String] {
        &self.imports
    }

    /// Fails unless the policy plays one of these roles; gives the first that it does.
    pub fn role(&self, wanted: &[Role]) -> Result<Role> {
        let role = wanted.iter().find(|role| self.roles.contains(role)).copied();
        role.ok_or_else(|| PolicyError::WrongRole {
            path: self.path.clone(),
            wanted: wanted.iter().map(|role| role.name()).collect::<Vec<_>>().join(" or a "),
            found: self.roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(" and "),
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let unreadable = |error: std::io::Error| {
        let remedy = if error.kind() == ErrorKind::NotFound {
            ": `limbeck policy list FOLDER` names those in a folder"
        } else {
            ""
        };
        PolicyError::Unreadable { path: path.to_owned(), reason: format!("{error}{remedy}") }
    };
    // Opened without fs-err, whose messages name the path: this error does already.
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let bytes = file.metadata().map_err(unreadable)?.len();
    if bytes > FILE_CAP {
        return Err(PolicyError::TooLarge { path: path.to_owned(), bytes, cap: FILE_CAP });
    }
    let mut content = Vec::new();
    file.take(FILE_CAP).read_to_end(&mut content).map_err(unreadable)?;
    Ok(content)
}

/// `limbeck:policy/scorer@0.1.0` → `scorer`, `0.1.0`.
fn parts(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix("limbeck:policy/")?.split_once('@')
}

fn speaks(version: &str) -> bool {
    version.strip_prefix(VERSION).is_some_and(|rest| rest.starts_with('.'))
}

fn check_import(path: &Path, name: &str, item: &ComponentItem) -> Result<()> {
    let path = path.to_owned();
    let import = name.to_owned();
    if !matches!(item, ComponentItem::ComponentInstance(_)) {
        return Err(PolicyError::UnknownImport {
            path,
            import,
            remedy: "import whole interfaces of `limbeck:policy` only",
        });
    }
    match parts(name) {
        Some((_, version)) if !speaks(version) => Err(PolicyError::WrongVersion { path, found: version.to_owned() }),
        Some(("data" | "host" | "pool-ops", _)) => Ok(()),
        _ if name.starts_with("wasi:") => Ok(()),
        _ => Err(PolicyError::UnknownImport {
            path,
            import,
            remedy: "only `data`, `pool-ops` and `host` of `limbeck:policy` and WASI (which gives nothing) are there",
        }),
    }
}

fn roles(path: &Path, exports: &[String]) -> Result<Vec<Role>> {
    let ours: Vec<(&str, &str)> = exports.iter().filter_map(|name| parts(name)).collect();
    if let Some((_, version)) = ours.iter().find(|(_, version)| !speaks(version)) {
        return Err(PolicyError::WrongVersion { path: path.to_owned(), found: (*version).to_owned() });
    }
    let missing = |export: &str, remedy: &str| PolicyError::MissingExport {
        path: path.to_owned(),
        export: export.to_owned(),
        remedy: remedy.to_owned(),
    };
    let exported = |wanted: &str| ours.iter().any(|(interface, _)| *interface == wanted);
    let roles: Vec<Role> = Role::ALL.into_iter().filter(|role| exported(role.name())).collect();
    match (exported("lifecycle"), roles.is_empty()) {
        (true, false) => Ok(roles),
        (true, true) => Err(missing(
            "limbeck:policy/scorer",
            "nor selector, weigher or planner: end the source with one of the `export_…!` macros of limbeck-policy",
        )),
        (false, false) => {
            Err(missing("limbeck:policy/lifecycle", "every policy needs it; limbeck-policy's macros add it"))
        }
        (false, true) => Err(missing(
            "limbeck:policy/lifecycle",
            "it is a component of another kind, or its macro `export_scorer!`, `export_selector!` or `export_weigher!` is missing",
        )),
    }
}

/// That what is exported has the right functions.
fn check_exports(pre: &InstancePre<State>, roles: &[Role]) -> wasmtime::Result<()> {
    contract::lifecycle::GuestIndices::new(pre)?;
    for role in roles {
        match role {
            Role::Scorer => {
                contract::scorer::GuestIndices::new(pre)?;
            }
            Role::Selector => {
                contract::selector::GuestIndices::new(pre)?;
            }
            Role::Weigher => {
                contract::weigher::GuestIndices::new(pre)?;
            }
            Role::Planner => {
                contract::planner::GuestIndices::new(pre)?;
            }
        }
    }
    Ok(())
}
