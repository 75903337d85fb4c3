//! Run directories, whole, foreign, locked and damaged.

use super::*;

fn scratch() -> (tempfile::TempDir, RunDir) {
    let dir = tempfile::tempdir().unwrap();
    let run = RunDir::create(&dir.path().join("run")).unwrap();
    (dir, run)
}

#[test]
fn atomic_writes_replace_and_leave_nothing_else() {
    let (_dir, run) = scratch();
    run.write_atomic("a/b.txt", b"one").unwrap();
    run.write_atomic("a/b.txt", b"two").unwrap();
    let names: Vec<_> = std::fs::read_dir(run.join("a")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["b.txt"]);
    assert_eq!(std::fs::read(run.join("a/b.txt")).unwrap(), b"two");
}

#[test]
fn json_round_trips_and_damage_is_named() {
    let (_dir, run) = scratch();
    assert_eq!(run.read_json::<Vec<u32>>("x.json").unwrap(), None);
    run.write_json("x.json", &[1, 2]).unwrap();
    assert_eq!(run.read_json::<Vec<u32>>("x.json").unwrap(), Some(vec![1, 2]));
    run.write_atomic("x.json", b"[1,").unwrap();
    let error = run.read_json::<Vec<u32>>("x.json").unwrap_err();
    assert!(error.to_string().contains("x.json"), "{error}");
}

#[test]
fn lines_are_appended() {
    let (_dir, run) = scratch();
    run.append_line("m.jsonl", "{}").unwrap();
    run.append_line("m.jsonl", "[]").unwrap();
    assert_eq!(std::fs::read_to_string(run.join("m.jsonl")).unwrap(), "{}\n[]\n");
}

#[test]
fn a_failed_write_names_its_file_once() {
    let (_dir, run) = scratch();
    std::fs::create_dir(run.join("m.jsonl")).unwrap();
    std::fs::write(run.join("m.jsonl/x"), "").unwrap();
    let shown = run.join("m.jsonl").display().to_string();
    for error in [run.append_line("m.jsonl", "{}"), run.write_atomic("m.jsonl", b"")] {
        let message = error.unwrap_err().to_string();
        assert!(message.starts_with(&format!("can't write `{shown}`: ")), "{message}");
        assert_eq!(message.matches("m.jsonl").count(), 1, "{message}");
    }
}

#[test]
fn a_full_disk_is_told_from_a_forbidden_one() {
    let told = |kind: ErrorKind| unwritable(Path::new("x"), &kind.into(), BY_OUT).to_string();
    assert!(told(ErrorKind::StorageFull).ends_with("free some space, or choose another directory with --out"));
    assert!(told(ErrorKind::PermissionDenied).ends_with(": choose another directory with --out"));
}

#[test]
fn opening_writes_nothing() {
    let (_dir, run) = scratch();
    let changed = || std::fs::metadata(run.path()).unwrap().modified().unwrap();
    let before = changed();
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert_eq!(RunDir::open(run.path()).unwrap().path(), run.path());
    assert_eq!(changed(), before, "not even for a moment");
}

#[test]
fn one_writer_at_a_time() {
    let (_dir, run) = scratch();
    let held = run.lock().unwrap();
    assert!(run.lock().unwrap_err().to_string().contains("another limbeck process"));
    drop(held);
    run.lock().unwrap();
}

/// Only who chose the directory with `--out` can choose another.
#[test]
fn remedies_are_those_that_the_command_has() {
    let (_dir, made) = scratch();
    let opened = RunDir::open(made.path()).unwrap();
    let _held = made.lock().unwrap();
    let forbidden = |run: &RunDir| run.write_error(Path::new("x"), ErrorKind::PermissionDenied.into()).to_string();
    for (run, remedy) in
        [(&made, "choose another directory with --out"), (&opened, "copy the directory and name the copy")]
    {
        let locked = run.lock().unwrap_err().to_string();
        assert!(locked.ends_with(&format!(": wait for it, or {remedy}")), "{locked}");
        assert!(forbidden(run).ends_with(&format!(": make it writable, or {remedy}")), "{}", forbidden(run));
    }
}

#[test]
fn trying_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    RunDir::try_out(&dir.path().join("a/b/c")).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    std::fs::create_dir(dir.path().join("kept")).unwrap();
    RunDir::try_out(&dir.path().join("kept")).unwrap();
    assert!(dir.path().join("kept").is_dir());
}

#[test]
fn what_is_not_a_run_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str| std::fs::write(dir.path().join(name), "").unwrap();
    ["lock", ".probe", ".plan.toml.tmp"].into_iter().for_each(put);
    RunDir::try_out(dir.path()).unwrap();
    assert!(!dir.path().join(".probe").exists(), "what a killed process left");
    assert!(RunDir::create(dir.path()).unwrap().is_untouched());
    put("notes.txt");
    let error = RunDir::try_out(dir.path()).unwrap_err();
    assert!(error.to_string().contains("holds other files, such as `notes.txt`"), "{error}");
    assert_eq!(error.exit_code(), 2);
    put("plan.toml");
    RunDir::try_out(dir.path()).unwrap();
    assert!(!RunDir::create(dir.path()).unwrap().is_untouched());
}

#[test]
fn a_file_in_place_of_the_directory_is_wrong_input() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert_eq!(RunDir::create(file.path()).unwrap_err().exit_code(), 2);
    let below = RunDir::create(&file.path().join("run")).unwrap_err();
    assert_eq!(below.exit_code(), 2, "{below}");
    assert_eq!(RunDir::open(&file.path().join("none")).unwrap_err().exit_code(), 2);
}
