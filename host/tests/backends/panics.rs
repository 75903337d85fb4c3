//! A Rust plugin that panics, in a library of its own: no panic crosses into the host, each ends one instance.

use candle_core::Device;
use limbeck::Error;
use limbeck::backend::{Classifier, open_classifier};
use limbeck::plan::PluginPlan;
use serde_json::json;

use crate::support::{built_library, images, logits, plan};

fn open(panic_in: &str) -> Result<Box<dyn Classifier>, Error> {
    let config = json!({"panic-in": panic_in});
    open_classifier(&PluginPlan { config, ..plan(&built_library("hostile_backend")) }, &Device::Cpu)
}

#[test]
fn in_create_and_describe() {
    let message = |panic_in| open(panic_in).err().unwrap().to_string();
    assert!(message("create").ends_with("can't be set up: it panicked: in create"));
    assert!(message("create with a payload").ends_with("it panicked: a panic without a message"));
    assert!(message("describe").ends_with("can't be set up: it panicked: in describe"));
    assert!(message("nothing, but fail").ends_with("can't be set up: as it was told to"));
}

#[test]
fn in_a_call() {
    let (bad, good) = (open("classify").unwrap(), open("nothing").unwrap());
    let first = logits(bad.as_ref(), &images(1)).unwrap_err().to_string();
    assert!(first.ends_with("failed in `run`: it panicked: in classify"), "{first}");
    let second = logits(bad.as_ref(), &images(1)).unwrap_err().to_string();
    assert!(second.ends_with("failed in `shapes`: unusable since an earlier panic: in classify"), "{second}");
    assert_eq!(logits(good.as_ref(), &images(1)).unwrap(), [[0.0, 1.0]]);
}

#[test]
fn in_destroy() {
    drop(open("drop").unwrap());
    drop(open("drop with a payload").unwrap());
    assert_eq!(logits(open("nothing").unwrap().as_ref(), &images(2)).unwrap(), [[0.0, 1.0], [0.0, 1.0]]);
}
