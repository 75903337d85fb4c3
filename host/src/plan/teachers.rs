//! Teachers in the plan: their pins checked, and who decides which class.

use std::collections::BTreeMap;

use super::inputs::Inputs;
use super::plugin::{Wanted, plugin};
use super::{Combine, Plan, PluginPlan, TeachersPlan, check};
use crate::config::{Accuracy, EnsembleConfig, TeacherConfig, TeachersConfig};
use crate::hash::sha256_bytes;
use crate::{Error, Result};

/// What a teacher alone is called.
const ALONE: &str = "teacher";

impl Plan {
    /// Hash of all that the teacher's answers follow from: plugins, weights, options, and how several are combined.
    pub fn teacher_key(&self) -> String {
        let files = self.inputs.iter().filter(|(key, _)| key.starts_with("teacher."));
        let files = files.map(|(key, input)| format!("{key} {}\n", input.sha256)).collect::<String>();
        let options = self.teacher.members.iter().map(|(name, member)| format!("{name} {}\n", member.config));
        let options = options.collect::<String>();
        let (combine, classes) = (self.teacher.combine, &self.teacher.classes);
        sha256_bytes(format!("{files}{options}{combine:?} {classes:?}").as_bytes())
    }
}

/// Looks up the plugins and weights of every teacher. `classes` is how many classes the recipe has.
pub(super) fn teachers(
    teachers: TeachersConfig,
    ensemble: Option<EnsembleConfig>,
    classes: usize,
    inputs: &mut Inputs,
) -> Result<TeachersPlan> {
    let list = match teachers {
        TeachersConfig::Several(list) => list,
        TeachersConfig::One(teacher) => {
            let only_several = [
                ("teacher.name", teacher.name.is_some()),
                ("teacher.classes", !teacher.classes.is_empty()),
                ("teacher.accuracy", teacher.accuracy.is_some()),
                ("ensemble", ensemble.is_some()),
            ];
            if let Some((key, _)) = only_several.iter().find(|(_, is_set)| *is_set) {
                return Err(Error::input(format!("`{key}` is for several teachers: write each as `[[teacher]]`")));
            }
            let member = self::teacher("teacher", *teacher, inputs)?;
            let members = [(ALONE.to_owned(), member)].into();
            return Ok(TeachersPlan { combine: Combine::default(), classes: Vec::new(), members });
        }
    };
    if list.is_empty() {
        return Err(Error::input("`teacher` is an empty list: name at least one teacher"));
    }
    let combine = ensemble.unwrap_or_default().combine;
    let named: Vec<(String, TeacherConfig)> = (list.into_iter().enumerate())
        .map(|(at, teacher)| (teacher.name.clone().unwrap_or_else(|| (at + 1).to_string()), teacher))
        .collect();
    for (at, (name, teacher)) in named.iter().enumerate() {
        check::name("teacher.name", name)?;
        if named[..at].iter().any(|(earlier, _)| earlier == name) {
            return Err(Error::input(format!("two teachers have the name `{name}`: give each its own `name`")));
        }
        if combine != Combine::PerClass && (!teacher.classes.is_empty() || teacher.accuracy.is_some()) {
            return Err(Error::input(format!(
                "teacher `{name}` has `classes` or `accuracy`, which only `ensemble.combine = \"per-class\"` uses"
            )));
        }
    }
    let deciding = if combine == Combine::PerClass { deciding(&named, classes)? } else { Vec::new() };
    let mut members = BTreeMap::new();
    for (name, teacher) in named {
        let member = self::teacher(&format!("teacher.{name}"), teacher, inputs)?;
        members.insert(name, member);
    }
    Ok(TeachersPlan { combine, classes: deciding, members })
}

/// The name of the teacher that decides each class: the one that claims it, or else the most accurate.
fn deciding(teachers: &[(String, TeacherConfig)], classes: usize) -> Result<Vec<String>> {
    for (name, teacher) in teachers {
        if let Some(class) = teacher.classes.iter().find(|&&class| class >= classes) {
            return Err(Error::input(format!(
                "teacher `{name}` claims class {class}, the recipe has classes 0 to {}: change its `classes`",
                classes - 1
            )));
        }
        let shares = match &teacher.accuracy {
            None => &[],
            Some(Accuracy::All(share)) => std::slice::from_ref(share),
            Some(Accuracy::Each(shares)) if shares.len() != classes => {
                return Err(Error::input(format!(
                    "teacher `{name}` has {} accuracies, the recipe has {classes} classes: give one number, or one a class",
                    shares.len()
                )));
            }
            Some(Accuracy::Each(shares)) => shares.as_slice(),
        };
        for &share in shares {
            check::within("teacher.accuracy", share, 0.0..=1.0)?;
        }
    }
    (0..classes).map(|class| decides(teachers, class)).collect()
}

fn decides(teachers: &[(String, TeacherConfig)], class: usize) -> Result<String> {
    let claimants: Vec<_> = teachers.iter().filter(|(_, teacher)| teacher.classes.contains(&class)).collect();
    match claimants.as_slice() {
        [(name, _)] => return Ok(name.clone()),
        [(one, _), (other, _), ..] => {
            return Err(Error::input(format!(
                "class {class} is claimed by teacher `{one}` and by teacher `{other}`: leave it to one of them"
            )));
        }
        [] => {}
    }
    let accuracy = |teacher: &TeacherConfig| match &teacher.accuracy {
        None => None,
        Some(Accuracy::All(share)) => Some(*share),
        Some(Accuracy::Each(shares)) => shares.get(class).copied(),
    };
    // Of equals the first in the recipe.
    let mut best: Option<(&str, f64)> = None;
    for (name, teacher) in teachers {
        if let Some(share) = accuracy(teacher).filter(|&share| best.is_none_or(|(_, most)| share > most)) {
            best = Some((name, share));
        }
    }
    best.map(|(name, _)| name.to_owned()).ok_or_else(|| {
        Error::input(format!(
            "no teacher decides class {class}: put it into the `classes` of one, or give their `accuracy`"
        ))
    })
}

/// One teacher, whose table in the recipe is `key`.
fn teacher(key: &str, teacher: TeacherConfig, inputs: &mut Inputs) -> Result<PluginPlan> {
    let TeacherConfig { plugin: path, sha256, allow_unpinned, weights, config, .. } = teacher;
    plugin(key, Wanted { path, sha256, allow_unpinned, weights, config }, inputs)
}
