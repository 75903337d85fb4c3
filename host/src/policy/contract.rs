//! The contract in `plugin-api/policy/wit/`, as Rust: types and exports. Imports are linked by hand, because they charge
//! fuel.

wasmtime::component::bindgen!({
    path: "../plugin-api/policy/wit/0.1.0",
    world: "every-role",
    with: { "limbeck:policy/data.batch": super::state::Lent },
});

pub use self::limbeck::policy::{data, host};
pub use exports::limbeck::policy::{lifecycle, planner, scorer, selector, weigher};
