//! Where ONNX Runtime is on this machine: a shared library of the user's own, or the one in the PyPI package.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use limbeck_backend::{Error, Result};

/// Names the library where the recipe does not.
const VARIABLE: &str = "ORT_DYLIB_PATH";

const NAME: &str = if cfg!(target_vendor = "apple") { "libonnxruntime.dylib" } else { "libonnxruntime.so" };
const HOW: &str = "install it with `pip install onnxruntime` and set the `config` key `runtime` to the folder that \
                   `python3 -c \"import onnxruntime; print(onnxruntime.__path__[0])\"` prints, \
                   or the variable ORT_DYLIB_PATH to a libonnxruntime.so of 1.17 or newer";

/// Where libraries are below a prefix; 64-bit ones in the second with Fedora and its like.
const LIBRARIES: [&str; 2] = ["lib", "lib64"];

/// The path of the library: the one the recipe names, the one the environment names, or the first one in the folders where
/// it is usually installed. `beside` is the plugin's folder. Fails with the way to get it.
pub fn find(recipe: Option<&Path>, beside: &Path) -> Result<PathBuf> {
    runtime(recipe, &|name| std::env::var_os(name), beside)
}

fn runtime(recipe: Option<&Path>, variable: &dyn Fn(&str) -> Option<OsString>, beside: &Path) -> Result<PathBuf> {
    if let Some(path) = recipe {
        return named("the `config` key `runtime`", path);
    }
    if let Some(path) = variable(VARIABLE).filter(|path| !path.is_empty()) {
        return named("the variable ORT_DYLIB_PATH", Path::new(&path));
    }
    let usual = usual_folders(variable, beside);
    usual.iter().find_map(|folder| newest_in(folder)).ok_or_else(|| {
        Error::new(format!("it needs ONNX Runtime, which is in none of the {} usual places: {HOW}", usual.len()))
    })
}

/// A library that someone named: the file itself, or a folder with it, such as the one of the Python package.
fn named(by: &str, path: &Path) -> Result<PathBuf> {
    let shown = path.display();
    if !path.is_absolute() {
        return Err(Error::new(format!("{by} is `{shown}`: write the whole path, which begins with `/`")));
    }
    if path.is_file() {
        return Ok(path.into());
    }
    let folders = [path.to_owned(), path.join("capi"), path.join("lib")];
    folders.iter().find_map(|folder| newest_in(folder)).ok_or_else(|| {
        let found = if path.is_dir() { "has no ONNX Runtime in it" } else { "does not exist" };
        Error::new(format!("{by} is `{shown}`, which {found}: {HOW}"))
    })
}

fn usual_folders(variable: &dyn Fn(&str) -> Option<OsString>, beside: &Path) -> Vec<PathBuf> {
    let mut folders = vec![beside.to_owned()];
    let searched = ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"].iter().filter_map(|name| variable(name));
    folders.extend(searched.flat_map(|paths| std::env::split_paths(&paths).collect::<Vec<_>>()));
    let active = ["VIRTUAL_ENV", "CONDA_PREFIX"].iter().filter_map(|name| variable(name)).map(PathBuf::from);
    let own = variable("HOME").map(|home| Path::new(&home).join(".local"));
    let prefixes: Vec<_> =
        active.chain(own).chain(["/usr/local", "/usr", "/opt/homebrew"].map(PathBuf::from)).collect();
    folders.extend(prefixes.iter().flat_map(|prefix| python_packages(prefix)));
    for prefix in prefixes.into_iter().chain([PathBuf::from("/opt/onnxruntime")]) {
        folders.push(prefix.join("lib").join(format!("{}-linux-gnu", std::env::consts::ARCH)));
        folders.extend(LIBRARIES.map(|name| prefix.join(name)));
    }
    folders.retain(|folder| folder.is_absolute());
    folders
}

/// The library's folder in the package of each Python below a prefix, the newest Python first.
fn python_packages(prefix: &Path) -> Vec<PathBuf> {
    let all = LIBRARIES.iter().flat_map(|lib| names_in(&prefix.join(lib)).into_iter().map(move |name| (*lib, name)));
    let mut pythons: Vec<_> = all.filter(|(_, name)| name.starts_with("python3")).collect();
    pythons.sort_by_key(|(_, name)| std::cmp::Reverse(version(name)));
    let package = |lib: &str, python: &str, packages: &str| {
        prefix.join(lib).join(python).join(packages).join("onnxruntime").join("capi")
    };
    let both =
        |(lib, python): &(&str, String)| ["site-packages", "dist-packages"].map(|name| package(lib, python, name));
    pythons.iter().flat_map(both).collect()
}

/// The library of the highest version in a folder.
fn newest_in(folder: &Path) -> Option<PathBuf> {
    let (stem, suffix) = NAME.split_once('.')?;
    // On Linux the version comes last, on macOS before the suffix.
    let is_library = |name: &String| {
        name.strip_prefix(stem).is_some_and(|rest| {
            rest.starts_with('.') && rest.split('.').all(|part| part == suffix || part.chars().all(char::is_numeric))
        }) && name.contains(suffix)
    };
    let name = names_in(folder).into_iter().filter(is_library).max_by_key(|name| version(name))?;
    Some(folder.join(name)).filter(|path| path.is_file())
}

/// The numbers in a file's name: 1.10 is newer than 1.9.
fn version(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(_: &str) -> Option<OsString> {
        None
    }

    /// A folder with empty files in it.
    fn folder(files: &[&str]) -> tempfile::TempDir {
        let made = tempfile::tempdir().unwrap();
        for file in files {
            let path = made.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        made
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_newest_of_a_folder() {
        let others = ["libonnxruntime_providers_shared.so", "libonnxruntime.so.txt", "libonnxruntimes.so.9"];
        assert_eq!(newest_in(folder(&others).path()), None);
        let some = folder(&[&others[..], &["libonnxruntime.so.1.9.0", "libonnxruntime.so.1.32.0"]].concat());
        assert_eq!(newest_in(some.path()), Some(some.path().join("libonnxruntime.so.1.32.0")));
        let plain = folder(&["libonnxruntime.so"]);
        assert_eq!(newest_in(plain.path()), Some(plain.path().join("libonnxruntime.so")));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_recipe_goes_before_the_environment_and_that_before_the_usual_places() {
        let beside = folder(&["libonnxruntime.so"]);
        let package = folder(&["capi/libonnxruntime.so.1.20.0"]);
        let venv = folder(&["lib/python3.9/site-packages/onnxruntime/capi/libonnxruntime.so.1.17.0"]);
        let elsewhere = tempfile::tempdir().unwrap();
        let venv_only = |name: &str| (name == "VIRTUAL_ENV").then(|| venv.path().into());
        let both = |name: &str| if name == VARIABLE { Some(package.path().into()) } else { venv_only(name) };
        let library = package.path().join("capi/libonnxruntime.so.1.20.0");
        let file = beside.path().join("libonnxruntime.so");
        assert_eq!(runtime(Some(&file), &both, elsewhere.path()), Ok(file.clone()));
        assert_eq!(runtime(None, &both, beside.path()), Ok(library));
        assert_eq!(runtime(None, &nothing, beside.path()), Ok(file));
        let found = runtime(None, &venv_only, elsewhere.path()).unwrap();
        assert!(found.starts_with(venv.path()), "{found:?}");
        let lib64 = "lib64/python3.14/site-packages/onnxruntime/capi/libonnxruntime.so.1.20.0";
        let prefix = folder(&[lib64]);
        let own = |name: &str| (name == "CONDA_PREFIX").then(|| prefix.path().into());
        assert_eq!(runtime(None, &own, elsewhere.path()), Ok(prefix.path().join(lib64)));
        assert!(usual_folders(&own, elsewhere.path()).contains(&prefix.path().join("lib64")));
    }

    #[test]
    fn what_is_missing_is_said_with_the_way_to_get_it() {
        let empty = tempfile::tempdir().unwrap();
        for path in [empty.path(), &empty.path().join("absent.so")] {
            let message = runtime(Some(path), &nothing, empty.path()).unwrap_err().to_string();
            assert!(message.contains("the `config` key `runtime` is `"), "{message}");
            assert!(message.contains("pip install onnxruntime"), "{message}");
        }
        let message = runtime(Some(Path::new("libonnxruntime.so")), &nothing, empty.path()).unwrap_err().to_string();
        assert!(message.contains("write the whole path"), "{message}");
    }
}
