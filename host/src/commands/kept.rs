//! A run directory with its plan: made by the first command, taken up by every later one.

use std::path::Path;

use limbeck::plan::{Document, verify_inputs};
use limbeck::progress::Progress;
use limbeck::run_dir::{PLAN, RunDir, RunLock};
use limbeck::{Error, Result};

/// A run that this process alone may write, or that it only reads.
pub struct Kept<P> {
    pub plan: P,
    pub run: RunDir,
    _lock: Option<RunLock>,
}

impl<P: Document> Kept<P> {
    /// Starts the run of `plan` in the directory `out`, or takes up what is there if it was made from the same plan. Where all
    /// that was done so far does not depend on the difference, the new plan takes the place of the old one.
    pub fn begin(plan: P, out: &Path) -> Result<Self> {
        let run = RunDir::create(out)?;
        let lock = run.lock()?;
        match read::<P>(&run.join(PLAN), "choose another directory with --out")? {
            Some(old) if !run.is_untouched() => {
                let keys = plan.differences(&old)?;
                let of_students = keys.iter().all(|key| plan.is_of_students(key) && old.is_of_students(key));
                let of_more = keys.iter().all(|key| plan.is_of_more(key));
                if !of_more && (!of_students || STUDENTS.iter().any(|name| run.join(name).exists())) {
                    let keys: Vec<_> = keys.iter().map(|key| P::in_recipe(key)).collect();
                    refuse_differences(&keys, of_students, out)?;
                }
                if !keys.is_empty() {
                    run.write_atomic(PLAN, plan.to_toml()?.as_bytes())?;
                }
            }
            _ => run.write_atomic(PLAN, plan.to_toml()?.as_bytes())?,
        }
        Ok(Self { plan, run, _lock: Some(lock) })
    }

    /// Says where the work is kept.
    pub fn tell(&self, progress: &Progress) {
        progress.note(format_args!(
            "in {}; once interrupted, the same command goes on from there",
            self.run.path().display()
        ));
    }

    /// Takes up the run in the directory `root`, after checking that its input files are still the same.
    pub fn open(root: &Path) -> Result<Self> {
        let run = RunDir::open(root)?;
        // What is no run is left as it is, without a lock.
        planned::<P>(&run)?;
        let lock = run.lock()?;
        Self::taken_up(run, Some(lock))
    }

    /// The same only to read it: it may be where nobody can write, and another process may go on with it.
    pub fn read(root: &Path) -> Result<Self> {
        Self::taken_up(RunDir::open(root)?, None)
    }

    fn taken_up(run: RunDir, lock: Option<RunLock>) -> Result<Self> {
        let plan = planned::<P>(&run)?;
        verify_inputs(plan.inputs())?;
        Ok(Self { plan, run, _lock: lock })
    }
}

/// The plan of a run that is there.
fn planned<P: Document>(run: &RunDir) -> Result<P> {
    const REMEDY: &str = "give the directory that `limbeck run` wrote";
    let missing = || Error::input(format!("`{}` has no {PLAN}: {REMEDY}", run.path().display()));
    read(&run.join(PLAN), REMEDY)?.ok_or_else(missing)
}

/// The plan in a file; `remedy` is for a plan of another kind.
pub fn read<P: Document>(path: &Path, remedy: &str) -> Result<Option<P>> {
    let shown = path.display();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::input(format!("can't read `{shown}`: {error}"))),
    };
    if let Some(other) = P::other_kind(&text) {
        return Err(Error::input(format!("`{shown}` is the plan of {other}, not of {}: {remedy}", P::KIND)));
    }
    P::from_toml(&text, &shown.to_string()).map(Some)
}

/// The first that the training of students leaves.
const STUDENTS: [&str; 2] = ["metrics.jsonl", "checkpoints"];

fn refuse_differences(keys: &[String], of_students: bool, out: &Path) -> Result<()> {
    const SHOWN: usize = 5;
    if keys.is_empty() {
        return Ok(());
    }
    let more = if keys.len() > SHOWN { format!(" and {} more", keys.len() - SHOWN) } else { String::new() };
    let shown = keys.iter().take(SHOWN).map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    let copy =
        if of_students { " (copy its `plan.toml` and `pool` there first, and nothing is drawn again)" } else { "" };
    Err(Error::input(format!(
        "`{}` was made from another recipe, the difference is in {shown}{more}: choose another directory with --out, or remove \
         this one{copy}",
        out.display()
    )))
}

#[cfg(test)]
mod tests {
    use limbeck::plan::ClassifierPlan;

    use super::*;

    fn plan(epochs: u32) -> ClassifierPlan {
        let files = "train = { images = \"x\", labels = \"x\" }";
        let recipe = format!(
            "train = {{ name = \"t\", network = \"lenet5\", epochs = {epochs} }}\n\
             data = {{ format = \"idx\", classes = 10, {files} }}"
        );
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x"), "x").unwrap();
        limbeck::plan::plan_classifier(limbeck::recipe::parse(&recipe, "x.toml", &[]).unwrap(), dir.path()).unwrap()
    }

    #[test]
    fn the_same_recipe_goes_on_and_another_is_refused_once_work_was_done() {
        let dir = tempfile::tempdir().unwrap();
        drop(Kept::begin(plan(3), dir.path()).unwrap());
        drop(Kept::begin(plan(1), dir.path()).unwrap());
        std::fs::write(dir.path().join("metrics.jsonl"), "{}").unwrap();
        drop(Kept::begin(plan(1), dir.path()).unwrap());
        let error = Kept::begin(plan(2), dir.path()).err().unwrap();
        let message = error.to_string().replace(&dir.path().display().to_string(), "[dir]");
        insta::assert_snapshot!(message, @"`[dir]` was made from another recipe, the difference is in `train.epochs`: choose another directory with --out, or remove this one");
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn a_run_has_one_writer() {
        let dir = tempfile::tempdir().unwrap();
        let _first = Kept::begin(plan(1), dir.path()).unwrap();
        let error = Kept::begin(plan(1), dir.path()).err().unwrap();
        assert!(error.to_string().contains("another limbeck process"), "{error}");
    }

    #[test]
    fn a_run_is_read_while_another_process_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let held = Kept::begin(plan(1), dir.path()).unwrap();
        // Past the lock: it is the plan's files that are gone by now.
        let error = Kept::<ClassifierPlan>::read(dir.path()).err().unwrap();
        assert!(error.to_string().starts_with("`data.train.images`: no file"), "{error}");
        drop(held);
    }

    #[test]
    fn a_folder_without_a_plan_is_no_run() {
        let dir = tempfile::tempdir().unwrap();
        let error = Kept::<ClassifierPlan>::open(dir.path()).err().unwrap();
        assert!(error.to_string().contains("has no plan.toml"), "{error}");
    }

    #[test]
    fn inputs_that_have_gone_are_named() {
        // The plan's files lived in a folder that is gone by now.
        let dir = tempfile::tempdir().unwrap();
        drop(Kept::begin(plan(1), dir.path()).unwrap());
        let error = Kept::<ClassifierPlan>::open(dir.path()).err().unwrap();
        assert!(error.to_string().starts_with("`data.train.images`: no file"), "{error}");
    }
}
