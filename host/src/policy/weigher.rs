//! Weights for training steps, from a policy in the sandbox.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::chain::{ChainedWeigher, link_name};
use super::{
    Column, Env, Limits, LogSink, Policy, PolicyError, PolicyInstance, PolicyUse, Role, Sandbox, Source, When, compute,
    log,
};
use crate::plan::{Plan, WeigherPlan};
use crate::progress::Progress;
use crate::{Error, Result};

/// What is known of a training step. Logits are rows × `classes_total`, before softmax, at temperature 1.
#[derive(Clone, Copy)]
pub struct StepColumns<'a> {
    /// The round after which the student is trained, from 0.
    pub round: u32,
    pub epoch: u32,
    /// Counts over the whole training.
    pub step: u64,
    /// The intended class of each row.
    pub classes: &'a [u32],
    /// The pool's id of each row.
    pub ids: &'a [u64],
    pub teacher_logits: &'a [f32],
    pub student_logits: &'a [f32],
    pub classes_total: usize,
    /// Columns that the training gives as they are: its history of each image, and what follows from it for classes.
    pub given: &'a [Column],
}

/// How much each image counts in a training step.
pub trait Weigher {
    /// One weight a row with mean 1, finite and not negative.
    fn weigh(&mut self, step: StepColumns<'_>) -> Result<Vec<f32>>;
    /// Everything that it learnt, and what it used, for a checkpoint.
    fn save(&mut self) -> Result<Vec<u8>>;
    /// Takes a state back that [`Weigher::save`] gave.
    fn restore(&mut self, state: &[u8]) -> Result<()>;
    /// An epoch is over; `stats_json` is an object with `loss`, and nothing that was measured on real images.
    fn epoch_end(&mut self, epoch: u32, stats_json: &str) -> Result<()>;
    /// What it used up to now, before the checkpoint that it was restored from too.
    fn usage(&self) -> PolicyUse;
    /// Where it is a chain of several, what each of them used, in their order.
    fn links(&self) -> Vec<PolicyUse> {
        Vec::new()
    }
    /// The columns that it reads.
    fn needs(&self) -> &[String];

    /// Whether a given column is read at all.
    fn needs_history(&self) -> bool {
        self.needs().iter().any(|name| name.starts_with("history.") || name.starts_with("class."))
    }
}

/// The weigher of a plan, or its chain of weighers, compiled once; every training starts its own copy.
pub struct WeigherFactory {
    /// At least one, with its configuration.
    links: Vec<(Policy, String)>,
    limits: Limits,
    seed: u64,
    classes: u32,
    progress: Progress,
}

impl WeigherFactory {
    /// `None` when the plan names no weigher. Several work as a chain. Fails on everything that can be known before training: the file, its role,
    /// its configuration, and the columns it asks for.
    pub fn open(plan: &Plan, progress: &Progress) -> Result<Option<Self>> {
        let named: Vec<_> = plan.distill.weigher.iter().chain(&plan.distill.weighers).collect();
        if named.is_empty() {
            return Ok(None);
        }
        let (sandbox, chained) = (Sandbox::shared()?, named.len() > 1);
        let open = |(place, weigher): (usize, &&WeigherPlan)| {
            let policy = Policy::open(&sandbox, &weigher.policy).map_err(Error::from);
            let policy = policy.map_err(|error| if chained { error.context(link_name(place)) } else { error })?;
            Ok((policy, weigher.config.to_string()))
        };
        let factory = Self {
            links: named.iter().enumerate().map(open).collect::<Result<_>>()?,
            limits: Limits::from(&plan.limits),
            seed: plan.run.seed,
            classes: plan.data.classes as u32,
            progress: progress.clone(),
        };
        // What is wrong shows in a trial that nobody hears of.
        factory.start_with(1, &|_| Arc::new(|_, _| {}))?;
        Ok(Some(factory))
    }

    /// A fresh weigher for one training of `total_steps` steps. Fails when the policy refuses its configuration, or asks
    /// for a column that training doesn't have.
    pub fn start(&self, total_steps: u64) -> Result<Box<dyn Weigher>> {
        self.start_with(total_steps, &|policy| log::to_progress(&self.progress, &policy.stem()))
    }

    fn start_with(&self, total_steps: u64, log: &dyn Fn(&Policy) -> LogSink) -> Result<Box<dyn Weigher>> {
        let start = |(policy, config_json): &(Policy, String)| {
            let config_json = config_json.clone();
            let env = Env { config_json, classes: self.classes, feature_dim: 0, total_steps };
            SandboxedWeigher::start(policy, &env, self.seed, &self.limits, log(policy))
        };
        if let [only] = self.links.as_slice() {
            return Ok(Box::new(start(only)?));
        }
        let start = |(place, link)| start(link).map_err(|error| error.context(link_name(place)));
        Ok(Box::new(ChainedWeigher::new(self.links.iter().enumerate().map(start).collect::<Result<_>>()?)))
    }
}

/// What stands before a policy's own state.
#[derive(Serialize, Deserialize)]
struct Head {
    state_version: u32,
    used: PolicyUse,
}

/// A weigher in the sandbox.
pub struct SandboxedWeigher {
    instance: PolicyInstance,
}

impl SandboxedWeigher {
    /// Starts a weigher for a training. Fails when the policy plays another role, refuses its configuration, or asks for a
    /// column that training doesn't have.
    pub fn start(policy: &Policy, env: &Env, seed: u64, limits: &Limits, log: LogSink) -> Result<Self> {
        policy.role(&[Role::Weigher])?;
        let instance = policy.start(env, seed, limits, log)?;
        let logits = vec![0.0; env.classes as usize];
        let given = history();
        let step = StepColumns {
            round: 0,
            epoch: 0,
            step: 0,
            classes: &[0],
            ids: &[0],
            teacher_logits: &logits,
            student_logits: &logits,
            classes_total: logits.len(),
            given: &given,
        };
        // One image shows whether every column is there, before any work is done.
        compute(&source(&step), &instance.setup().needs)
            .map_err(|reason| PolicyError::BadColumns { policy: policy.path().display().to_string(), reason })?;
        Ok(Self { instance })
    }
}

fn source<'a>(step: &StepColumns<'a>) -> Source<'a> {
    Source {
        classes: step.classes_total,
        class: step.classes,
        id: step.ids,
        teacher: Some(step.teacher_logits),
        student: Some(step.student_logits),
        given: step.given,
        ..Source::default()
    }
}

/// The names of [`StepColumns::given`], with a row of zeros.
fn history() -> Vec<Column> {
    let floats = ["loss", "mean-loss", "kl", "margin", "p-class", "p-class-std"].map(|name| format!("history.{name}"));
    let floats = floats.iter().map(String::as_str).chain(["class.loss", "class.lag"]);
    let whole = ["history.seen", "history.forgotten", "class.count"].map(|name| Column::u64s(name, vec![0]));
    floats.map(|name| Column::f32s(name, 1, vec![0.0])).chain(whole).collect()
}

impl Weigher for SandboxedWeigher {
    fn weigh(&mut self, step: StepColumns<'_>) -> Result<Vec<f32>> {
        let source = source(&step);
        let columns = compute(&source, &self.instance.setup().needs)
            .map_err(|reason| Error::failed(format!("weights of step {}: {reason}", step.step)))?;
        let when = When { round: step.round, epoch: step.epoch, step: step.step };
        let mut weights = self.instance.weigh(columns, when)?;
        normalise(&mut weights);
        Ok(weights)
    }

    // A head in JSON, a line end, and the policy's own state.
    fn save(&mut self) -> Result<Vec<u8>> {
        let state = self.instance.save()?;
        let head = Head { state_version: self.instance.info().state_version, used: self.instance.usage() };
        let mut all = serde_json::to_vec(&head).map_err(|error| Error::failed(error.to_string()))?;
        all.push(b'\n');
        all.extend(state);
        Ok(all)
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let name = self.instance.policy().path().display();
        let unreadable =
            || Error::failed(format!("the saved state of policy `{name}` is cut off, or of another limbeck"));
        let end = state.iter().position(|&byte| byte == b'\n').ok_or_else(unreadable)?;
        let Head { state_version, used } = serde_json::from_slice(&state[..end]).map_err(|_| unreadable())?;
        self.instance.restore(state_version, &state[end + 1..])?;
        self.instance.count_on(used);
        Ok(())
    }

    fn epoch_end(&mut self, epoch: u32, stats_json: &str) -> Result<()> {
        Ok(self.instance.epoch_end(epoch, stats_json)?)
    }

    fn usage(&self) -> PolicyUse {
        self.instance.usage()
    }

    fn needs(&self) -> &[String] {
        &self.instance.setup().needs
    }
}

/// Divides by the mean, in f64: weights near the ends of f32's range stay what they are relative to each other.
pub(crate) fn normalise(weights: &mut [f32]) {
    let mean = weights.iter().map(|&weight| f64::from(weight)).sum::<f64>() / weights.len() as f64;
    if mean > 0.0 {
        weights.iter_mut().for_each(|weight| *weight = (f64::from(*weight) / mean) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_get_mean_one_at_every_scale() {
        for scale in [1e-44_f32, 1e-20, 1.0, 1e38] {
            let mut weights = [scale, 3.0 * scale];
            normalise(&mut weights);
            assert_eq!(weights, [0.5, 1.5], "{scale}");
        }
    }
}
