//! The choices over a whole batch that a policy leaves to the host. Paid for before they are made.

use limbeck_pool_ops::{self as ops, Points, cost};
use wasmtime::component::{ComponentNamedList, Lift, Linker, LinkerInstance, Resource};

use super::imports::{Context, Fallible, burn, lent};
use super::state::{Lent, State};

/// Multiplications that one unit of fuel pays for.
const PRODUCTS_PER_FUEL: u64 = 16;

type Batch = Resource<Lent>;

/// A choice among candidates by a parameter.
type Operation<P> = fn(&Points<'_>, &[u32], P) -> Result<Vec<u32>, ops::Error>;

pub fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut at = linker.instance("limbeck:policy/pool-ops@0.1.0")?;
    at.func_wrap(
        "k-nearest",
        |context: Context, (batch, column, rows, candidates, k): (Batch, String, Vec<u32>, Vec<u32>, u32)| {
            let price = |width| cost::pairs(rows.len(), candidates.len(), width);
            choose(context, &batch, &column, price, |points| ops::k_nearest(points, &rows, &candidates, k as usize))
        },
    )?;
    chosen(&mut at, "k-centre", greedy, |points, rows, budget: u32| ops::k_centre(points, rows, budget as usize))?;
    chosen(&mut at, "herding", greedy, |points, rows, budget: u32| ops::herding(points, rows, budget as usize))?;
    chosen(&mut at, "facility-location", every_pair, |points, rows, budget: u32| {
        ops::facility_location(points, rows, budget as usize)
    })?;
    chosen(&mut at, "near-duplicates", every_pair, |points, rows, cosine: f32| {
        ops::near_duplicates(points, rows, cosine)
    })?;
    at.func_wrap("top-per-class", top_per_class)
}

/// Links a choice among candidates by a parameter; its price depends on how many there are, the parameter, and the width.
fn chosen<P>(
    at: &mut LinkerInstance<State>,
    name: &str,
    price: fn(usize, P, usize) -> u64,
    operation: Operation<P>,
) -> wasmtime::Result<()>
where
    P: Copy + 'static,
    (Batch, String, Vec<u32>, P): ComponentNamedList + Lift,
{
    at.func_wrap(name, move |context: Context, (batch, column, candidates, parameter): (Batch, String, Vec<u32>, P)| {
        let price = |width| price(candidates.len(), parameter, width);
        choose(context, &batch, &column, price, |points| operation(points, &candidates, parameter))
    })
}

fn greedy(candidates: usize, budget: u32, width: usize) -> u64 {
    cost::greedy(candidates, budget as usize, width)
}

fn every_pair<P>(candidates: usize, _: P, width: usize) -> u64 {
    cost::pairs(candidates, candidates, width)
}

fn choose(
    mut context: Context,
    batch: &Batch,
    column: &str,
    price: impl FnOnce(usize) -> u64,
    operation: impl FnOnce(&Points<'_>) -> Result<Vec<u32>, ops::Error>,
) -> Fallible<Vec<u32>> {
    let width = match lent(&context, batch)?.columns.f32_width(column) {
        Ok(width) => width,
        Err(reason) => return Ok((Err(reason),)),
    };
    burn(&mut context, price(width) / PRODUCTS_PER_FUEL)?;
    let columns = &lent(&context, batch)?.columns;
    let numbers = columns.f32_range(column, 0, columns.rows() as u32);
    let chosen = numbers.and_then(|numbers| {
        let points = Points::new(numbers, width).map_err(|error| format!("column `{column}`: {error}"))?;
        operation(&points).map_err(|error| error.to_string())
    });
    Ok((chosen,))
}

fn top_per_class(mut context: Context, (batch, scores, quota): (Batch, Vec<f32>, u32)) -> Fallible<Vec<u32>> {
    burn(&mut context, scores.len() as u64)?;
    let columns = &lent(&context, &batch)?.columns;
    let class = columns.u64_range("class", 0, columns.rows() as u32);
    let kept =
        class.and_then(|class| ops::top_per_class(class, &scores, quota as usize).map_err(|error| error.to_string()));
    Ok((kept,))
}
