//! Pairwise and greedy choices over a whole pool of feature vectors: what the host does for a policy that asks for it by
//! name, and what the SDK does natively, with the same bits.
//!
//! Everywhere `points` are all rows and `candidates` the rows among which is chosen (and, where a sum or a mean runs over
//! "all", all of them); a policy that works class by class calls once a class. Results are rows of `points`. Equal values
//! go to the row that comes first in `candidates`. Sums run in a fixed order without fused multiplications, so that the
//! same rows are chosen on every machine and with every number of threads.

mod distance;
mod facility_location;
mod herding;
mod k_centre;
mod neighbours;
mod points;
mod quota;

pub use facility_location::facility_location;
pub use herding::herding;
pub use k_centre::k_centre;
pub use neighbours::{k_nearest, near_duplicates};
pub use points::{Error, Points};
pub use quota::top_per_class;

/// What an operation costs, in multiplications, before it is done: for a host that sells them.
pub mod cost {
    /// [`crate::k_centre`] and [`crate::herding`]: each choice looks at every candidate once.
    pub fn greedy(candidates: usize, budget: usize, width: usize) -> u64 {
        product(candidates, budget.min(candidates).saturating_add(1), width)
    }

    /// [`crate::facility_location`], [`crate::k_nearest`] and [`crate::near_duplicates`]: every pair, at worst.
    pub fn pairs(rows: usize, candidates: usize, width: usize) -> u64 {
        product(rows, candidates, width)
    }

    fn product(a: usize, b: usize, c: usize) -> u64 {
        (a as u64).saturating_mul(b as u64).saturating_mul(c as u64)
    }
}
