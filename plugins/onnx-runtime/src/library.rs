//! One loaded ONNX Runtime: its functions, and its environment, which all sessions share.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use libloading::Library;
use limbeck_backend::Error;

use super::table::{self, Base, Env, GetBase, Table};

/// What the library itself says about a failing call.
#[derive(Debug)]
pub struct Failure {
    code: i32,
    message: String,
}

impl Failure {
    /// One that the library leaves to its caller to find.
    pub(super) fn ours(message: String) -> Self {
        Self { code: 1, message }
    }

    /// Whether a model's bytes are not even the format that ONNX files are in.
    pub fn is_not_onnx(&self) -> bool {
        const INVALID_PROTOBUF: i32 = 7;
        self.code == INVALID_PROTOBUF || self.message.contains("No graph was found in the protobuf")
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Some messages go on with a stack trace.
        f.write_str(self.message.lines().next().unwrap_or("it gave no reason"))
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Error::new(format!("ONNX Runtime: {failure}"))
    }
}

/// A loaded library, for the rest of the process: its threads and statics outlive any unloading.
pub struct Runtime {
    pub(super) table: Table,
    pub(super) env: *mut Env,
    version: String,
    path: PathBuf,
    _library: Library,
}

// SAFETY: the environment and the functions may be used from any thread, and nothing here changes.
unsafe impl Send for Runtime {}
// SAFETY: as above.
unsafe impl Sync for Runtime {}

impl Runtime {
    /// Loads the library at `path`, or finds it loaded. Fails unless it is an ONNX Runtime of version 1.17 or newer.
    pub fn open(path: &Path) -> Result<&'static Self, Error> {
        static LOADED: Mutex<BTreeMap<PathBuf, &'static Runtime>> = Mutex::new(BTreeMap::new());
        let named = |why: String| Error::new(format!("ONNX Runtime `{}`: {why}", path.display()));
        let path = path.canonicalize().map_err(|why| named(why.to_string()))?;
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = loaded.get(&path) {
            return Ok(runtime);
        }
        let runtime: &'static Self = Box::leak(Box::new(Self::load(&path).map_err(named)?));
        loaded.insert(path, runtime);
        Ok(runtime)
    }

    fn load(path: &Path) -> Result<Self, String> {
        // SAFETY: loading runs the initialisers of a library that the user named or installed as ONNX Runtime.
        let library = unsafe { Library::new(path) }.map_err(loader_message)?;
        // SAFETY: the function of this name has this type in every ONNX Runtime.
        let get_base = unsafe { library.get::<GetBase>("OrtGetApiBase") };
        let get_base = *get_base.map_err(|_| "it is a library, but not ONNX Runtime: it has no `OrtGetApiBase`")?;
        // SAFETY: it takes nothing, and what it returns lives as long as the library.
        let base: &Base = unsafe { get_base().as_ref() }.ok_or("it gives no API")?;
        // SAFETY: by the library's contract a string that is never freed.
        let version = unsafe { text((base.version)()) };
        // SAFETY: any version may be asked for; NULL says that it is not there.
        let api = unsafe { (base.get_api)(table::VERSION) };
        if api.is_null() {
            return Err(format!("version {version} is too old, 1.17 is needed: `pip install --upgrade onnxruntime`"));
        }
        // SAFETY: the library answered with its API of at least this version.
        let table = unsafe { Table::read(api) }.map_err(|name| format!("version {version} has no `{name}`"))?;
        let mut env = std::ptr::null_mut();
        // SAFETY: the name is a C string, and `env` is writable.
        let status = unsafe { (table.CreateEnv)(table::LOG_FATAL, c"limbeck".as_ptr(), &mut env) };
        table.check(status).map_err(|failure| failure.to_string())?;
        Ok(Self { table, env, version, path: path.into(), _library: library })
    }

    /// Such as `1.32.0`.
    pub fn version(&self) -> &str {
        &self.version
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The loader's own words, which stand behind libloading's.
fn loader_message(error: libloading::Error) -> String {
    std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string)
}

impl Table {
    /// Turns a status into a result, and frees it.
    pub(super) fn check(&self, status: table::StatusPtr) -> Result<(), Failure> {
        if status.is_null() {
            return Ok(());
        }
        // SAFETY: not NULL, so a status of this library, which is read before it is released, and released once.
        unsafe {
            let failure = Failure { code: (self.GetErrorCode)(status), message: text((self.GetErrorMessage)(status)) };
            (self.ReleaseStatus)(status);
            Err(failure)
        }
    }
}

/// # Safety
/// `string` is NULL or a C string.
pub(super) unsafe fn text(string: *const c_char) -> String {
    if string.is_null() {
        return String::new();
    }
    // SAFETY: by the caller's promise.
    unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned()
}
