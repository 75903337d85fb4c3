//! The student that policies see in a run with rounds, where the recipe names none: that of the round before.

use std::path::PathBuf;

use super::policy::{Link, needs};
use super::{chain, only};
use crate::Result;
use crate::plan::Plan;
use crate::policy::Source;
use crate::progress::Progress;
use crate::rounds::{self, student_file};
use crate::run_dir::RunDir;

/// Whether a column comes from a student.
pub fn is_of_student(column: &str) -> bool {
    column == "kl" || column.starts_with("student.")
}

/// Whether the students of the rounds stand in for `select.student`.
pub fn closes_the_loop(plan: &Plan) -> bool {
    plan.rounds.is_some() && plan.select.student.is_none()
}

/// The file with the student of the first seed that was trained after `round`.
pub fn student_after(plan: &Plan, run: &RunDir, round: u32) -> PathBuf {
    let seed = plan.distill.seeds.first().copied().unwrap_or(0);
    run.join(&student_file(&rounds::arm(plan, round), seed))
}

/// The student of the round before, which stands in for `select.student`; in the first round there is none.
pub fn of_last_round(plan: &Plan, run: &RunDir, round: u32) -> Option<PathBuf> {
    let before = round.checked_sub(1).filter(|_| closes_the_loop(plan))?;
    Some(student_after(plan, run, before))
}

/// The plan with this student, where a policy asks for columns of one: it takes a moment to compute them.
pub fn if_asked_for(plan: &Plan, student: Option<PathBuf>, source: &Source, progress: &Progress) -> Result<Plan> {
    let mut plan = plan.clone();
    if student.is_some() {
        let asks = |link: &Link<'_>| Ok(needs(&plan, link, source, progress)?.iter().any(|name| is_of_student(name)));
        let links = only(&plan).into_iter().chain(chain::links(&plan));
        if links.map(|link| asks(&link)).collect::<Result<Vec<_>>>()?.contains(&true) {
            plan.select.student = student;
        }
    }
    Ok(plan)
}
