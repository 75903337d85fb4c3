//! The macros that make a component of a policy. Natively they do nothing.

/// Makes a component of a type that implements [`crate::Scorer`].
#[macro_export]
macro_rules! export_scorer {
    ($policy:ty) => {
        $crate::__export!($policy, scorer);
    };
}

/// Makes a component of a type that implements [`crate::Selector`].
#[macro_export]
macro_rules! export_selector {
    ($policy:ty) => {
        $crate::__export!($policy, selector);
    };
}

/// Makes a component of a type that implements [`crate::Weigher`].
#[macro_export]
macro_rules! export_weigher {
    ($policy:ty) => {
        $crate::__export!($policy, weigher);
    };
}

/// Makes a component of a type that implements [`crate::Planner`].
#[macro_export]
macro_rules! export_planner {
    ($policy:ty) => {
        $crate::__export!($policy, planner);
    };
}

/// Makes a component of a type with several roles: `export_policy!(MyPolicy: scorer, weigher)`. The roles are `scorer`,
/// `selector`, `weigher` and `planner`.
#[macro_export]
macro_rules! export_policy {
    ($policy:ty: $($role:ident),+ $(,)?) => {
        $crate::__export!($policy, $($role),+);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($policy:ty, $($role:ident),+) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;

            ::std::thread_local! {
                static POLICY: ::std::cell::RefCell<::std::option::Option<$policy>> =
                    const { ::std::cell::RefCell::new(::std::option::Option::None) };
            }

            impl $crate::guest::Slot for Component {
                type Policy = $policy;
                const VERSION: &str = ::std::env!("CARGO_PKG_VERSION");

                fn with<R>(work: impl FnOnce(&mut ::std::option::Option<$policy>) -> R) -> R {
                    POLICY.with_borrow_mut(work)
                }
            }

    $crate::bindings::lifecycle::export!(Component with_types_in $crate::bindings::lifecycle);
    $($crate::bindings::$role::export!(Component with_types_in $crate::bindings::$role);)+
        };
    };
}
