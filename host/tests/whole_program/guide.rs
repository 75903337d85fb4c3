//! The guide for writers of policies: every command of `docs/writing-a-policy.md` works as it stands.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{LIMBECK, json, root};

/// The commands of the guide, in their order.
fn commands() -> String {
    let guide = std::fs::read_to_string(root().join("docs/writing-a-policy.md")).unwrap();
    let blocks = guide.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    blocks.collect()
}

/// A folder that looks like a clone after `cargo xtask build`.
fn clone(to: &Path) {
    let copy = |folder: &str| {
        std::fs::create_dir_all(to.join(folder)).unwrap();
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let from = entry.unwrap().path();
            std::fs::copy(&from, to.join(folder).join(from.file_name().unwrap())).unwrap();
        }
    };
    ["recipes", "dist/plugins", "dist/policies"].into_iter().for_each(copy);
    std::os::unix::fs::symlink(root().join("assets"), to.join("assets")).unwrap();
}

/// Policies are built where others of the same dependencies are.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from).join("policy-template")
}

fn command(program: &str, place: &Path) -> Command {
    let mut command = Command::new(program);
    let programs = Path::new(LIMBECK).parent().unwrap().display();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap_or_default());
    command.current_dir(place).env("PATH", path).env("CARGO_TARGET_DIR", target());
    command
}

#[test]
#[cfg(unix)]
fn every_command_of_the_guide_works() {
    let place = tempfile::tempdir().unwrap();
    clone(place.path());
    let commands = commands();
    assert!(commands.lines().filter(|line| line.starts_with("limbeck ")).count() > 10, "{commands}");
    // It goes on until it is interrupted: `develop` runs it.
    let (endless, finite): (Vec<_>, Vec<_>) =
        commands.lines().partition(|line| line.starts_with("limbeck policy dev "));
    let [endless] = endless[..] else { panic!("{endless:?}") };

    let script = format!("set -eux\n{}", finite.join("\n"));
    let output = command("bash", place.path()).arg("-c").arg(script).output().expect("bash");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("kept by both"), "{said}");
    let page = std::fs::read_to_string(place.path().join("replay.html")).unwrap();
    assert!(page.contains("Kept now") && page.contains("<svg") && !page.contains("<script"));

    // The run was another one: its own policy decided, with the configuration that was given.
    let (first, mine) = (place.path().join("runs/first"), place.path().join("runs/mine"));
    let kept = |run: &Path| json(run, "subset/round-000.json")["kept"].clone();
    assert_ne!(kept(&first), kept(&mine));
    assert_eq!(json(&mine, "subset/round-000.json")["policy"]["name"], "my-filter");
    assert_eq!(json(&mine, "weights/synthetic-seed-0.json")["policy"]["name"], "my-filter");
    replays_the_policy_of_the_run(place.path());
    develop(place.path(), endless);
}

/// The run's own policy on the run's own columns changes nothing.
fn replays_the_policy_of_the_run(place: &Path) {
    for (run, policy) in [("runs/first", "teacher-filter"), ("runs/mine", "my-filter")] {
        let file = format!("dist/policies/{policy}.wasm");
        let output = command(LIMBECK, place).args(["policy", "replay", &file, run]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains(", 0 by the run only, 0 now only,"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// `limbeck policy dev`: a change of the source is built and replayed.
fn develop(place: &Path, line: &str) {
    let mut command = command(LIMBECK, place);
    command.args(line.split_whitespace().skip(1)).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("limbeck starts");
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut until = |end: &str| {
        let mut said = String::new();
        for line in lines.by_ref().map_while(Result::ok) {
            said += &line;
            said.push('\n');
            if line.contains(end) {
                return said;
            }
        }
        panic!("it ended before it said `{end}`: {said}");
    };
    until("waiting for a change");
    let source = place.join("my-filter/src/lib.rs");
    let text = std::fs::read_to_string(&source).unwrap();
    std::fs::write(&source, text.replace("impl Scorer", "impl Scorrer")).unwrap();
    let said = until("waiting for a change");
    assert!(said.contains("Scorrer"), "{said}");
    std::fs::write(&source, text).unwrap();
    let said = until("waiting for a change");
    assert!(!said.contains("error"), "{said}");
    child.kill().unwrap();
    child.wait().unwrap();
}
