//! Several policies one after the other: each decides about what those before it kept.

use super::decide::Verdict;
use super::grades::PoolColumns;
use super::policy::{self, Link};
use crate::plan::{LinkPlan, Plan, SelectRole};
use crate::policy::{PolicyUse, Role};
use crate::progress::Progress;
use crate::{Context as _, Result};

/// The links of `[[select.chain]]`, in the order of the recipe.
pub fn links(plan: &Plan) -> Vec<Link<'_>> {
    plan.select.chain.iter().map(link).collect()
}

fn link(LinkPlan { policy, role, config, .. }: &LinkPlan) -> Link<'_> {
    let role = role.map(|role| match role {
        SelectRole::Scorer => Role::Scorer,
        SelectRole::Selector => Role::Selector,
    });
    Link { file: policy, config, role }
}

/// What errors and reasons call a link.
pub fn link_name(place: usize) -> String {
    format!("link {} of `select.chain`", place + 1)
}

/// One verdict a row: that of the link that dropped it, or of the last one. What each link used comes with it.
pub fn decide(
    plan: &Plan,
    pool: &PoolColumns<'_>,
    round: u32,
    progress: &Progress,
) -> Result<(Vec<Verdict>, Vec<PolicyUse>)> {
    let all = pool.columns();
    let mut left: Vec<usize> = (0..pool.id.len()).collect();
    let undecided = Verdict { kept: true, score: None, rank: None, reason: String::new() };
    let mut verdicts = vec![undecided; left.len()];
    let mut used = Vec::new();
    for (place, link) in links(plan).iter().enumerate() {
        if left.is_empty() {
            break;
        }
        let rows = all.rows(&left);
        let budget = plan.select.chain[place].keep.of(left.len());
        let (found, usage) =
            policy::decide(plan, link, &rows.source(), budget, round, progress).context(link_name(place))?;
        for (&row, verdict) in left.iter().zip(found) {
            let reason = format!("{} ({}): {}", usage.name, place + 1, verdict.reason);
            verdicts[row] = Verdict { reason, ..verdict };
        }
        left.retain(|&row| verdicts[row].kept);
        used.push(usage);
    }
    Ok((verdicts, used))
}
