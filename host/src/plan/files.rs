//! The files that a plan names, wherever it names them.

use std::path::{Path, PathBuf};

use super::{DataPlan, Files, Plan};

pub(super) fn of_run(plan: &Plan) -> Vec<&Path> {
    let Plan { generator, select, distill, .. } = plan;
    let plugins = plan.teacher.members.values().chain(&generator.plugin);
    let plugins = plugins.flat_map(|plugin| [Some(&plugin.plugin), plugin.weights.as_ref()]);
    let links = select.chain.iter().map(|link| &link.policy);
    let weighers = distill.weigher.iter().chain(&distill.weighers).map(|weigher| &weigher.policy);
    let planner = plan.rounds.iter().filter_map(|rounds| rounds.planner.as_ref()).map(|planner| &planner.policy);
    let others =
        [&generator.weights, &select.policy, &select.student, &select.history, &select.external, &distill.start];
    let policies = links.chain(weighers).chain(planner).map(Some);
    let named = plugins.chain(policies).chain(others.map(Option::as_ref)).flatten();
    named.map(PathBuf::as_path).chain(of_data(&plan.data)).collect()
}

/// `start` are the weights that it begins with.
pub(super) fn of_training<'a>(start: &'a Option<PathBuf>, data: &'a DataPlan) -> Vec<&'a Path> {
    start.as_deref().into_iter().chain(of_data(data)).collect()
}

fn of_data(data: &DataPlan) -> impl Iterator<Item = &Path> {
    data.train.iter().chain(&data.test).flat_map(of_split).map(PathBuf::as_path)
}

fn of_split(files: &Files) -> Vec<&PathBuf> {
    match files {
        Files::Idx { images, labels } => vec![images, labels],
        Files::Folder { path } => vec![path],
        Files::Cifar { files } | Files::Shards { files } => files.iter().collect(),
    }
}
