use candle_core::*;
use limbeck_models::{Params, classifier, ops::*, optim};
use std::time::Instant;
fn t(name: &str, flop: f64, mut f: impl FnMut()) {
    f();
    let mut best = f64::MAX;
    for _ in 0..5 {
        let s = Instant::now();
        f();
        best = best.min(s.elapsed().as_secs_f64());
    }
    println!("{name}: {:.2} ms {:.0} GFLOP/s", best * 1e3, flop / best / 1e9);
}
fn main() {
    let d = Device::Cpu;
    for (n, c, o, h, k, s, p) in [] as [(usize, usize, usize, usize, usize, usize, usize); 0] {
        let x = Var::from_tensor(&Tensor::randn(0f32, 1., (n, c, h, h), &d).unwrap()).unwrap();
        let w = Var::from_tensor(&Tensor::randn(0f32, 1., (o, c, k, k), &d).unwrap()).unwrap();
        let y = conv2d(&x, &w, None, s, p, 1).unwrap();
        let fl = 2. * (y.elem_count() * c * k * k) as f64;
        let dy = Tensor::randn(0f32, 1., y.shape(), &d).unwrap();
        let xd = x.as_detached_tensor();
        let wd = w.as_detached_tensor();
        t(&format!("fwd {n} {c}->{o} {h} k{k}s{s}"), fl, || {
            conv2d(&xd, &wd, None, s, p, 1).unwrap();
        });
        t("  fwd+bwd", fl * 3., || {
            let y = conv2d(&x, &w, None, s, p, 1).unwrap();
            let l = (y * &dy).unwrap().sum_all().unwrap();
            l.backward().unwrap();
        });
        t("  (overhead)", fl * 3., || {
            let y = x.as_tensor();
            let l = (y * y).unwrap().sum_all().unwrap();
            l.backward().unwrap();
        });
    }
    let p = Params::from_seed(0, &d);
    let net = classifier::build("resnet18", 100, 3, 32, &p).unwrap();
    let tp = Params::frozen(
        Params::state(&{
            let q = Params::from_seed(0, &d);
            classifier::build("resnet34", 100, 3, 32, &q).unwrap();
            q
        }),
        DType::F32,
        &d,
    );
    let teacher = classifier::build("resnet34", 100, 3, 32, &tp).unwrap();
    let x = Tensor::randn(0f32, 1., (64, 3, 32, 32), &d).unwrap();
    let mut opt =
        optim::Optimizer::new(optim::Rule::Sgd { momentum: 0.9, nesterov: false, weight_decay: 5e-4 }, p.parameters())
            .unwrap();
    let lap = |n: &str, s: &mut Instant| {
        println!("   {n} {:.1}", s.elapsed().as_secs_f64() * 1e3);
        *s = Instant::now();
    };
    for _ in 0..4 {
        let s0 = Instant::now();
        let mut s = Instant::now();
        let tl = teacher.forward(&x, false).unwrap().logits;
        lap("teacher", &mut s);
        let o = net.forward(&x, true).unwrap().logits;
        lap("fwd", &mut s);
        let l = ((o - tl).unwrap().sqr().unwrap()).mean_all().unwrap();
        let g = l.backward().unwrap();
        lap("bwd", &mut s);
        opt.step(&g, 0.05).unwrap();
        lap("opt", &mut s);
        drop(g);
        println!("step {:.1} ms", s0.elapsed().as_secs_f64() * 1e3);
    }
}
