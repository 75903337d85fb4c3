//! SGD, AdamW and the moving average of weights, with PyTorch's arithmetic, in place: no copy of the parameters is made.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, InplaceOp2, Layout, Tensor, Var};

use crate::ops::cpu;
use crate::{Error, Result};

/// Which update rule, with its constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// `torch.optim.SGD` without dampening; weight decay is added to the gradient.
    Sgd { momentum: f64, nesterov: bool, weight_decay: f64 },
    /// `torch.optim.AdamW`; weight decay is decoupled.
    AdamW { beta1: f64, beta2: f64, epsilon: f64, weight_decay: f64 },
}

impl Rule {
    /// AdamW with PyTorch's default betas and ε.
    pub fn adamw(weight_decay: f64) -> Self {
        Self::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay }
    }

    /// How many numbers are remembered for each parameter.
    fn moments(self) -> usize {
        match self {
            Self::Sgd { .. } => 1,
            Self::AdamW { .. } => 2,
        }
    }
}

/// The learning rate over a training, as a factor of its peak.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    Constant,
    /// Half a cosine from one to zero.
    Cosine,
    /// Multiplied by `gamma` at each of these fractions of the training.
    Step {
        milestones: Vec<f64>,
        gamma: f64,
    },
}

impl Schedule {
    /// The factor at `step` of `total` (both after `warmup` steps of linear growth from zero).
    pub fn factor(&self, step: u64, total: u64, warmup: u64) -> f64 {
        if step < warmup {
            return (step + 1) as f64 / warmup as f64;
        }
        let done = (step - warmup) as f64 / total.saturating_sub(warmup).max(1) as f64;
        match self {
            Self::Constant => 1.0,
            Self::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos()),
            Self::Step { milestones, gamma } => {
                let at = step as f64 / total.max(1) as f64;
                gamma.powi(milestones.iter().filter(|&&milestone| at >= milestone).count() as i32)
            }
        }
    }
}

/// One parameter with what the rule remembers of it: `[moments, elements]`.
struct Slot {
    var: Var,
    moments: Var,
}

/// Updates parameters from their gradients.
pub struct Optimizer {
    rule: Rule,
    steps: u64,
    slots: BTreeMap<String, Slot>,
}

impl Optimizer {
    /// An optimiser of these parameters, all moments zero.
    pub fn new(rule: Rule, parameters: BTreeMap<String, Var>) -> Result<Self> {
        let slot = |(name, var): (String, Var)| {
            let moments = Var::zeros((rule.moments(), var.elem_count()), var.dtype(), var.device())?;
            Ok((name, Slot { var, moments }))
        };
        Ok(Self { rule, steps: 0, slots: parameters.into_iter().map(slot).collect::<Result<_>>()? })
    }

    /// One update with the learning rate `lr`. A parameter without a gradient stays as it is.
    pub fn step(&mut self, gradients: &GradStore, lr: f64) -> Result<()> {
        self.steps += 1;
        let (moments, update) = self.halves(lr);
        for slot in self.slots.values() {
            let Some(gradient) = gradients.get(slot.var.as_tensor()) else { continue };
            let gradient = gradient.contiguous()?;
            // Weight decay enters SGD's momentum, so its gradient half reads the parameter too.
            let gradient = match self.rule {
                Rule::Sgd { weight_decay, .. } if weight_decay != 0.0 => {
                    (gradient + (slot.var.as_tensor() * weight_decay)?)?
                }
                _ => gradient,
            };
            apply(&slot.moments, &gradient, &moments)?;
            if let Update::Nesterov { .. } = update {
                apply(&slot.var, &gradient, &Update::Add { factor: -lr })?;
            }
            apply(&slot.var, slot.moments.as_tensor(), &update)?;
        }
        Ok(())
    }

    /// The operation on the moments, and the one on the parameter.
    fn halves(&self, lr: f64) -> (Update, Update) {
        match self.rule {
            Rule::Sgd { momentum, nesterov, .. } => {
                // PyTorch starts the buffer with the first gradient: from zero that is the same.
                let moments = Update::Momentum { momentum };
                let update =
                    if nesterov { Update::Nesterov { factor: -lr * momentum } } else { Update::Add { factor: -lr } };
                (moments, update)
            }
            Rule::AdamW { beta1, beta2, epsilon, weight_decay } => {
                let steps = i32::try_from(self.steps).unwrap_or(i32::MAX);
                let correction = (1.0 - beta2.powi(steps)).sqrt();
                let step = lr / (1.0 - beta1.powi(steps));
                let decay = 1.0 - lr * weight_decay;
                (Update::Moments { beta1, beta2 }, Update::Adam { step, correction, epsilon, decay })
            }
        }
    }

    /// What a checkpoint needs to go on: the moments by parameter name, and `steps`.
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let device = candle_core::Device::Cpu;
        let mut state: BTreeMap<_, _> =
            self.slots.iter().map(|(n, s)| (n.clone(), s.moments.as_tensor().clone())).collect();
        state.insert(STEPS.into(), Tensor::new(self.steps as i64, &device)?.reshape(1)?);
        Ok(state)
    }

    /// Goes on from what [`Self::state`] gave; refuses the state of other parameters.
    pub fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let find = |name: &str| state.get(name).ok_or_else(|| Error::MissingTensor { name: name.into() });
        let steps = find(STEPS)?.to_vec1::<i64>()?;
        for (name, slot) in &self.slots {
            let moments = find(name)?;
            if moments.dims() != slot.moments.dims() {
                return Err(Error::WrongShape {
                    name: name.clone(),
                    expected: slot.moments.dims().to_vec(),
                    found: moments.dims().to_vec(),
                });
            }
            slot.moments.set(&moments.to_device(slot.moments.device())?)?;
        }
        self.steps = steps.first().copied().unwrap_or(0).max(0) as u64;
        Ok(())
    }
}

const STEPS: &str = "steps";

/// Scales all gradients together so that their norm is at most `limit` (`torch.nn.utils.clip_grad_norm_`); returns the norm
/// before.
pub fn clip_norm(gradients: &mut GradStore, parameters: &BTreeMap<String, Var>, limit: f64) -> Result<f64> {
    let mut squares = 0.0;
    for var in parameters.values() {
        if let Some(gradient) = gradients.get(var.as_tensor()) {
            squares += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
        }
    }
    let norm = squares.sqrt();
    if norm > limit {
        for var in parameters.values() {
            if let Some(gradient) = gradients.remove(var.as_tensor()) {
                gradients.insert(var.as_tensor(), (gradient * (limit / (norm + 1e-6)))?);
            }
        }
    }
    Ok(norm)
}

/// The exponential moving average of parameters: `average ← decay · average + (1 − decay) · parameter`.
pub struct Ema {
    decay: f64,
    averages: BTreeMap<String, (Var, Var)>,
}

impl Ema {
    /// Starts at the present values.
    pub fn new(decay: f64, parameters: &BTreeMap<String, Var>) -> Result<Self> {
        let start = |(name, var): (&String, &Var)| {
            Ok((name.clone(), (Var::from_tensor(&var.as_tensor().copy()?)?, var.clone())))
        };
        Ok(Self { decay, averages: parameters.iter().map(start).collect::<Result<_>>()? })
    }

    /// Moves the averages; to be called after each step.
    pub fn update(&self) -> Result<()> {
        for (average, var) in self.averages.values() {
            apply(average, var.as_tensor(), &Update::Average { decay: self.decay })?;
        }
        Ok(())
    }

    /// The averages by parameter name.
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

/// An in-place change of `target` by `source`, element by element.
#[derive(Clone, Copy, Debug)]
enum Update {
    /// `target += factor · source`
    Add { factor: f64 },
    /// `target = decay · target + (1 − decay) · source`
    Average { decay: f64 },
    /// `target = momentum · target + source`
    Momentum { momentum: f64 },
    /// `target += factor · source`, after the gradient's own share.
    Nesterov { factor: f64 },
    /// Both moments of Adam, `target [2, n]`, from the gradient.
    Moments { beta1: f64, beta2: f64 },
    /// The parameter from both moments, `source [2, n]`.
    Adam { step: f64, correction: f64, epsilon: f64, decay: f64 },
}

fn apply(target: &Var, source: &Tensor, update: &Update) -> Result<()> {
    if cpu::applies(target.as_tensor()) {
        target.as_tensor().inplace_op2(source, update)?;
    } else {
        target.set(&update.composed(target.as_tensor(), source)?)?;
    }
    Ok(())
}

impl Update {
    /// The same with tensor operations, for devices without a kernel.
    fn composed(&self, target: &Tensor, source: &Tensor) -> candle_core::Result<Tensor> {
        match *self {
            Self::Add { factor } | Self::Nesterov { factor } => target + (source.reshape(target.shape())? * factor)?,
            Self::Average { decay } => (target * decay)? + (source * (1.0 - decay))?,
            Self::Momentum { momentum } => (target * momentum)? + source.reshape(target.shape())?,
            Self::Moments { beta1, beta2 } => {
                let gradient = source.flatten_all()?;
                let first = ((target.get(0)? * beta1)? + (&gradient * (1.0 - beta1))?)?;
                let second = ((target.get(1)? * beta2)? + (gradient.sqr()? * (1.0 - beta2))?)?;
                Tensor::stack(&[first, second], 0)
            }
            Self::Adam { step, correction, epsilon, decay } => {
                let spread = ((source.get(1)?.sqrt()? / correction)? + epsilon)?;
                let change = (source.get(0)? / spread)?.reshape(target.shape())?;
                (target * decay)? - (change * step)?
            }
        }
    }

    #[inline(always)]
    fn run(&self, target: &mut [f32], source: &[f32]) {
        match *self {
            Self::Add { factor } | Self::Nesterov { factor } => {
                let factor = factor as f32;
                for (t, s) in target.iter_mut().zip(source) {
                    *t = factor.mul_add(*s, *t);
                }
            }
            Self::Average { decay } => {
                let (kept, new) = (decay as f32, (1.0 - decay) as f32);
                for (t, s) in target.iter_mut().zip(source) {
                    *t = kept.mul_add(*t, new * s);
                }
            }
            Self::Momentum { momentum } => {
                let momentum = momentum as f32;
                for (t, s) in target.iter_mut().zip(source) {
                    *t = momentum.mul_add(*t, *s);
                }
            }
            Self::Moments { beta1, beta2 } => {
                let (first, second) = target.split_at_mut(source.len());
                let (kept1, new1) = (beta1 as f32, (1.0 - beta1) as f32);
                let (kept2, new2) = (beta2 as f32, (1.0 - beta2) as f32);
                for ((m, v), g) in first.iter_mut().zip(second).zip(source) {
                    *m = kept1.mul_add(*m, new1 * g);
                    *v = kept2.mul_add(*v, new2 * g * g);
                }
            }
            Self::Adam { step, correction, epsilon, decay } => {
                let (first, second) = source.split_at(target.len());
                let (step, scale, epsilon, decay) =
                    (step as f32, (1.0 / correction) as f32, epsilon as f32, decay as f32);
                for ((p, m), v) in target.iter_mut().zip(first).zip(second) {
                    *p = decay.mul_add(*p, -step * m / v.sqrt().mul_add(scale, epsilon));
                }
            }
        }
    }
}

impl InplaceOp2 for Update {
    fn name(&self) -> &'static str {
        "optimizer-update"
    }

    fn cpu_fwd(
        &self,
        target: &mut CpuStorage,
        target_layout: &Layout,
        source: &CpuStorage,
        source_layout: &Layout,
    ) -> candle_core::Result<()> {
        let source = cpu::slice(source, source_layout)?;
        let Some((start, end)) = target_layout.contiguous_offsets() else {
            candle_core::bail!("a parameter to update is not contiguous");
        };
        let target = match target {
            CpuStorage::F32(values) => &mut values[start..end],
            _ => candle_core::bail!("a parameter to update is not f32"),
        };
        cpu::simd(
            #[inline(always)]
            || self.run(target, source),
        );
        Ok(())
    }
}
