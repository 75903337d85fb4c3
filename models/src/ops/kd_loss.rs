//! The distillation loss of Hinton et al. (arXiv 1503.02531), as DM-KD uses it.

use candle_core::{D, Result, Tensor};

/// `τ² · mean over i of wᵢ · KL(softmax(teacherᵢ / τ) ‖ softmax(studentᵢ / τ))`, a scalar ≥ 0.
///
/// `student` and `teacher`: logits `[n, classes]`; `weights`: `[n]`, of mean 1, or `None` for all 1; `temperature` τ > 0.
/// The gradient goes to the student alone. τ² keeps its size the same whatever τ.
pub fn kd_loss(student: &Tensor, teacher: &Tensor, weights: Option<&Tensor>, temperature: f64) -> Result<Tensor> {
    let log_softmax = |logits: &Tensor| candle_nn::ops::log_softmax(&(logits / temperature)?, D::Minus1);
    let teacher = log_softmax(&teacher.detach())?;
    let difference = (&teacher - log_softmax(student)?)?;
    let each = (teacher.exp()? * difference)?.sum(D::Minus1)?; // [n]
    let each = match weights {
        Some(weights) => (each * weights)?,
        None => each,
    };
    each.mean_all()? * (temperature * temperature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint;
    use candle_core::{Device, Var};

    fn tensor(values: &[[f32; 3]]) -> Tensor {
        Tensor::from_slice(values.as_flattened(), (values.len(), 3), &Device::Cpu).unwrap()
    }

    fn loss(student: &Tensor, teacher: &Tensor, weights: Option<&[f32]>, temperature: f64) -> f32 {
        let weights = weights.map(|weights| Tensor::new(weights, &Device::Cpu).unwrap());
        kd_loss(student, teacher, weights.as_ref(), temperature).unwrap().to_scalar().unwrap()
    }

    #[test]
    fn agrees_with_pytorch() {
        // Written by tests/golden/make_kd.py; f32 on both sides.
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/kd.safetensors");
        let golden = checkpoint::load(&path).unwrap().tensors;
        let scalar = |name: &str| golden[name].to_vec1::<f32>().unwrap()[0];
        for (case, temperature) in [("t1", 1.0), ("t4", 4.0), ("t10", 10.0)] {
            for (kind, weights) in [("plain", None), ("weighted", Some(&golden["weights"]))] {
                let student = Var::from_tensor(&golden["student"]).unwrap();
                let loss = kd_loss(&student, &golden["teacher"], weights, temperature).unwrap();
                let (found, expected) = (loss.to_scalar::<f32>().unwrap(), scalar(&format!("{case}.{kind}.loss")));
                assert!((found - expected).abs() <= 1e-5 * expected, "{case} {kind}: {found}, PyTorch {expected}");
                let grads = loss.backward().unwrap();
                let (found, expected) = (grads.get(&student).unwrap(), &golden[&format!("{case}.{kind}.grad")]);
                let gap = (found - expected).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
                assert!(gap <= 1e-6, "{case} {kind}: gradients differ by {gap}");
            }
        }
    }

    #[test]
    fn nothing_is_lost_when_the_student_agrees() {
        let logits = tensor(&[[1.0, -2.0, 0.5], [100.0, -100.0, 0.0]]);
        assert!(loss(&logits, &logits, None, 4.0).abs() < 1e-6);
        // The softmax does not see a shift of all logits.
        assert!(loss(&(&logits + 3.0).unwrap(), &logits, None, 4.0).abs() < 1e-5);
    }

    #[test]
    fn extreme_logits_stay_finite() {
        let (student, teacher) = (tensor(&[[1e4, -1e4, 0.0]]), tensor(&[[-1e4, 1e4, 0.0]]));
        assert!(loss(&student, &teacher, None, 1.0).is_finite());
    }

    #[test]
    fn a_weight_of_zero_takes_an_image_out() {
        let (student, teacher) =
            (tensor(&[[1.0, 2.0, 3.0], [3.0, 0.0, 0.0]]), tensor(&[[3.0, 2.0, 1.0], [0.0, 3.0, 1.0]]));
        let first = loss(&student.narrow(0, 0, 1).unwrap(), &teacher.narrow(0, 0, 1).unwrap(), None, 2.0);
        let weighted = loss(&student, &teacher, Some(&[2.0, 0.0]), 2.0);
        assert!((weighted - first).abs() < 1e-6, "{weighted} {first}");
    }
}
