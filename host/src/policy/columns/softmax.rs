//! Softmax and what follows from it, in f64.

/// What one model says of one image. Probabilities are of the softmax at temperature 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grade {
    /// In 1/C..=1.
    pub max_prob: f64,
    /// Largest less second largest probability.
    pub margin: f64,
    /// In nats, 0..=ln C.
    pub entropy: f64,
    /// The probability of the intended class.
    pub p_class: f64,
    /// Whether arg-max is the intended class; equal logits go to the lower class.
    pub correct: bool,
    /// How many classes are more probable than the intended one.
    pub rank: u32,
    /// −ln `p_class`, in nats.
    pub loss: f64,
}

impl Grade {
    /// The grade of one row of logits; nothing when one is not finite, or the row is empty.
    pub fn of(logits: &[f32], class: usize) -> Option<Self> {
        let (best, max) = arg_max(logits)?;
        let (mut sum, mut weighted, mut second) = (0.0, 0.0, f64::NEG_INFINITY);
        for (k, &logit) in logits.iter().enumerate() {
            let below = f64::from(logit) - max; // ≤ 0
            let e = libm::exp(below);
            sum += e;
            weighted += e * below;
            if k != best {
                second = second.max(below);
            }
        }
        let of_class = f64::from(*logits.get(class)?);
        let log_sum = libm::log(sum);
        Some(Self {
            max_prob: 1.0 / sum,
            margin: (1.0 - libm::exp(second)) / sum,
            entropy: (log_sum - weighted / sum).max(0.0),
            p_class: libm::exp(of_class - max) / sum,
            correct: best == class,
            rank: logits.iter().filter(|&&logit| f64::from(logit) > of_class).count() as u32,
            loss: log_sum + max - of_class,
        })
    }
}

/// The class of the largest logit, the lower one of equals, and the logit. Nothing when one is not finite.
fn arg_max(logits: &[f32]) -> Option<(usize, f64)> {
    let mut best = None;
    for (k, &logit) in logits.iter().enumerate() {
        if !logit.is_finite() {
            return None;
        }
        if best.is_none_or(|(_, max)| f64::from(logit) > max) {
            best = Some((k, f64::from(logit)));
        }
    }
    best
}

/// ln softmax of a row.
fn log_probabilities(logits: &[f32]) -> Option<impl Iterator<Item = f64>> {
    let (_, max) = arg_max(logits)?;
    let sum: f64 = logits.iter().map(|&logit| libm::exp(f64::from(logit) - max)).sum();
    let log_sum = libm::log(sum) + max;
    Some(logits.iter().map(move |&logit| f64::from(logit) - log_sum))
}

/// The softmax of each row of `classes` logits; nothing when one is not finite.
pub fn probabilities(logits: &[f32], classes: usize) -> Option<Vec<f32>> {
    let mut all = Vec::with_capacity(logits.len());
    for row in logits.chunks_exact(classes) {
        all.extend(log_probabilities(row)?.map(|log_p| libm::exp(log_p) as f32));
    }
    Some(all)
}

/// KL(p‖q) in nats of two rows of logits, at least 0; nothing when one is not finite.
pub fn divergence(teacher: &[f32], student: &[f32]) -> Option<f64> {
    let pairs = log_probabilities(teacher)?.zip(log_probabilities(student)?);
    Some(pairs.map(|(log_p, log_q)| libm::exp(log_p) * (log_p - log_q)).sum::<f64>().max(0.0))
}
