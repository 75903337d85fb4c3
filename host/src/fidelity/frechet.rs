//! The Fréchet distance between two sets of features, each taken as a Gaussian (Heusel et al., arXiv 1706.08500).

use crate::{Error, Result};

/// Mean and covariance of a set of feature vectors.
#[derive(Clone, Debug)]
pub struct Gaussian {
    mean: Vec<f64>,
    /// Row-major, `[n, n]`.
    covariance: Vec<f64>,
}

impl Gaussian {
    /// The Gaussian of at least two vectors of one length; the covariance is the unbiased one, as numpy's `cov`.
    pub fn of(vectors: &[Vec<f32>]) -> Result<Self> {
        let n = vectors.first().map_or(0, Vec::len);
        if vectors.len() < 2 || n == 0 || vectors.iter().any(|vector| vector.len() != n) {
            return Err(Error::input("a Fréchet distance needs at least two images with features of one length"));
        }
        let count = vectors.len() as f64;
        let mean: Vec<f64> = (0..n).map(|i| vectors.iter().map(|v| f64::from(v[i])).sum::<f64>() / count).collect();
        let mut covariance = vec![0.0; n * n];
        for vector in vectors {
            let centred: Vec<f64> = vector.iter().zip(&mean).map(|(v, m)| f64::from(*v) - m).collect();
            for (row, a) in covariance.chunks_exact_mut(n).zip(&centred) {
                row.iter_mut().zip(&centred).for_each(|(c, b)| *c += a * b);
            }
        }
        covariance.iter_mut().for_each(|c| *c /= count - 1.0);
        Ok(Self { mean, covariance })
    }

    /// `|μ₁ − μ₂|² + tr(C₁ + C₂ − 2·(C₁C₂)^½)`; not negative, in squared units of the features.
    pub fn distance(&self, other: &Self) -> f64 {
        let n = self.mean.len();
        let between: f64 = self.mean.iter().zip(&other.mean).map(|(a, b)| (a - b).powi(2)).sum();
        // tr (C₁C₂)^½ is the sum of the roots of the eigenvalues of the symmetric C₁^½ · C₂ · C₁^½.
        let (values, vectors) = eigen(&self.covariance, n);
        let mut root = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..n {
                root[i * n + j] =
                    (0..n).map(|k| vectors[i * n + k] * values[k].max(0.0).sqrt() * vectors[j * n + k]).sum();
            }
        }
        let middle = product(&product(&root, &other.covariance, n), &root, n);
        let cross: f64 = eigen(&middle, n).0.iter().map(|value| value.max(0.0).sqrt()).sum();
        let trace = |matrix: &[f64]| (0..n).map(|i| matrix[i * n + i]).sum::<f64>();
        (between + trace(&self.covariance) + trace(&other.covariance) - 2.0 * cross).max(0.0)
    }
}

fn product(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
    let mut out = vec![0.0; n * n];
    for i in 0..n {
        for k in 0..n {
            let factor = a[i * n + k];
            for j in 0..n {
                out[i * n + j] += factor * b[k * n + j];
            }
        }
    }
    out
}

/// Eigenvalues, and eigenvectors as columns, of a symmetric matrix: cyclic Jacobi rotations until nothing is left off the
/// diagonal.
fn eigen(matrix: &[f64], n: usize) -> (Vec<f64>, Vec<f64>) {
    const SWEEPS: usize = 60;
    let mut a = matrix.to_vec();
    let mut vectors = vec![0.0; n * n];
    (0..n).for_each(|i| vectors[i * n + i] = 1.0);
    let scale: f64 = a.iter().map(|v| v * v).sum();
    for _ in 0..SWEEPS {
        let off: f64 = (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i * n + j].powi(2)).sum();
        if off <= scale * 1e-28 {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut vectors, n, p, q);
            }
        }
    }
    ((0..n).map(|i| a[i * n + i]).collect(), vectors)
}

/// The rotation in the plane `(p, q)` that makes `a[p][q]` zero (Golub & Van Loan, algorithm 8.5.1).
fn rotate(a: &mut [f64], vectors: &mut [f64], n: usize, p: usize, q: usize) {
    let apq = a[p * n + q];
    if apq == 0.0 {
        return;
    }
    let tau = (a[q * n + q] - a[p * n + p]) / (2.0 * apq);
    let t = tau.signum() / (tau.abs() + (1.0 + tau * tau).sqrt());
    let c = 1.0 / (1.0 + t * t).sqrt();
    let s = t * c;
    let turn = |x: f64, y: f64| (c * x - s * y, s * x + c * y);
    for k in 0..n {
        (a[k * n + p], a[k * n + q]) = turn(a[k * n + p], a[k * n + q]);
        (vectors[k * n + p], vectors[k * n + q]) = turn(vectors[k * n + p], vectors[k * n + q]);
    }
    for k in 0..n {
        (a[p * n + k], a[q * n + k]) = turn(a[p * n + k], a[q * n + k]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Purpose, rng};
    use rand::Rng;
    use rand_distr::StandardNormal;

    fn cloud(stream: u64, scale: &[f32], shift: f32) -> Vec<Vec<f32>> {
        let mut random = rng(1, Purpose::Noise, stream);
        let mut vector = || scale.iter().map(|s| random.sample::<f32, _>(StandardNormal) * s + shift).collect();
        (0..20_000).map(|_| vector()).collect()
    }

    #[test]
    fn independent_axes_have_the_closed_form() -> Result<()> {
        // Σ (σ₁ − σ₂)² + |μ₁ − μ₂|², up to the error of 20,000 samples.
        let (a, b) = ([1.0, 2.0, 0.5, 3.0], [2.0, 2.0, 1.5, 0.1]);
        let found = Gaussian::of(&cloud(1, &a, 0.0))?.distance(&Gaussian::of(&cloud(2, &b, 1.0))?);
        let spread: f32 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
        assert!((found - f64::from(spread) - 4.0).abs() < 0.3, "{found} against {}", spread + 4.0);
        Ok(())
    }

    #[test]
    fn a_set_is_at_no_distance_from_itself() -> Result<()> {
        let mut vectors = cloud(3, &[1.0, 1.0, 5.0], 2.0);
        vectors.iter_mut().for_each(|v| v[1] = v[0] * 0.5 - v[2]); // a singular covariance
        let gaussian = Gaussian::of(&vectors)?;
        assert!(gaussian.distance(&gaussian) < 1e-8);
        Ok(())
    }

    #[test]
    fn eigenvalues_of_a_known_matrix() {
        let (mut values, _) = eigen(&[2.0, 1.0, 0.0, 1.0, 2.0, 0.0, 0.0, 0.0, 5.0], 3);
        values.sort_by(f64::total_cmp);
        assert!(values.iter().zip([1.0, 3.0, 5.0]).all(|(a, b)| (a - b).abs() < 1e-12), "{values:?}");
    }

    #[test]
    fn too_few_images_are_refused() {
        assert!(Gaussian::of(&[vec![1.0]]).is_err());
        assert!(Gaussian::of(&[vec![1.0], vec![]]).is_err());
    }
}
