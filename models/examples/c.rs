use candle_core::*;
use limbeck_models::ops::*;
use std::time::Instant;
fn t(name: &str, mut f: impl FnMut()) {
    f();
    let mut best = f64::MAX;
    for _ in 0..7 {
        let s = Instant::now();
        f();
        best = best.min(s.elapsed().as_secs_f64());
    }
    println!("{name}: {:.2} ms", best * 1e3);
}
fn main() {
    let d = Device::Cpu;
    for (n, c, h) in [(64, 64, 32), (64, 128, 16), (64, 256, 8), (64, 512, 4)] {
        let x = Var::from_tensor(&Tensor::randn(0f32, 1., (n, c, h, h), &d).unwrap()).unwrap();
        let r = Var::from_tensor(&Tensor::randn(0f32, 1., (n, c, h, h), &d).unwrap()).unwrap();
        let w = Var::ones(c, DType::F32, &d).unwrap();
        let b = Var::ones(c, DType::F32, &d).unwrap();
        let xd = x.as_detached_tensor();
        println!("{n} {c} {h}");
        t(" fwd", || {
            batch_norm(&xd, Norm { weight: &w, bias: &b, eps: 1e-5, residual: None, relu: true }, None).unwrap();
        });
        t(" eval", || {
            batch_norm(&xd, Norm { weight: &w, bias: &b, eps: 1e-5, residual: None, relu: true }, Some((&w, &b)))
                .unwrap();
        });
        t(" fwd+res", || {
            batch_norm(&xd, Norm { weight: &w, bias: &b, eps: 1e-5, residual: Some(&r), relu: true }, None).unwrap();
        });
        t(" fwd+bwd", || {
            batch_norm(&x, Norm { weight: &w, bias: &b, eps: 1e-5, residual: Some(&r), relu: true }, None)
                .unwrap()
                .0
                .sum_all()
                .unwrap()
                .backward()
                .unwrap();
        });
        t(" add", || {
            (&xd + &xd).unwrap();
        });
        t(" zeros", || {
            x.zeros_like().unwrap();
        });
        t(" sum", || {
            x.as_tensor().sum_all().unwrap().backward().unwrap();
        });
    }
}
