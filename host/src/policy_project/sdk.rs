//! The SDK for policies in Rust, carried along so that a new policy builds anywhere without a clone of this repository.

use toml::{Table, Value};

macro_rules! sources {
    ($package:literal in $folder:literal: $($file:literal),* $(,)?) => {
        &[$((
            concat!("sdk/", $package, "/", $file),
            include_str!(concat!("../../../plugin-api/", $folder, "/", $file)),
        )),*]
    };
}

const WORKSPACE: &str = include_str!("../../../Cargo.toml");
const POLICY: &[(&str, &str)] = sources!("limbeck-policy" in "policy":
    "Cargo.toml",
    "src/batch.rs",
    "src/bindings.rs",
    "src/column.rs",
    "src/export.rs",
    "src/guest.rs",
    "src/host_native.rs",
    "src/host_wasm.rs",
    "src/lib.rs",
    "src/math.rs",
    "src/memory.rs",
    "src/options.rs",
    "src/plan.rs",
    "src/role.rs",
    "src/share.rs",
    "src/table.rs",
    "wit/0.1.0/policy.wit",
);
const POOL_OPS: &[(&str, &str)] = sources!("limbeck-pool-ops" in "pool-ops":
    "Cargo.toml",
    "src/distance.rs",
    "src/facility_location.rs",
    "src/herding.rs",
    "src/k_centre.rs",
    "src/lib.rs",
    "src/neighbours.rs",
    "src/points.rs",
    "src/quota.rs",
);

/// The files of the SDK and of what it needs of this repository, below `sdk/`, and the versions of everything else that
/// this build was tested with.
pub fn files() -> impl Iterator<Item = (String, String)> {
    let sources = POLICY.iter().chain(POOL_OPS).map(|&(path, text)| {
        let text = if path.ends_with("Cargo.toml") { stand_alone(text) } else { text.to_owned() };
        (path.to_owned(), text)
    });
    sources.chain([("Cargo.lock".to_owned(), include_str!("../../../Cargo.lock").to_owned())])
}

/// A manifest without what it takes from the workspace around it.
fn stand_alone(manifest: &str) -> String {
    // Both are manifests that cargo built this program from; a test reads the outcome.
    let mut manifest: Table = manifest.parse().unwrap_or_default();
    let workspace: Table = WORKSPACE.parse().unwrap_or_default();
    let of_workspace = |part: &str| workspace.get("workspace").and_then(|table| table.get(part)?.as_table());
    manifest.remove("lints");
    manifest.remove("dev-dependencies");
    if let Some(package) = manifest.get_mut("package").and_then(Value::as_table_mut) {
        inherit(package, of_workspace("package"));
    }
    let dependencies = of_workspace("dependencies");
    let inherit_dependencies = |table: &mut Table| {
        if let Some(own) = table.get_mut("dependencies").and_then(Value::as_table_mut) {
            inherit(own, dependencies);
            own.iter_mut().for_each(|(name, value)| beside(name, value));
        }
    };
    inherit_dependencies(&mut manifest);
    let targets = manifest.get_mut("target").and_then(Value::as_table_mut);
    targets.into_iter().flat_map(|targets| targets.iter_mut()).for_each(|(_, target)| {
        if let Some(target) = target.as_table_mut() {
            inherit_dependencies(target);
        }
    });
    manifest.to_string()
}

/// Replaces `key.workspace = true` by what the workspace says.
fn inherit(table: &mut Table, workspace: Option<&Table>) {
    for (key, value) in table.iter_mut() {
        let inherits = value.get("workspace").is_some();
        if let Some(theirs) = workspace.and_then(|workspace| workspace.get(key)).filter(|_| inherits) {
            *value = theirs.clone();
        }
    }
}

/// Packages of this repository stand beside each other.
fn beside(name: &str, dependency: &mut Value) {
    if let Some(path) = dependency.get_mut("path") {
        *path = Value::String(format!("../{name}"));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn no_source_is_forgotten() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("plugin-api");
        for (folder, package, carried) in
            [("policy", "limbeck-policy", POLICY), ("pool-ops", "limbeck-pool-ops", POOL_OPS)]
        {
            let there: BTreeSet<String> = std::fs::read_dir(root.join(folder).join("src"))
                .unwrap()
                .map(|entry| format!("sdk/{package}/src/{}", entry.unwrap().file_name().to_string_lossy()))
                .collect();
            let carried: BTreeSet<String> =
                carried.iter().map(|(path, _)| (*path).to_owned()).filter(|path| path.contains("/src/")).collect();
            assert_eq!(there, carried);
        }
    }

    #[test]
    fn manifests_stand_alone() {
        for (path, text) in files().filter(|(path, _)| path.ends_with("Cargo.toml")) {
            let manifest: Table = text.parse().unwrap();
            assert!(!text.contains("workspace"), "{path}: {text}");
            assert_eq!(manifest["package"]["version"].as_str(), Some(env!("CARGO_PKG_VERSION")));
            assert!(manifest["dependencies"].as_table().is_some_and(|table| !table.is_empty()));
        }
        let policy = files().find(|(path, _)| path == "sdk/limbeck-policy/Cargo.toml").unwrap().1;
        assert!(policy.contains("path = \"../limbeck-pool-ops\""), "{policy}");
    }
}
