//! How much each image counted on average: what the report shows of a weigher.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use limbeck_models::checkpoint::Checkpoint;
use serde::Serialize;

use crate::policy::PolicyUse;
use crate::{Error, Result};

const SUMS: &str = "weight.sums";
const COUNTS: &str = "weight.counts";

/// Sum and count of the weights of each image.
pub struct MeanWeights {
    sums: Vec<f64>,
    counts: Vec<u32>,
}

/// The content of `weights/<arm>-seed-<k>.json`.
#[derive(Serialize)]
struct Document<'a> {
    ids: &'a [u64],
    /// Of each image over the whole training; `null` for one that was in no batch.
    mean_weight: Vec<Option<f64>>,
    policy: PolicyUse,
    /// Of a chain, what each link used.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    links: &'a [PolicyUse],
}

impl MeanWeights {
    pub fn new(images: usize) -> Self {
        Self { sums: vec![0.0; images], counts: vec![0; images] }
    }

    /// The weights of one step.
    pub fn add(&mut self, rows: &[usize], weights: &[f32]) {
        for (&row, &weight) in rows.iter().zip(weights) {
            self.sums[row] += f64::from(weight);
            self.counts[row] += 1;
        }
    }

    /// For a resume point.
    pub fn save(&self, tensors: &mut BTreeMap<String, Tensor>) -> Result<()> {
        tensors.insert(SUMS.into(), Tensor::new(self.sums.as_slice(), &Device::Cpu)?);
        tensors.insert(COUNTS.into(), Tensor::new(self.counts.as_slice(), &Device::Cpu)?);
        Ok(())
    }

    /// What [`Self::save`] gave.
    pub fn restore(file: &Checkpoint) -> Result<Self> {
        let find = |name: &str| file.tensors.get(name).ok_or_else(|| Error::input(format!("it has no `{name}`")));
        Ok(Self { sums: find(SUMS)?.to_vec1()?, counts: find(COUNTS)?.to_vec1()? })
    }

    pub fn to_json(&self, ids: &[u64], policy: PolicyUse, links: &[PolicyUse]) -> Result<Vec<u8>> {
        let mean = |(&sum, &count): (&f64, &u32)| (count > 0).then(|| sum / f64::from(count));
        let mean_weight = self.sums.iter().zip(&self.counts).map(mean).collect();
        let mut json = serde_json::to_vec(&Document { ids, mean_weight, policy, links })
            .map_err(|error| Error::failed(error.to_string()))?;
        json.push(b'\n');
        Ok(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_over_the_steps_that_saw_the_image() {
        let mut weights = MeanWeights::new(3);
        weights.add(&[0, 2], &[0.5, 1.5]);
        weights.add(&[2], &[0.5]);
        let json: serde_json::Value =
            serde_json::from_slice(&weights.to_json(&[7, 8, 9], PolicyUse::default(), &[]).unwrap()).unwrap();
        assert_eq!(json["ids"], serde_json::json!([7, 8, 9]));
        assert_eq!(json["mean_weight"], serde_json::json!([0.5, null, 1.0]));
    }
}
