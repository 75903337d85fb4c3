//! A new policy from the templates: the same example in every language.

use std::path::Path;

use fs_err as fs;

use super::{Language, sdk};
use crate::{Error, Result};

macro_rules! template {
    ($file:literal) => {
        include_str!(concat!("../../templates/", $file))
    };
}

/// The contract, for languages whose tools read it.
const CONTRACT: &str = include_str!("../../../plugin-api/policy/wit/0.1.0/policy.wit");

const WIT: [(&str, &str); 2] =
    [("wit/world.wit", template!("wit/world.wit")), ("wit/deps/limbeck-policy/policy.wit", CONTRACT)];

/// Files that a folder starts with; `{name}` in them is the policy's name.
fn files(language: Language) -> Vec<(String, String)> {
    let own: &[(&str, &str)] = match language {
        Language::Rust => &[
            ("Cargo.toml", template!("rust/Cargo.toml")),
            ("src/lib.rs", template!("rust/src/lib.rs")),
            (".gitignore", "/target\n/dist\n"),
        ],
        Language::C => &[
            ("policy.c", template!("c/policy.c")),
            ("limbeck_policy.h", template!("c/limbeck_policy.h")),
            (".gitignore", "/dist\n"),
        ],
        Language::JavaScript => &[
            ("package.json", template!("js/package.json")),
            ("policy.js", template!("js/policy.js")),
            (".gitignore", "/node_modules\n/dist\n"),
        ],
        Language::Python => &[
            ("policy.py", template!("python/policy.py")),
            ("requirements.txt", template!("python/requirements.txt")),
            (".gitignore", "/.venv\n/dist\n__pycache__/\n"),
        ],
    };
    let owned = |&(path, text): &(&str, &str)| (path.to_owned(), text.to_owned());
    let own = own.iter().map(owned);
    match language {
        Language::Rust => own.chain(sdk::files()).collect(),
        _ => own.chain(WIT.iter().map(owned)).collect(),
    }
}

/// Makes the folder of a new policy, named like the folder. Refused where something is already.
pub fn create(language: Language, folder: &Path) -> Result<()> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    check_name(name)?;
    let mut entries = std::fs::read_dir(folder).into_iter().flatten();
    if folder.is_file() || entries.next().is_some() {
        return Err(Error::input(format!("`{}` is there already: choose another name", folder.display())));
    }
    let write = |(path, text): (String, String)| {
        let file = folder.join(&path);
        // The SDK is ours and has braces of its own.
        let text = if path.starts_with("sdk/") { text } else { text.replace("{name}", name) };
        file.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(file, text)
    };
    files(language).into_iter().try_for_each(write).map_err(|error| Error::input(error.to_string()))
}

/// Names go into recipes, crates, npm packages and file names.
fn check_name(name: &str) -> Result<()> {
    let letters = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let ends = name.starts_with(|first: char| first.is_ascii_lowercase()) && !name.ends_with('-');
    let ours = ["limbeck-policy", "limbeck-pool-ops", "serde"].contains(&name);
    if letters && ends && name.len() <= 64 && !ours {
        return Ok(());
    }
    Err(Error::input(format!(
        "`{name}` can't be the name of a policy: take small letters, digits and hyphens, a letter first, such as `my-filter`"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_gets_its_files_with_the_name_in_them() {
        for language in Language::ALL {
            let dir = tempfile::tempdir().unwrap();
            let folder = dir.path().join("my-filter");
            create(language, &folder).unwrap();
            assert_eq!(Language::of(&folder).unwrap(), language);
            let own = std::fs::read_to_string(folder.join(language.mark())).unwrap();
            assert!(own.contains("my-filter") && !own.contains("{name}"), "{own}");
            let error = create(language, &folder).unwrap_err();
            assert_eq!((error.exit_code(), error.to_string().contains("there already")), (2, true));
        }
    }

    #[test]
    fn names_are_plain() {
        for good in ["a", "my-filter", "k9"] {
            check_name(good).unwrap();
        }
        for bad in ["", "My", "9k", "a-", "a_b", "a/b", "é", "limbeck-policy", &"a".repeat(65)] {
            assert_eq!(check_name(bad).unwrap_err().exit_code(), 2, "{bad}");
        }
    }

    #[test]
    fn a_folder_of_something_else_is_none_of_a_policy() {
        let dir = tempfile::tempdir().unwrap();
        let error = Language::of(dir.path()).unwrap_err();
        assert!(error.to_string().contains("limbeck policy new"), "{error}");
    }
}
