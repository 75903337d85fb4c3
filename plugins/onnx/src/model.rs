//! What a model's inputs and outputs are for, from what the file says and what the recipe says.

use limbeck_backend::{Error, InputSize, Result};
use limbeck_onnx_runtime::Port;

use crate::config::{Config, Layout};

/// How images go in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Input {
    pub(crate) size: InputSize,
    pub(crate) layout: Layout,
    /// The only number of images that the model takes at once, if there is one.
    pub(crate) batch: Option<usize>,
}

impl Input {
    /// Fails on a model that takes anything but one f32 tensor of images, and on a recipe that contradicts it.
    pub(crate) fn new(inputs: &[Port], config: &Config) -> Result<Self> {
        let [input] = inputs else {
            let names = list(inputs);
            return Err(Error::new(format!("the model has {} inputs ({names}), a classifier has one", inputs.len())));
        };
        let name = &input.name;
        if !input.is_f32() {
            return Err(Error::new(format!(
                "its input `{name}` is {}, this plugin gives float32: export it with a float32 input (a Cast node in front)",
                input.element_name()
            )));
        }
        let dims: [i64; 4] = match input.dims.as_slice() {
            [] => [-1; 4],
            dims => dims.try_into().map_err(|_| {
                let shape = shape(dims);
                Error::new(format!(
                    "its input `{name}` has shape {shape}, images have four axes (n, channels, height, width)"
                ))
            })?,
        };
        let layout = layout(name, dims, config)?;
        let [batch, channels, height, width] = match layout {
            Layout::Nchw => dims,
            Layout::Nhwc => [dims[0], dims[3], dims[1], dims[2]],
        };
        let sides = config.size();
        let size = InputSize {
            channels: fixed(name, "channels", channels, config.channels)?,
            height: fixed(name, "size", height, sides.map(|[height, _]| height))?,
            width: fixed(name, "size", width, sides.map(|[_, width]| width))?,
        };
        Ok(Self { size, layout, batch: usize::try_from(batch).ok().filter(|&batch| batch > 0) })
    }
}

/// Which outputs to ask for, by number: the logits, and the features where the recipe names them.
pub(crate) fn outputs(outputs: &[Port], config: &Config) -> Result<Vec<usize>> {
    let find = |key: &str, name: &String| {
        let at = outputs.iter().position(|output| output.name == *name);
        at.ok_or_else(|| Error::new(format!("`{key}` is `{name}`, the model's outputs are {}", list(outputs))))
    };
    let features = config.features.as_ref().map(|name| find("features", name)).transpose()?;
    let others: Vec<usize> = (0..outputs.len()).filter(|at| Some(*at) != features).collect();
    let logits = match (&config.logits, others.as_slice()) {
        (Some(name), _) => find("logits", name)?,
        (None, [only]) => *only,
        (None, []) => return Err(Error::new("the model has no output for logits")),
        (None, _) => {
            return Err(Error::new(format!(
                "the model has the outputs {}: set the `config` key `logits` to the one with the logits, such as \"{}\"",
                list(outputs),
                outputs[others[0]].name
            )));
        }
    };
    if Some(logits) == features {
        return Err(Error::new("`logits` and `features` name the same output"));
    }
    let wanted: Vec<usize> = std::iter::once(logits).chain(features).collect();
    if let Some(bad) = wanted.iter().map(|&at| &outputs[at]).find(|output| !output.is_f32()) {
        let (name, found) = (&bad.name, bad.element_name());
        return Err(Error::new(format!(
            "its output `{name}` is {found}, this plugin takes float32: export it with a Cast"
        )));
    }
    Ok(wanted)
}

/// The recipe's layout, or the usual one unless the model looks like the other.
fn layout(name: &str, dims: [i64; 4], config: &Config) -> Result<Layout> {
    let is_colour = |dim: i64| dim == 1 || dim == 3;
    match config.layout {
        Some(layout) => Ok(layout),
        None if is_colour(dims[3]) && dims[1] > 0 && !is_colour(dims[1]) => Err(Error::new(format!(
            "its input `{name}` has shape {}, channels last: set the `config` key `layout` to \"nhwc\" \
             (or to \"nchw\" if the first really are channels)",
            shape(&dims)
        ))),
        None => Ok(Layout::Nchw),
    }
}

/// A dimension that the model fixes, or the recipe, or both alike.
fn fixed(name: &str, key: &str, model: i64, recipe: Option<usize>) -> Result<usize> {
    match (usize::try_from(model).ok().filter(|&dim| dim > 0), recipe) {
        (Some(model), Some(recipe)) if model != recipe => {
            Err(Error::new(format!("`{key}` is {recipe}, the model's input `{name}` is fixed at {model}")))
        }
        (Some(dim), _) | (None, Some(dim)) => Ok(dim),
        (None, None) => {
            let example = if key == "size" { "224" } else { "3" };
            Err(Error::new(format!(
                "the model's input `{name}` leaves it open: set the `config` key `{key}` to what it was trained with, such as \
                 {example}"
            )))
        }
    }
}

fn list(ports: &[Port]) -> String {
    ports.iter().map(|port| format!("`{}`", port.name)).collect::<Vec<_>>().join(", ")
}

/// A shape with `n` for what is open.
fn shape(dims: &[i64]) -> String {
    let dims = dims.iter().map(|&dim| if dim < 0 { "?".into() } else { dim.to_string() });
    format!("[{}]", dims.collect::<Vec<_>>().join(", "))
}
