//! The update rules.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor, Var};

use super::kernels::{Change, Pass};
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

    /// What is done to a parameter in update number `steps`, counted from 1. PyTorch starts SGD's buffer with the first
    /// gradient; from zero that is the same.
    fn change(self, steps: u64, lr: f64, scale: f64) -> Change {
        let scale = scale as f32;
        match self {
            Self::Sgd { momentum, nesterov, weight_decay } => Change::Sgd {
                lr: lr as f32,
                momentum: momentum as f32,
                nesterov,
                weight_decay: weight_decay as f32,
                scale,
            },
            Self::AdamW { beta1, beta2, epsilon, weight_decay } => {
                let steps = i32::try_from(steps).unwrap_or(i32::MAX);
                Change::AdamW {
                    beta1: beta1 as f32,
                    beta2: beta2 as f32,
                    epsilon: epsilon as f32,
                    step: (lr / (1.0 - beta1.powi(steps))) as f32,
                    correction: (1.0 - beta2.powi(steps)).sqrt() as f32,
                    decay: (1.0 - lr * weight_decay) as f32,
                    scale,
                }
            }
        }
    }
}

/// What a rule remembers of one parameter, `[moments, elements]`.
enum Moments {
    /// On the CPU: bare numbers, so that one pass can change them and the parameter together.
    Host(Vec<f32>),
    /// On other devices, where tensor operations do the work.
    Device(Var),
}

/// One parameter with its moments.
struct Slot {
    var: Var,
    moments: Moments,
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
            let shape = (rule.moments(), var.elem_count());
            let moments = if cpu::applies(&var) {
                Moments::Host(vec![0.0; shape.0 * shape.1])
            } else {
                Moments::Device(Var::zeros(shape, var.dtype(), var.device())?)
            };
            Ok((name, Slot { var, moments }))
        };
        Ok(Self { rule, steps: 0, slots: parameters.into_iter().map(slot).collect::<Result<_>>()? })
    }

    /// One update with the learning rate `lr`. A parameter without a gradient stays as it is.
    pub fn step(&mut self, gradients: &GradStore, lr: f64) -> Result<()> {
        self.step_scaled(gradients, lr, 1.0)
    }

    /// The same with all gradients times `scale`, which is how they are clipped without a copy.
    pub fn step_scaled(&mut self, gradients: &GradStore, lr: f64, scale: f64) -> Result<()> {
        self.steps += 1;
        let change = self.rule.change(self.steps, lr, scale);
        for slot in self.slots.values_mut() {
            let Some(gradient) = gradients.get(slot.var.as_tensor()) else { continue };
            match &mut slot.moments {
                Moments::Host(moments) => {
                    slot.var.as_tensor().inplace_op2(&gradient.contiguous()?, &Pass::new(change, moments))?;
                }
                Moments::Device(moments) => composed(&slot.var, gradient, moments, change)?,
            }
        }
        Ok(())
    }

    /// What a checkpoint needs to go on: the moments by parameter name, and `steps`.
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let moments = |(name, slot): (&String, &Slot)| {
            let moments = match &slot.moments {
                Moments::Host(moments) => {
                    Tensor::from_slice(moments, (self.rule.moments(), slot.var.elem_count()), &Device::Cpu)?
                }
                Moments::Device(moments) => moments.as_tensor().clone(),
            };
            Ok((name.clone(), moments))
        };
        let mut state: BTreeMap<_, _> = self.slots.iter().map(moments).collect::<Result<_>>()?;
        state.insert(STEPS.into(), Tensor::new(self.steps as i64, &Device::Cpu)?.reshape(1)?);
        Ok(state)
    }

    /// Goes on from what [`Self::state`] gave; refuses the state of other parameters.
    pub fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let find = |name: &str| state.get(name).ok_or_else(|| Error::MissingTensor { name: name.into() });
        let steps = find(STEPS)?.to_vec1::<i64>()?;
        for (name, slot) in &mut self.slots {
            let (found, expected) = (find(name)?, [self.rule.moments(), slot.var.elem_count()]);
            if found.dims() != expected {
                return Err(Error::WrongShape {
                    name: name.clone(),
                    expected: expected.to_vec(),
                    found: found.dims().to_vec(),
                });
            }
            match &mut slot.moments {
                Moments::Host(moments) => *moments = found.flatten_all()?.to_vec1()?,
                Moments::Device(moments) => moments.set(&found.to_device(moments.device())?)?,
            }
        }
        self.steps = steps.first().copied().unwrap_or(0).max(0) as u64;
        Ok(())
    }
}

const STEPS: &str = "steps";

/// The change with tensor operations, for devices without a kernel.
fn composed(var: &Var, gradient: &Tensor, moments: &Var, change: Change) -> Result<()> {
    let gradient = gradient.flatten_all()?;
    let parameter = var.as_tensor().flatten_all()?;
    let (moved, memory) = match change {
        Change::Sgd { lr, momentum, nesterov, weight_decay, scale } => {
            let gradient = ((gradient * f64::from(scale))? + (&parameter * f64::from(weight_decay))?)?;
            let buffer = ((moments.get(0)? * f64::from(momentum))? + &gradient)?;
            let change = if nesterov { (gradient + (&buffer * f64::from(momentum))?)? } else { buffer.clone() };
            ((parameter - (change * f64::from(lr))?)?, buffer.unsqueeze(0)?)
        }
        Change::AdamW { beta1, beta2, epsilon, step, correction, decay, scale } => {
            let [beta1, beta2, epsilon, step, correction, decay, scale] =
                [beta1, beta2, epsilon, step, correction, decay, scale].map(f64::from);
            let gradient = (gradient * scale)?;
            let first = ((moments.get(0)? * beta1)? + (&gradient * (1.0 - beta1))?)?;
            let second = ((moments.get(1)? * beta2)? + (gradient.sqr()? * (1.0 - beta2))?)?;
            let change = (&first / ((second.sqrt()? / correction)? + epsilon)?)?;
            (((parameter * decay)? - (change * step)?)?, Tensor::stack(&[first, second], 0)?)
        }
    };
    var.set(&moved.reshape(var.shape())?)?;
    Ok(moments.set(&memory)?)
}
