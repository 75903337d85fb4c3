//! Several teachers that speak with one voice.

use candle_core::{Device, Tensor};

use super::{Classifier, ClassifierInfo, Grades};
use crate::plan::Combine;
use crate::run_dir::sha256_bytes;
use crate::{Context as _, Error, Result};

pub(super) struct Ensemble {
    members: Vec<(String, Box<dyn Classifier>)>,
    combine: Combine,
    /// Which member decides each class, with [`Combine::PerClass`].
    deciding: Vec<usize>,
    info: ClassifierInfo,
}

impl Ensemble {
    /// `classes` names the member that decides each class, with [`Combine::PerClass`].
    pub(super) fn new(
        members: Vec<(String, Box<dyn Classifier>)>,
        combine: Combine,
        classes: &[String],
    ) -> Result<Self> {
        alike(&members)?;
        let place = |name: &String| {
            let place = members.iter().position(|(member, _)| member == name);
            place.ok_or_else(|| Error::input(format!("a class is to be decided by `{name}`, which is no teacher here")))
        };
        let deciding = classes.iter().map(place).collect::<Result<Vec<_>>>()?;
        let info = describe(&members, combine, &deciding)?;
        if combine == Combine::PerClass && deciding.len() != info.classes {
            return Err(Error::input(format!(
                "the teachers know {} classes, for {} of them is said who decides: `data.classes` must be {}",
                info.classes,
                deciding.len(),
                info.classes
            )));
        }
        Ok(Self { members, combine, deciding, info })
    }

    /// One row for each image, from the rows of every member.
    fn voice(&self, answers: &[Vec<f32>]) -> Vec<f32> {
        let classes = self.info.classes;
        let rows = answers.first().map_or(0, |values| values.len() / classes);
        (0..rows)
            .flat_map(|row| {
                let said: Vec<&[f32]> = answers.iter().map(|values| &values[row * classes..][..classes]).collect();
                match self.combine {
                    Combine::MeanLogits => mean(&said),
                    Combine::MeanProbabilities => log_mean_probability(&said),
                    Combine::PerClass => chosen(&said, &self.deciding),
                }
            })
            .collect()
    }
}

impl Classifier for Ensemble {
    fn info(&self) -> &ClassifierInfo {
        &self.info
    }

    fn classify(&self, images: &Tensor) -> Result<Grades> {
        let (mut answers, mut features) = (Vec::with_capacity(self.members.len()), None);
        for (name, member) in &self.members {
            let grades = member.classify(images).context(format_args!("teacher `{name}`"))?;
            answers.push(grades.logits.to_device(&Device::Cpu)?.flatten_all()?.to_vec1::<f32>()?);
            features = features.or(grades.features);
        }
        let logits = Tensor::from_vec(self.voice(&answers), (images.dim(0)?, self.info.classes), images.device())?;
        Ok(Grades { logits, features })
    }
}

/// Fails on the first member that differs from the one before in classes or images.
fn alike(members: &[(String, Box<dyn Classifier>)]) -> Result<()> {
    for pair in members.windows(2) {
        let [(one, a), (other, b)] = pair else { continue };
        let (a, b) = (a.info(), b.info());
        if a.classes != b.classes {
            return Err(Error::input(format!(
                "teacher `{one}` tells {} classes apart, teacher `{other}` {}: several teachers must know the same classes",
                a.classes, b.classes
            )));
        }
        let size = |info: &ClassifierInfo| (info.channels, info.height, info.width);
        if size(a) != size(b) {
            return Err(Error::input(format!(
                "teacher `{one}` takes images {:?} (channels, height, width), teacher `{other}` {:?}: several teachers \
                 must take images of one size",
                size(a),
                size(b)
            )));
        }
    }
    Ok(())
}

/// What the members are together. The features are those of the first that gives any.
fn describe(members: &[(String, Box<dyn Classifier>)], combine: Combine, deciding: &[usize]) -> Result<ClassifierInfo> {
    let (_, first) = members.first().ok_or_else(|| Error::input("there is no teacher: name at least one"))?;
    let infos = || members.iter().map(|(_, member)| member.info());
    let joined = |part: &dyn Fn(&ClassifierInfo) -> String| infos().map(part).collect::<Vec<_>>().join(" + ");
    let names = members.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" + ");
    let how = match combine {
        Combine::MeanLogits => "mean of logits",
        Combine::MeanProbabilities => "mean of probabilities",
        Combine::PerClass => "chosen per class",
    };
    let hashes = format!("{how} {deciding:?} {}", joined(&|info| info.sha256.clone()));
    let mut licences: Vec<String> = infos().map(|info| info.licence.clone()).collect();
    licences.dedup();
    Ok(ClassifierInfo {
        name: format!("{names} ({how})"),
        version: joined(&|info| info.version.clone()),
        licence: licences.join(", "),
        network: Some(joined(&|info| info.network.clone().unwrap_or_else(|| info.name.clone()))),
        features: infos().find_map(|info| info.features),
        deterministic: infos().all(|info| info.deterministic),
        sha256: sha256_bytes(hashes.as_bytes()),
        ..first.info().clone()
    })
}

/// The mean of each class's logits.
fn mean(said: &[&[f32]]) -> Vec<f32> {
    let count = said.len() as f32;
    (0..said[0].len()).map(|class| said.iter().map(|row| row[class]).sum::<f32>() / count).collect()
}

/// `ln` of the mean of the probabilities, which are finite logits of exactly these probabilities.
fn log_mean_probability(said: &[&[f32]]) -> Vec<f32> {
    let logs: Vec<Vec<f64>> = said.iter().map(|row| log_softmax(row.iter().map(|&logit| f64::from(logit)))).collect();
    let of_class = |class: usize| logs.iter().map(move |row| row[class]);
    (0..said[0].len())
        .map(|class| (log_sum_exp(&of_class(class).collect::<Vec<_>>()) - (said.len() as f64).ln()) as f32)
        .collect()
}

/// Of each class the log-probability by who decides it, brought to a sum of one again.
fn chosen(said: &[&[f32]], deciding: &[usize]) -> Vec<f32> {
    let logs: Vec<Vec<f64>> = said.iter().map(|row| log_softmax(row.iter().map(|&logit| f64::from(logit)))).collect();
    let taken = deciding.iter().enumerate().map(|(class, &who)| logs[who][class]);
    log_softmax(taken).into_iter().map(|log| log as f32).collect()
}

fn log_softmax(logits: impl Iterator<Item = f64>) -> Vec<f64> {
    let logits: Vec<f64> = logits.collect();
    let total = log_sum_exp(&logits);
    logits.into_iter().map(|logit| logit - total).collect()
}

fn log_sum_exp(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    largest + values.iter().map(|value| (value - largest).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: &[f32], expected: &[f32]) {
        let far = found.iter().zip(expected).any(|(a, b)| (a - b).abs() > 1e-6);
        assert!(!far && found.len() == expected.len(), "{found:?} is not {expected:?}");
    }

    /// Logits of these probabilities, moved by a constant as logits may be.
    fn logits(probabilities: &[f32], moved: f32) -> Vec<f32> {
        probabilities.iter().map(|p| p.ln() + moved).collect()
    }

    fn probabilities(logits: &[f32]) -> Vec<f32> {
        log_softmax(logits.iter().map(|&logit| f64::from(logit))).into_iter().map(|log| log.exp() as f32).collect()
    }

    #[test]
    fn means_are_means() {
        close(&mean(&[&[1.0, 2.0, -4.0], &[3.0, 0.0, 4.0]]), &[2.0, 1.0, 0.0]);
        let (a, b) = (logits(&[0.7, 0.2, 0.1], 5.0), logits(&[0.1, 0.6, 0.3], -40.0));
        close(&probabilities(&log_mean_probability(&[&a, &b])), &[0.4, 0.4, 0.2]);
        let sure = log_mean_probability(&[&[1000.0, 0.0, -1000.0], &[1000.0, 0.0, -1000.0]]);
        close(&sure, &[0.0, -1000.0, -2000.0]);
    }

    #[test]
    fn each_class_is_decided_by_one() {
        let (a, b) = (logits(&[0.7, 0.2, 0.1], 5.0), logits(&[0.1, 0.6, 0.3], -40.0));
        let expected = [0.7 / 1.6, 0.6 / 1.6, 0.3 / 1.6];
        close(&probabilities(&chosen(&[&a, &b], &[0, 1, 1])), &expected);
        close(&probabilities(&chosen(&[&a, &b], &[0, 0, 0])), &[0.7, 0.2, 0.1]);
    }
}
