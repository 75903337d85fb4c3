//! `exp`, `ln` and `pow` with the same bits natively and in WebAssembly, where the standard library's differ.

/// e to the power of `x`.
pub fn exp(x: f64) -> f64 {
    libm::exp(x)
}

/// The natural logarithm: −∞ at 0, NaN below.
pub fn ln(x: f64) -> f64 {
    libm::log(x)
}

/// The softmax of a row of logits, in f64.
pub fn softmax(logits: &[f32]) -> Vec<f64> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exps: Vec<f64> = logits.iter().map(|&logit| exp(f64::from(logit) - f64::from(max))).collect();
    let sum: f64 = exps.iter().sum();
    exps.into_iter().map(|e| e / sum).collect()
}

/// `x` to the power of `y`.
pub fn pow(x: f64, y: f64) -> f64 {
    libm::pow(x, y)
}
