//! From gradients to an update: accumulated over steps, clipped, applied, averaged.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

use super::kernels::Blend;
use super::{Ema, Optimizer, Rule, gradient_norm};
use crate::checkpoint::under;
use crate::ops::cpu;
use crate::{Error, Result};

/// Prefixes in the state; the optimiser's own names have none, and no parameter's name begins so.
const PENDING: &str = "pending.";
const AVERAGE: &str = "average.";

/// The key of the number of gradients that wait.
const WAITING: &str = "waiting";

/// What happens to gradients between the loss and the parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    pub rule: Rule,
    /// The largest norm of all gradients together; `None` for any.
    pub clip_norm: Option<f64>,
    /// Steps whose mean gradient makes one update; at least 1.
    pub accumulate: u32,
    /// The decay of the moving average of parameters and buffers; `None` for no average.
    pub ema: Option<f64>,
}

/// An optimiser with all that surrounds it.
pub struct Updater {
    settings: Settings,
    parameters: BTreeMap<String, Var>,
    optimizer: Optimizer,
    ema: Option<Ema>,
    /// The sum of the gradients since the last update, with how many they are; empty unless some wait.
    pending: BTreeMap<String, Var>,
    waiting: u32,
}

impl Updater {
    /// Nothing accumulated yet, the average at the present values. `buffers` are what the network changes by itself: running
    /// statistics, which are averaged like the parameters, since they describe the network of those.
    pub fn new(settings: Settings, parameters: BTreeMap<String, Var>, buffers: BTreeMap<String, Var>) -> Result<Self> {
        let optimizer = Optimizer::new(settings.rule, parameters.clone())?;
        let averaged = || parameters.iter().chain(&buffers);
        let ema = settings.ema.map(|decay| Ema::new(decay, averaged())).transpose()?;
        Ok(Self { settings, parameters, optimizer, ema, pending: BTreeMap::new(), waiting: 0 })
    }

    /// Takes the gradients of one step; each time that enough have come together, the parameters are updated with the
    /// learning rate `lr`.
    pub fn step(&mut self, mut gradients: GradStore, lr: f64) -> Result<()> {
        let count = self.settings.accumulate.max(1);
        if count > 1 {
            self.collect(&gradients)?;
            if self.waiting < count {
                return Ok(());
            }
            for (name, sum) in std::mem::take(&mut self.pending) {
                if let Some(var) = self.parameters.get(&name) {
                    gradients.insert(var.as_tensor(), sum.into_inner());
                }
            }
            self.waiting = 0;
        }
        let mean = 1.0 / f64::from(count);
        let scale = match self.settings.clip_norm {
            // `clip_grad_norm_` divides by the norm and 1e-6.
            Some(limit) => (limit / (mean * gradient_norm(&gradients, &self.parameters)? + 1e-6)).min(1.0),
            None => 1.0,
        };
        self.optimizer.step_scaled(&gradients, lr, mean * scale)?;
        self.ema.as_ref().map_or(Ok(()), Ema::update)
    }

    fn collect(&mut self, gradients: &GradStore) -> Result<()> {
        self.waiting += 1;
        for (name, var) in &self.parameters {
            let Some(gradient) = gradients.get(var.as_tensor()) else { continue };
            match self.pending.get(name) {
                Some(sum) if cpu::applies(sum) => {
                    sum.as_tensor().inplace_op2(&gradient.contiguous()?, &Blend { keep: 1.0, add: 1.0 })?;
                }
                Some(sum) => sum.set(&(sum.as_tensor() + gradient)?)?,
                None => {
                    self.pending.insert(name.clone(), Var::from_tensor(&gradient.copy()?)?);
                }
            }
        }
        Ok(())
    }

    /// The moving averages of parameters and buffers by name, where there are any.
    pub fn averages(&self) -> Option<BTreeMap<String, Tensor>> {
        self.ema.as_ref().map(Ema::state)
    }

    /// What a checkpoint needs to go on, by name.
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut state = self.optimizer.state()?;
        let averages = self.averages().unwrap_or_default();
        state.extend(averages.into_iter().map(|(name, tensor)| (format!("{AVERAGE}{name}"), tensor)));
        if self.waiting > 0 {
            let pending = self.pending.iter();
            state.extend(pending.map(|(name, sum)| (format!("{PENDING}{name}"), sum.as_tensor().clone())));
            state.insert(WAITING.into(), Tensor::new(&[i64::from(self.waiting)], &candle_core::Device::Cpu)?);
        }
        Ok(state)
    }

    /// Goes on from what [`Self::state`] gave; refuses the state of other parameters.
    pub fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        self.optimizer.restore(state)?;
        if let Some(ema) = &self.ema {
            ema.restore(&under(state, AVERAGE))?;
        }
        self.waiting = match state.get(WAITING) {
            Some(waiting) => waiting.to_vec1::<i64>()?.first().map_or(0, |&count| count.clamp(0, 1 << 30) as u32),
            None => 0,
        };
        self.pending.clear();
        for (name, sum) in under(state, PENDING) {
            let unknown =
                || Error::Config(format!("the state holds a gradient of `{name}`, which is no parameter here"));
            let var = self.parameters.get(&name).ok_or_else(unknown)?;
            self.pending.insert(name, Var::from_tensor(&sum.to_device(var.device())?)?);
        }
        Ok(())
    }
}
