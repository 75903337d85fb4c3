//! One running copy of a policy: its memory, its budget, and what it used.

use std::time::Instant;

use wasmtime::Store;
use wasmtime::component::{Instance, Resource};

use super::columns::Columns;
use super::ending::{MESSAGE, explain};
use super::log::LogSink;
use super::sandbox::ticks;
use super::state::{Batch, Lent, State};
use super::usage::PolicyUse;
use super::{Limits, Policy, PolicyError, Result, Role, check, contract};
use crate::progress::clean;

pub use super::contract::data::Veto;
pub use super::contract::lifecycle::{Env, Info, Setup};
pub use super::contract::planner::Draw;
pub use super::contract::scorer::Scores;
pub use super::contract::selector::Selection;

/// Bytes that a policy may hand over in one call beyond what its rows explain.
const REPLY: usize = 1 << 20;
/// Bytes of state that `save` may give.
const STATE: usize = 16 << 20;

/// When a call happens; also what its random numbers depend on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct When {
    pub round: u32,
    pub epoch: u32,
    pub step: u64,
}

struct Guests {
    lifecycle: contract::lifecycle::Guest,
    scorer: Option<contract::scorer::Guest>,
    selector: Option<contract::selector::Guest>,
    weigher: Option<contract::weigher::Guest>,
    planner: Option<contract::planner::Guest>,
}

/// A running copy of a policy.
pub struct PolicyInstance {
    store: Store<State>,
    guests: Guests,
    policy: Policy,
    limits: Limits,
    info: Info,
    setup: Setup,
    used: PolicyUse,
    calls: u32,
    poisoned: bool,
}

impl Policy {
    /// Makes an instance and lets it `describe` itself and `init`. Its random numbers come from `seed`; what it logs goes
    /// to `log`.
    pub fn start(&self, env: &Env, seed: u64, limits: &Limits, log: LogSink) -> Result<PolicyInstance> {
        let mut store = Store::new(self.sandbox.engine(), State::new(limits, log, seed));
        store.limiter(|state| &mut state.meter);
        arm(&mut store, limits, REPLY);
        let began = Instant::now();
        let instance = self.pre.instantiate(&mut store);
        let instance = instance.map_err(|error| explain(&self.name(), "start", &mut store, limits, error))?;
        let guests = self
            .guests(&mut store, &instance)
            .map_err(|error| PolicyError::WrongSignature { path: self.path.clone(), reason: format!("{error:#}") })?;
        let mut instance = PolicyInstance {
            store,
            guests,
            policy: self.clone(),
            limits: limits.clone(),
            info: Info { name: String::new(), version: String::new(), summary: String::new(), state_version: 0 },
            setup: Setup { needs: Vec::new(), reasons: Vec::new() },
            used: PolicyUse { sha256: self.sha256().to_owned(), ..PolicyUse::default() },
            calls: 0,
            poisoned: false,
        };
        instance.account(began)?;
        instance.describe()?;
        instance.init(env)?;
        Ok(instance)
    }

    fn name(&self) -> String {
        self.path().display().to_string()
    }

    /// The typed exports; this is where their signatures are checked.
    fn guests(&self, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<Guests> {
        macro_rules! load {
            ($role:ident, $of:expr) => {
                if self.roles().contains(&$of) {
                    Some(contract::$role::GuestIndices::new(&self.pre)?.load(&mut *store, instance)?)
                } else {
                    None
                }
            };
        }
        Ok(Guests {
            lifecycle: contract::lifecycle::GuestIndices::new(&self.pre)?.load(&mut *store, instance)?,
            scorer: load!(scorer, Role::Scorer),
            selector: load!(selector, Role::Selector),
            weigher: load!(weigher, Role::Weigher),
            planner: load!(planner, Role::Planner),
        })
    }
}

/// Fills the tank and sets the alarm for one call.
fn arm(store: &mut Store<State>, limits: &Limits, reply: usize) {
    // Both need what the engine was made with, and it was made with both: `set_fuel` can't fail.
    let _ = store.set_fuel(limits.fuel);
    store.set_epoch_deadline(ticks(limits.time));
    store.set_hostcall_fuel(reply);
}

impl PolicyInstance {
    /// What the policy says of itself.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// The columns it needs and the reasons it may give.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The file it came from.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What was used up to now.
    pub fn usage(&self) -> PolicyUse {
        let (state, used) = (self.store.data(), self.used.clone());
        let mut metrics = used.metrics;
        metrics.extend(state.metrics.clone());
        PolicyUse {
            name: self.info.name.clone(),
            version: self.info.version.clone(),
            peak_memory_bytes: used.peak_memory_bytes.max(state.meter.peak() as u64),
            lent_bytes: used.lent_bytes + state.lent,
            metrics,
            ..used
        }
    }

    /// Counts on from what this policy had used when the state was saved that was just restored: what it took to take it up is
    /// none of the work.
    pub fn count_on(&mut self, before: PolicyUse) {
        self.store.data_mut().lent = 0;
        self.used = PolicyUse { sha256: std::mem::take(&mut self.used.sha256), ..before };
    }

    /// Scores a window of the pool: one finite score a row.
    pub fn score(&mut self, columns: Columns, when: When) -> Result<Scores> {
        let (rows, reasons) = (columns.rows(), self.setup.reasons.len());
        let scores = self.with_batch("score", columns, when, |guests, store, batch| match &guests.scorer {
            Some(scorer) => scorer.call_score(store, batch),
            None => Ok(Err("it is no scorer".into())),
        })?;
        self.checked("score", check::scores(&scores, rows, reasons))?;
        Ok(scores)
    }

    /// Selects at most `budget` rows.
    pub fn select(&mut self, columns: Columns, budget: u32, when: When) -> Result<Selection> {
        let (rows, reasons) = (columns.rows(), self.setup.reasons.len());
        let selection = self.with_batch("select", columns, when, |guests, store, batch| match &guests.selector {
            Some(selector) => selector.call_select(store, batch, budget),
            None => Ok(Err("it is no selector".into())),
        })?;
        self.checked("select", check::selection(&selection, rows, budget as usize, reasons))?;
        Ok(selection)
    }

    /// Weights the rows of a training step: finite, not negative, not all zero.
    pub fn weigh(&mut self, columns: Columns, when: When) -> Result<Vec<f32>> {
        let rows = columns.rows();
        let weights = self.with_batch("weigh", columns, when, |guests, store, batch| match &guests.weigher {
            Some(weigher) => weigher.call_weigh(store, batch),
            None => Ok(Err("it is no weigher".into())),
        })?;
        self.checked("weigh", check::weights(&weights, rows))?;
        Ok(weights)
    }

    /// Plans a round: exactly `images` draws of `classes` classes. `stats_json` is a `limbeck_policy::Stats`.
    pub fn plan(&mut self, images: u32, classes: u32, round: u32, stats_json: &str) -> Result<Vec<Draw>> {
        let reply = REPLY.saturating_add((images as usize).saturating_mul(32));
        let plan = |guests: &Guests, store: &mut Store<State>| match &guests.planner {
            Some(planner) => planner.call_plan(store, images, stats_json),
            None => Ok(Err("it is no planner".into())),
        };
        let draws = self.call("plan", reply, u64::from(round) << 40, plan)?;
        self.checked("plan", check::draws(&draws, images, classes))?;
        Ok(draws)
    }

    /// Tells the policy that an epoch of training is over.
    pub fn epoch_end(&mut self, epoch: u32, stats_json: &str) -> Result<()> {
        self.call("epoch-end", REPLY, u64::from(epoch), |g, store| g.lifecycle.call_epoch_end(store, epoch, stats_json))
    }

    /// The state of the policy, for a checkpoint.
    pub fn save(&mut self) -> Result<Vec<u8>> {
        self.call("save", STATE, 0, |guests, store| guests.lifecycle.call_save(store))
    }

    /// Gives the policy a state back that [`PolicyInstance::save`] gave at this version of it.
    pub fn restore(&mut self, state_version: u32, state: &[u8]) -> Result<()> {
        self.call("restore", REPLY, 0, |guests, store| guests.lifecycle.call_restore(store, state_version, state))
    }

    fn describe(&mut self) -> Result<()> {
        let mut info =
            self.call("describe", REPLY, 0, |guests, store| guests.lifecycle.call_describe(store).map(Ok))?;
        for text in [&mut info.name, &mut info.version, &mut info.summary] {
            *text = clean(text, 200);
        }
        self.store.data_mut().set_name(&info.name);
        self.info = info;
        Ok(())
    }

    fn init(&mut self, env: &Env) -> Result<()> {
        let mut setup = self.call("init", REPLY, 0, |guests, store| guests.lifecycle.call_init(store, env))?;
        setup.reasons.iter_mut().for_each(|reason| *reason = clean(reason, 200));
        self.setup = setup;
        Ok(())
    }

    fn with_batch<R>(
        &mut self,
        call: &'static str,
        columns: Columns,
        when: When,
        work: impl FnOnce(&Guests, &mut Store<State>, Resource<Lent>) -> wasmtime::Result<std::result::Result<R, String>>,
    ) -> Result<R> {
        let reply = REPLY.saturating_add(columns.rows().saturating_mul(32));
        let number = self.calls.wrapping_add(1);
        let When { round, epoch, step } = when;
        self.store.data_mut().batch = Some(Batch { columns, round, epoch, step, call: number });
        let stream = step ^ u64::from(round) << 40;
        let result = self.call(call, reply, stream, |guests, store| work(guests, store, Resource::new_borrow(number)));
        self.store.data_mut().batch = None;
        result
    }

    fn call<R>(
        &mut self,
        call: &'static str,
        reply: usize,
        stream: u64,
        work: impl FnOnce(&Guests, &mut Store<State>) -> wasmtime::Result<std::result::Result<R, String>>,
    ) -> Result<R> {
        if self.poisoned {
            return Err(PolicyError::Poisoned { policy: self.policy.name(), call });
        }
        self.calls = self.calls.wrapping_add(1);
        self.store.data_mut().restart_random(stream);
        arm(&mut self.store, &self.limits, reply);
        let began = Instant::now();
        let outcome = work(&self.guests, &mut self.store);
        self.account(began)?;
        match outcome {
            Ok(Ok(reply)) => {
                self.store.data_mut().log.flush();
                Ok(reply)
            }
            Ok(Err(message)) => {
                Err(PolicyError::Refused { policy: self.policy.name(), call, message: clean(&message, MESSAGE) })
            }
            Err(error) => {
                self.poisoned = true;
                Err(explain(&self.policy.name(), call, &mut self.store, &self.limits, error))
            }
        }
    }

    fn account(&mut self, began: Instant) -> Result<()> {
        let left = self.store.get_fuel().map_err(|error| PolicyError::Sandbox { reason: error.to_string() })?;
        self.used.fuel += self.limits.fuel.saturating_sub(left);
        self.used.seconds += began.elapsed().as_secs_f64();
        self.used.calls += 1;
        Ok(())
    }

    fn checked(&self, call: &'static str, verdict: std::result::Result<(), String>) -> Result<()> {
        verdict.map_err(|reason| PolicyError::BadReply { policy: self.policy.name(), call, reason })
    }
}
