//! The moving average of weights.

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};

use super::kernels::Blend;
use crate::ops::cpu;
use crate::{Error, Result};

/// The exponential moving average of tensors by name: `average ← decay · average + (1 − decay) · tensor`. torch has it as
/// `AveragedModel` with `use_buffers`.
pub struct Ema {
    decay: f64,
    averages: BTreeMap<String, (Var, Var)>,
}

impl Ema {
    /// Starts at the present values.
    pub fn new<'a>(decay: f64, tensors: impl Iterator<Item = (&'a String, &'a Var)>) -> Result<Self> {
        let start = |(name, var): (&String, &Var)| {
            Ok((name.clone(), (Var::from_tensor(&var.as_tensor().copy()?)?, var.clone())))
        };
        Ok(Self { decay, averages: tensors.map(start).collect::<Result<_>>()? })
    }

    /// Moves the averages; to be called after each update.
    pub fn update(&self) -> Result<()> {
        let (decay, rest) = (self.decay, 1.0 - self.decay);
        for (average, var) in self.averages.values() {
            if cpu::applies(average) {
                average.as_tensor().inplace_op2(var, &Blend { keep: decay as f32, add: rest as f32 })?;
            } else {
                average.set(&((average.as_tensor() * decay)? + (var.as_tensor() * rest)?)?)?;
            }
        }
        Ok(())
    }

    /// The averages by name.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        self.averages.iter().map(|(name, (average, _))| (name.clone(), average.as_tensor().clone())).collect()
    }

    /// Goes on from what [`Self::state`] gave.
    pub fn restore(&self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        for (name, (average, _)) in &self.averages {
            let found = state.get(name).ok_or_else(|| Error::MissingTensor { name: name.clone() })?;
            average.set(&found.to_device(average.device())?)?;
        }
        Ok(())
    }
}
