//! The contract in `wit/`, as Rust. One world for each export, so that a component exports its own roles only; the
//! linker joins the worlds of what a component exports.

pub mod imports {
    wit_bindgen::generate!({ path: "wit/0.1.0", world: "imports" });
}

macro_rules! part {
    ($part:ident, $wit:literal $(, $interface:literal: $module:path)?) => {
        pub mod $part {
            wit_bindgen::generate!({
                inline: $wit,
                path: "wit/0.1.0",
                with: { $($interface: $module)? },
                pub_export_macro: true,
            });
        }
    };
    (batch $part:ident, $wit:literal) => {
        part!($part, $wit, "limbeck:policy/data@0.1.0": crate::bindings::imports::limbeck::policy::data);
    };
}

part!(lifecycle, "package limbeck:sdk; world lifecycle-part { export limbeck:policy/lifecycle@0.1.0; }");
part!(batch scorer, "package limbeck:sdk; world scorer-part { export limbeck:policy/scorer@0.1.0; }");
part!(batch selector, "package limbeck:sdk; world selector-part { export limbeck:policy/selector@0.1.0; }");
part!(batch weigher, "package limbeck:sdk; world weigher-part { export limbeck:policy/weigher@0.1.0; }");
part!(planner, "package limbeck:sdk; world planner-part { export limbeck:policy/planner@0.1.0; }");
