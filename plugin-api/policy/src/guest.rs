//! Between the generated bindings and the traits: one policy a component, made by `init`.

use std::sync::Once;

use crate::bindings::imports::limbeck::policy::{data, pool_ops};
use crate::bindings::lifecycle::exports::limbeck::policy::lifecycle;
use crate::bindings::planner::exports::limbeck::policy::planner;
use crate::bindings::scorer::exports::limbeck::policy::scorer;
use crate::bindings::selector::exports::limbeck::policy::selector;
use crate::bindings::weigher::exports::limbeck::policy::weigher;
use crate::{
    Batch, Column, Draw, Env, Kind, Level, Planner, Policy, Scorer, Selector, Setup, Veto, Weigher, configure,
};

/// Where a component keeps its policy. Implemented by the export macros.
pub trait Slot: 'static {
    type Policy: Policy;
    const VERSION: &str;

    fn with<R>(work: impl FnOnce(&mut Option<Self::Policy>) -> R) -> R;
}

/// Tells the host of a panic with its message and line, before the component traps.
fn report_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            let message = info.payload_as_str().unwrap_or("a panic without a message");
            match info.location() {
                Some(place) => crate::log(Level::Error, &format!("panicked at {place}: {message}")),
                None => crate::log(Level::Error, &format!("panicked: {message}")),
            }
        }));
    });
}

fn init<S: Slot>(config_json: &str, env: &Env) -> Result<Setup, String> {
    report_panics();
    let policy = configure::<S::Policy>(config_json, env)?;
    let setup = Setup { needs: policy.needs(), reasons: policy.reasons() };
    S::with(|slot| *slot = Some(policy));
    Ok(setup)
}

fn call<S: Slot, R>(work: impl FnOnce(&mut S::Policy) -> Result<R, String>) -> Result<R, String> {
    S::with(|slot| work(slot.as_mut().ok_or("called before `init`")?))
}

fn vetoes(from: Vec<Veto>) -> Vec<data::Veto> {
    from.into_iter().map(|veto| data::Veto { row: veto.row, reason: veto.reason }).collect()
}

impl<S: Slot> lifecycle::Guest for S {
    fn describe() -> lifecycle::Info {
        report_panics();
        lifecycle::Info {
            name: S::Policy::NAME.to_owned(),
            version: S::VERSION.to_owned(),
            summary: S::Policy::SUMMARY.to_owned(),
            state_version: S::Policy::STATE_VERSION,
        }
    }

    fn init(env: lifecycle::Env) -> Result<lifecycle::Setup, String> {
        let run = Env { classes: env.classes, feature_dim: env.feature_dim, total_steps: env.total_steps };
        let Setup { needs, reasons } = init::<S>(&env.config_json, &run)?;
        Ok(lifecycle::Setup { needs, reasons })
    }

    fn epoch_end(epoch: u32, stats_json: String) -> Result<(), String> {
        call::<S, _>(|policy| policy.epoch_end(epoch, &stats_json))
    }

    fn save() -> Result<Vec<u8>, String> {
        call::<S, _>(|policy| policy.save())
    }

    fn restore(state_version: u32, state: Vec<u8>) -> Result<(), String> {
        call::<S, _>(|policy| policy.restore(state_version, &state))
    }
}

impl<S: Slot> scorer::Guest for S
where
    S::Policy: Scorer,
{
    fn score(batch: &data::Batch) -> Result<scorer::Scores, String> {
        let scores = call::<S, _>(|policy| policy.score(batch))?;
        Ok(scorer::Scores { values: scores.values, vetoes: vetoes(scores.vetoes) })
    }
}

impl<S: Slot> selector::Guest for S
where
    S::Policy: Selector,
{
    fn select(batch: &data::Batch, budget: u32) -> Result<selector::Selection, String> {
        let chosen = call::<S, _>(|policy| policy.select(batch, budget))?;
        let vetoes = vetoes(chosen.vetoes);
        Ok(selector::Selection { keep: chosen.keep, vetoes })
    }
}

impl<S: Slot> weigher::Guest for S
where
    S::Policy: Weigher,
{
    fn weigh(batch: &data::Batch) -> Result<Vec<f32>, String> {
        call::<S, _>(|policy| policy.weigh(batch))
    }
}

impl<S: Slot> planner::Guest for S
where
    S::Policy: Planner,
{
    fn plan(images: u32, stats_json: String) -> Result<Vec<planner::Draw>, String> {
        let draws = call::<S, _>(|policy| policy.plan(images, &stats_json))?;
        let lower = |Draw { class, guidance, steps, seed }| planner::Draw { class, guidance, steps, seed };
        Ok(draws.into_iter().map(lower).collect())
    }
}

/// The host's batch. Lengths past 2³² are the host's to refuse: it never has so many rows.
impl Batch for data::Batch {
    fn rows(&self) -> usize {
        self.len() as usize
    }

    fn round(&self) -> u32 {
        self.round()
    }

    fn epoch(&self) -> u32 {
        self.epoch()
    }

    fn step(&self) -> u64 {
        self.step()
    }

    fn columns(&self) -> Vec<Column> {
        let lift = |column: data::Column| Column {
            name: column.name,
            kind: match column.kind {
                data::Kind::Float32 => Kind::F32,
                data::Kind::Unsigned64 => Kind::U64,
            },
            width: column.width as usize,
        };
        self.columns().into_iter().map(lift).collect()
    }

    fn f32s_range(&self, column: &str, start: usize, rows: usize) -> Result<Vec<f32>, String> {
        data::Batch::f32s(self, column, start as u32, rows as u32)
    }

    fn u64s_range(&self, column: &str, start: usize, rows: usize) -> Result<Vec<u64>, String> {
        data::Batch::u64s(self, column, start as u32, rows as u32)
    }

    fn gather(&self, column: &str, rows: &[u32]) -> Result<Vec<f32>, String> {
        data::Batch::gather(self, column, rows)
    }

    fn k_nearest(&self, column: &str, rows: &[u32], candidates: &[u32], k: u32) -> Result<Vec<u32>, String> {
        pool_ops::k_nearest(self, column, rows, candidates, k)
    }

    fn k_centre(&self, column: &str, candidates: &[u32], budget: u32) -> Result<Vec<u32>, String> {
        pool_ops::k_centre(self, column, candidates, budget)
    }

    fn herding(&self, column: &str, candidates: &[u32], budget: u32) -> Result<Vec<u32>, String> {
        pool_ops::herding(self, column, candidates, budget)
    }

    fn facility_location(&self, column: &str, candidates: &[u32], budget: u32) -> Result<Vec<u32>, String> {
        pool_ops::facility_location(self, column, candidates, budget)
    }

    fn near_duplicates(&self, column: &str, candidates: &[u32], cosine: f32) -> Result<Vec<u32>, String> {
        pool_ops::near_duplicates(self, column, candidates, cosine)
    }

    fn top_per_class(&self, scores: &[f32], quota: u32) -> Result<Vec<u32>, String> {
        pool_ops::top_per_class(self, scores, quota)
    }
}
