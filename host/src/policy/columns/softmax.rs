//! Softmax and what follows from it, in f64.
//!
//! Sums run in lanes that are added up in one order, products are not fused with sums, and `exp` is made of these: the widest
//! vectors of a processor serve, and every processor gives the same bits.

use limbeck_models::ops::cpu::simd;

/// Partial sums side by side.
const LANES: usize = 16;

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
    /// ln Σ e^z: a logit less this is the logarithm of its probability.
    pub log_norm: f64,
}

impl Grade {
    /// The grade of one row of logits; nothing when one is not finite, or the row is empty.
    pub fn of(logits: &[f32], class: usize) -> Option<Self> {
        simd(
            #[inline(always)]
            || Self::of_row(logits, class),
        )
    }

    #[inline(always)]
    fn of_row(logits: &[f32], class: usize) -> Option<Self> {
        let mine = *logits.get(class)?;
        let (max, second) = top_two(logits)?;
        let (max, second) = (f64::from(max), f64::from(second));
        let [sum, weighted] = sums(
            logits,
            #[inline(always)]
            |logit| {
                let below = f64::from(logit) - max; // ≤ 0
                let e = exp(below);
                [e, e * below]
            },
        );
        let [above] = sums(
            logits,
            #[inline(always)]
            |logit| [f64::from(u8::from(logit > mine))],
        );
        let (log_sum, below) = (libm::log(sum), f64::from(mine) - max);
        Some(Self {
            max_prob: 1.0 / sum,
            margin: (1.0 - exp(second - max)) / sum,
            entropy: (log_sum - weighted / sum).max(0.0),
            p_class: exp(below) / sum,
            correct: above == 0.0 && !logits[..class].contains(&mine),
            rank: above as u32,
            loss: log_sum - below,
            log_norm: log_sum + max,
        })
    }
}

/// The softmax of each row of `classes` logits, of which the grades are known.
pub fn probabilities(logits: &[f32], classes: usize, grades: &[Grade]) -> Vec<f32> {
    let mut all = vec![0.0; logits.len()];
    let rows = all.chunks_exact_mut(classes).zip(logits.chunks_exact(classes)).zip(grades);
    for ((to, from), grade) in rows {
        simd(
            #[inline(always)]
            || to.iter_mut().zip(from).for_each(|(p, &z)| *p = exp(f64::from(z) - grade.log_norm) as f32),
        );
    }
    all
}

/// KL(p‖q) in nats of two rows of logits with their grades, at least 0.
pub fn divergence(teacher: &[f32], p: &Grade, student: &[f32], q: &Grade) -> f64 {
    let [sum] = simd(
        #[inline(always)]
        || {
            pair_sums(
                teacher,
                student,
                #[inline(always)]
                |z, other| {
                    let (log_p, log_q) = (f64::from(z) - p.log_norm, f64::from(other) - q.log_norm);
                    [exp(log_p) * (log_p - log_q)]
                },
            )
        },
    );
    sum.max(0.0)
}

/// The largest number and the second largest, −∞ where there is none; nothing when one is not finite, or all are missing.
#[inline(always)]
fn top_two(numbers: &[f32]) -> Option<(f32, f32)> {
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let smaller = |a: f32, b: f32| if a < b { a } else { b };
    let mut first = [f32::NEG_INFINITY; LANES];
    let mut second = first;
    let mut zeros = [0.0_f32; LANES]; // 0 · x is a number where x is finite
    let (whole, rest) = numbers.as_chunks::<LANES>();
    for chunk in whole {
        for lane in 0..LANES {
            let x = chunk[lane];
            second[lane] = larger(second[lane], smaller(first[lane], x));
            first[lane] = larger(first[lane], x);
            zeros[lane] += 0.0 * x;
        }
    }
    for (lane, &x) in rest.iter().enumerate() {
        second[lane] = larger(second[lane], smaller(first[lane], x));
        first[lane] = larger(first[lane], x);
        zeros[lane] += 0.0 * x;
    }
    let (mut best, mut next) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
    for lane in 0..LANES {
        next = larger(larger(next, second[lane]), smaller(best, first[lane]));
        best = larger(best, first[lane]);
    }
    (!numbers.is_empty() && zeros.iter().all(|&zero| zero == 0.0)).then_some((best, next))
}

/// The sums of what `terms` gives for each number.
#[inline(always)]
fn sums<const N: usize>(numbers: &[f32], terms: impl Fn(f32) -> [f64; N]) -> [f64; N] {
    pair_sums(
        numbers,
        numbers,
        #[inline(always)]
        |number, _| terms(number),
    )
}

/// The sums of what `terms` gives for the pairs of numbers at the same place.
#[inline(always)]
fn pair_sums<const N: usize>(a: &[f32], b: &[f32], terms: impl Fn(f32, f32) -> [f64; N]) -> [f64; N] {
    let mut lanes = [[0.0; LANES]; N];
    let ((whole_a, rest_a), (whole_b, rest_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in whole_a.iter().zip(whole_b) {
        for lane in 0..LANES {
            let found = terms(a[lane], b[lane]);
            for (sum, found) in lanes.iter_mut().zip(found) {
                sum[lane] += found;
            }
        }
    }
    for (lane, (&a, &b)) in rest_a.iter().zip(rest_b).enumerate() {
        let found = terms(a, b);
        for (sum, found) in lanes.iter_mut().zip(found) {
            sum[lane] += found;
        }
    }
    lanes.map(|lanes| {
        let quarters: [f64; 4] = std::array::from_fn(|k| (lanes[k] + lanes[k + 8]) + (lanes[k + 4] + lanes[k + 12]));
        (quarters[0] + quarters[2]) + (quarters[1] + quarters[3])
    })
}

/// `e^x` within 1 ulp for x up to 700; 0 below −708, where f64 has only subnormal numbers.
///
/// x = n ln 2 + r with |r| ≤ ½ ln 2 (Cody and Waite, 1980, with ln 2 in two parts), e^r by its Taylor polynomial, of which
/// the term after the last is below 10⁻¹⁷, and 2ⁿ put into the exponent.
#[inline(always)]
fn exp(x: f64) -> f64 {
    const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 · 2^52: adding and taking away rounds to the nearest integer
    const LN2_HIGH: f64 = 0.693_147_180_369_123_8; // its product with an integer below 2^20 is exact
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let shifted = x * std::f64::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    let mut p = INVERSE_FACTORIALS[0];
    for coefficient in &INVERSE_FACTORIALS[1..] {
        p = p * r + coefficient;
    }
    let power = f64::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 52));
    if x < -708.0 { 0.0 } else { power }
}

/// 1 / 13! to 1 / 0!.
const INVERSE_FACTORIALS: [f64; 14] = {
    let (mut all, mut factorial, mut k) = ([1.0; 14], 1.0, 1);
    while k < 14 {
        factorial *= k as f64;
        all[13 - k] = 1.0 / factorial;
        k += 1;
    }
    all
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_one_unit_of_the_last_place() {
        let mut worst = 0_u64;
        for step in 0..400_000 {
            let x = -708.0 + f64::from(step) * 0.001_77;
            worst = worst.max(exp(x).to_bits().abs_diff(libm::exp(x).to_bits()));
        }
        assert!(worst <= 1, "{worst}");
        assert_eq!((exp(0.0), exp(-0.0), exp(-709.0), exp(f64::NEG_INFINITY), exp(-1e38)), (1.0, 1.0, 0.0, 0.0, 0.0));
    }

    /// Rows of every length up to three chunks, with ties and both signs.
    fn rows() -> impl Iterator<Item = Vec<f32>> {
        (1..48).map(|length| (0..length).map(|k| ((k * 37 + length * 11) % 23) as f32 * 0.7 - 6.0).collect())
    }

    #[test]
    fn grades_are_what_their_definition_says() {
        for row in rows() {
            let exps: Vec<f64> = row.iter().map(|&z| libm::exp(z.into())).collect();
            let sum: f64 = exps.iter().sum();
            let p: Vec<f64> = exps.iter().map(|e| e / sum).collect();
            let best = (0..p.len()).fold(0, |best, k| if p[k] > p[best] { k } else { best });
            let second = (0..p.len()).filter(|&k| k != best).map(|k| p[k]).fold(0.0, f64::max);
            for class in 0..row.len() {
                let grade = Grade::of(&row, class).unwrap();
                let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b} of {class} in {row:?}");
                close(grade.max_prob, p[best]);
                close(grade.margin, p[best] - second);
                close(grade.entropy, -p.iter().map(|&p| p * libm::log(p)).sum::<f64>());
                close(grade.p_class, p[class]);
                close(grade.loss, -libm::log(p[class]));
                close(grade.log_norm, libm::log(sum));
                assert_eq!(grade.correct, class == best);
                assert_eq!(grade.rank as usize, row.iter().filter(|&&z| z > row[class]).count());
            }
        }
        assert!(Grade::of(&[], 0).is_none() && Grade::of(&[1.0], 1).is_none());
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!((0..40).all(|at| {
                let mut row = vec![0.5; 40];
                row[at] = bad;
                Grade::of(&row, 3).is_none()
            }));
        }
    }

    /// The plain loop and that for the widest vectors of this processor.
    #[test]
    fn vectors_change_no_bit() {
        for row in rows() {
            assert_eq!(Grade::of(&row, row.len() / 2), Grade::of_row(&row, row.len() / 2), "{row:?}");
        }
    }

    #[test]
    fn bits_are_frozen() {
        let row: Vec<f32> = (0..1000).map(|k| (k * 7919 % 1000) as f32 * 0.013 - 6.5).collect();
        let other: Vec<f32> = row.iter().rev().copied().collect();
        let (p, q) = (Grade::of(&row, 17).unwrap(), Grade::of(&other, 17).unwrap());
        let bits = [p.max_prob, p.margin, p.entropy, p.p_class, p.loss, p.log_norm, divergence(&row, &p, &other, &q)];
        assert_eq!(bits.map(f64::to_bits), FROZEN);
    }

    const FROZEN: [u64; 7] = [
        4578599129551887467,
        4550286824760434038,
        4617701455406948451,
        4546810875049517713,
        4621389753902904288,
        4622289910865540064,
        4621782011721249206,
    ];
}
