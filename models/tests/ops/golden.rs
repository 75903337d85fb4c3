//! The numbers that PyTorch gave (`tests/golden/make_ops.py`).

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor, Var};
use limbeck_models::checkpoint;
use limbeck_models::ops::{Norm, avg_pool2d, batch_norm, conv2d, kd_loss, linear, max_pool2d};

use crate::assert_close;

/// Relative to the largest element; both sides are f32, their sums are ordered differently.
const TOLERANCE: f32 = 1e-5;

struct Golden {
    tensors: BTreeMap<String, Tensor>,
    device: Device,
}

impl Golden {
    fn load(device: &Device) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/ops.safetensors");
        Self { tensors: checkpoint::load(&path).unwrap().tensors, device: device.clone() }
    }

    fn get(&self, name: &str) -> Tensor {
        self.tensors[name].to_device(&self.device).unwrap()
    }

    fn var(&self, name: &str) -> Var {
        Var::from_tensor(&self.get(name)).unwrap()
    }

    /// Compares the output of `case`, and the gradients of its inputs under the stored output gradient.
    #[track_caller]
    fn check(&self, case: &str, y: &Tensor, inputs: &[(&str, &Var)]) {
        assert_close(case, y, &self.get(&format!("{case}.y")), TOLERANCE);
        let grads = (y * self.get(&format!("{case}.dy"))).unwrap().sum_all().unwrap().backward().unwrap();
        for (name, var) in inputs {
            let expected = self.get(&format!("{case}.d{name}"));
            assert_close(&format!("{case}.d{name}"), grads.get(var).unwrap(), &expected, TOLERANCE);
        }
    }
}

fn convolutions(device: &Device) {
    let golden = Golden::load(device);
    for (case, stride, padding, groups) in [
        ("conv1", 1, 0, 1),
        ("conv3", 1, 1, 1),
        ("conv3s2", 2, 1, 1),
        ("conv5", 1, 2, 1),
        ("conv7s2", 2, 3, 1),
        ("depthwise", 1, 1, 4),
        ("conv1s2", 2, 0, 1),
        ("conv5s2", 2, 2, 1),
        ("conv7", 1, 3, 1),
        ("wide", 1, 1, 1),
        ("grouped", 1, 1, 3),
        ("groupeds2", 2, 1, 2),
        ("depthwises2", 2, 1, 6),
        ("depthwise5", 1, 2, 3),
    ] {
        let [x, w, b] = ["x", "w", "b"].map(|name| golden.var(&format!("{case}.{name}")));
        let y = conv2d(&x, &w, Some(&b), stride, padding, groups).unwrap();
        golden.check(case, &y, &[("x", &x), ("w", &w), ("b", &b)]);
    }
}

fn batch_normalisation(device: &Device) {
    let golden = Golden::load(device);
    let [x, w, b, r] = ["x", "w", "b", "r"].map(|name| golden.var(&format!("bn.{name}")));
    let norm = Norm { weight: &w, bias: &b, eps: 1e-5, residual: Some(&r), relu: true };
    let (y, stats) = batch_norm(&x, norm, None).unwrap();
    golden.check("bn", &y, &[("x", &x), ("w", &w), ("b", &b), ("r", &r)]);
    let stats = stats.unwrap();
    assert_close("mean", &stats.mean, &golden.get("bn.mean"), TOLERANCE);
    assert_close("var", &stats.var, &golden.get("bn.var"), TOLERANCE);
}

fn linear_layers_and_the_loss_behind_them(device: &Device) {
    let golden = Golden::load(device);
    let run = |case: &str, f: &dyn Fn(&Tensor) -> Tensor| {
        let [x, w, b] = ["x", "w", "b"].map(|name| golden.var(&format!("{case}.{name}")));
        let y = f(&linear(&x, &w, &b).unwrap());
        golden.check(case, &y, &[("x", &x), ("w", &w), ("b", &b)]);
    };
    run("linear", &|y| y.clone());
    let teacher = golden.get("linear-kl.teacher");
    run("linear-kl", &|logits| kd_loss(logits, &teacher, None, 4.0).unwrap());
}

fn pooling(device: &Device) {
    let golden = Golden::load(device);
    let x = golden.var("maxpool.x");
    golden.check("maxpool", &max_pool2d(&x, 3, 2, 1).unwrap(), &[("x", &x)]);
    let x = golden.var("avgpool.x");
    golden.check("avgpool", &avg_pool2d(&x, 2, 2).unwrap(), &[("x", &x)]);
}

mod each {
    crate::on_each_device!(convolutions, batch_normalisation, linear_layers_and_the_loss_behind_them, pooling);
}
