//! Whether a network can be built, and begin with the weights that a recipe names: asked before any work.

use candle_core::Device;
use limbeck_models::classifier::Shape;
use limbeck_models::optim::{Rule, Settings};

use super::learner::Start;
use super::{Learner, Normal, Spec};
use crate::{Context as _, Result};

/// Builds the network once, and once more from `start`. Fails with [`crate::Error::Input`] where a training would, naming
/// one of `keys`: those of the network and of the weights in the recipe.
pub fn try_out(network: &str, shape: Shape, start: Option<Start>, keys: [&str; 2], device: &Device) -> Result<()> {
    let Shape { classes, channels, size } = shape;
    let build = |start| {
        let rule = Rule::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 };
        let settings = Settings { rule, clip_norm: None, accumulate: 1, ema: None };
        let normal = Normal { mean: vec![0.5; channels], std: vec![0.5; channels] };
        let spec = Spec { network: network.to_owned(), classes, channels, size, normal, start };
        Learner::start(spec, 0, settings, None, device).map(drop)
    };
    let [of_network, of_start] = keys;
    build(None).context(format_args!("`{of_network}`"))?;
    match start {
        None => Ok(()),
        start => build(start).context(format_args!("`{of_start}`")),
    }
}
