//! What a policy may call: the batch that it was lent, log, random numbers, metrics. Every call costs fuel by its size.

use rand::RngCore;
use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime::{StoreContextMut, Trap};

use super::columns::{Columns, Numbers};
use super::contract::{data, host};
use super::log::Level;
use super::pool_ops;
use super::state::{Batch, Lent, State};
use crate::progress::clean;

/// Bytes that one unit of fuel pays for.
const BYTES_PER_FUEL: u64 = 8;
/// Random numbers in one go.
const RANDOM_CAP: u32 = 1 << 20;
/// Different metrics of one instance, and characters of a name.
const METRICS: usize = 100;
const METRIC_NAME: usize = 100;

pub(super) type Context<'a> = StoreContextMut<'a, State>;
type Call<T> = wasmtime::Result<(T,)>;
pub(super) type Fallible<T> = Call<Result<T, String>>;

/// Links the interfaces of `limbeck:policy`.
pub fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    link_data(linker)?;
    pool_ops::link(linker)?;
    let mut at = linker.instance("limbeck:policy/host@0.1.0")?;
    at.func_wrap("log", log)?;
    at.func_wrap("random", random)?;
    at.func_wrap("metric", metric)
}

fn link_data(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut at = linker.instance("limbeck:policy/data@0.1.0")?;
    at.resource("batch", ResourceType::host::<Lent>(), |_, _| Ok(()))?;
    at.func_wrap("[method]batch.len", |context: Context, (batch,)| -> Call<u32> {
        Ok((lent(&context, &batch)?.columns.rows() as u32,))
    })?;
    at.func_wrap("[method]batch.round", |context: Context, (batch,)| -> Call<u32> {
        Ok((lent(&context, &batch)?.round,))
    })?;
    at.func_wrap("[method]batch.epoch", |context: Context, (batch,)| -> Call<u32> {
        Ok((lent(&context, &batch)?.epoch,))
    })?;
    at.func_wrap("[method]batch.step", |context: Context, (batch,)| -> Call<u64> {
        Ok((lent(&context, &batch)?.step,))
    })?;
    at.func_wrap("[method]batch.columns", |context: Context, (batch,)| -> Call<Vec<data::Column>> {
        Ok((describe(&lent(&context, &batch)?.columns),))
    })?;
    at.func_wrap("[method]batch.f32s", f32s)?;
    at.func_wrap("[method]batch.u64s", u64s)?;
    at.func_wrap("[method]batch.gather", gather)
}

/// The batch of the call in progress; another one can't be named by a sound guest, and isn't there for any other.
pub(super) fn lent<'a>(context: &'a Context, batch: &Resource<Lent>) -> wasmtime::Result<&'a Batch> {
    let current = context.data().batch.as_ref().filter(|current| current.call == batch.rep());
    current.ok_or_else(|| wasmtime::Error::msg("a batch was used after the call that it was lent for"))
}

/// Takes the fuel for moving so many bytes.
fn charge(context: &mut Context, bytes: usize) -> wasmtime::Result<()> {
    burn(context, bytes as u64 / BYTES_PER_FUEL)
}

/// Takes so much fuel; without enough of it, the guest has run out.
pub(super) fn burn(context: &mut Context, fuel: u64) -> wasmtime::Result<()> {
    let left = context.get_fuel()?.checked_sub(fuel);
    context.set_fuel(left.unwrap_or(0))?;
    left.map(drop).ok_or_else(|| Trap::OutOfFuel.into())
}

/// Charges for numbers before they are copied.
fn lend<T: Copy>(context: &mut Context, count: usize) -> wasmtime::Result<()> {
    let bytes = count.saturating_mul(size_of::<T>());
    charge(context, bytes)?;
    context.data_mut().lent += bytes as u64;
    Ok(())
}

fn describe(columns: &Columns) -> Vec<data::Column> {
    let describe = |(name, width, numbers): (&str, usize, &Numbers)| data::Column {
        name: name.to_owned(),
        kind: match numbers {
            Numbers::F32(_) => data::Kind::Float32,
            Numbers::U64(_) => data::Kind::Unsigned64,
        },
        width: width as u32,
    };
    columns.iter().map(describe).collect()
}

fn f32s(mut context: Context, (batch, column, start, rows): (Resource<Lent>, String, u32, u32)) -> Fallible<Vec<f32>> {
    let range = match lent(&context, &batch)?.columns.f32_range(&column, start, rows) {
        Ok(numbers) => numbers.len(),
        Err(reason) => return Ok((Err(reason),)),
    };
    lend::<f32>(&mut context, range)?;
    Ok((lent(&context, &batch)?.columns.f32_range(&column, start, rows).map(<[f32]>::to_vec),))
}

fn u64s(mut context: Context, (batch, column, start, rows): (Resource<Lent>, String, u32, u32)) -> Fallible<Vec<u64>> {
    let range = match lent(&context, &batch)?.columns.u64_range(&column, start, rows) {
        Ok(numbers) => numbers.len(),
        Err(reason) => return Ok((Err(reason),)),
    };
    lend::<u64>(&mut context, range)?;
    Ok((lent(&context, &batch)?.columns.u64_range(&column, start, rows).map(<[u64]>::to_vec),))
}

fn gather(mut context: Context, (batch, column, rows): (Resource<Lent>, String, Vec<u32>)) -> Fallible<Vec<f32>> {
    let width = match lent(&context, &batch)?.columns.f32_range(&column, 0, 1) {
        Ok(row) => row.len(),
        Err(reason) => return Ok((Err(reason),)),
    };
    lend::<f32>(&mut context, rows.len().saturating_mul(width))?;
    let columns = &lent(&context, &batch)?.columns;
    let mut gathered = Vec::with_capacity(rows.len() * width);
    for row in rows {
        match columns.f32_range(&column, row, 1) {
            Ok(numbers) => gathered.extend_from_slice(numbers),
            Err(reason) => return Ok((Err(reason),)),
        }
    }
    Ok((Ok(gathered),))
}

fn log(mut context: Context, (level, message): (host::Level, String)) -> wasmtime::Result<()> {
    charge(&mut context, message.len())?;
    let level = match level {
        host::Level::Debug => Level::Debug,
        host::Level::Info => Level::Info,
        host::Level::Warn => Level::Warn,
        host::Level::Error => Level::Error,
    };
    context.data_mut().log.line(level, &message);
    Ok(())
}

fn random(mut context: Context, (n,): (u32,)) -> Call<Vec<u64>> {
    if n > RANDOM_CAP {
        let reason = format!("asked for {n} random numbers at once, and at most {RANDOM_CAP} are given");
        return Err(wasmtime::Error::msg(reason));
    }
    charge(&mut context, n as usize * size_of::<u64>())?;
    let random = &mut context.data_mut().random;
    Ok(((0..n).map(|_| random.next_u64()).collect(),))
}

fn metric(mut context: Context, (name, value): (String, f64)) -> wasmtime::Result<()> {
    charge(&mut context, name.len())?;
    let state = context.data_mut();
    let name = clean(&name, METRIC_NAME);
    let room = state.metrics.len() < METRICS || state.metrics.contains_key(&name);
    if room && value.is_finite() {
        state.metrics.insert(name, value);
    }
    Ok(())
}
