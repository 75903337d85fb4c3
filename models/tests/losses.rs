//! Every loss against PyTorch's numbers (`tests/golden/make_losses.py`), and on input without any direction.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor, Var};

use limbeck_models::checkpoint;
use limbeck_models::loss::{
    Dist, Dkd, Temperature, attention_transfer, cross_entropy, dist, dkd, hint, kd, logit_mse, standardised_kd,
};

/// Of values and gradients, relative to the largest; f32 on both sides.
const TOLERANCE: f32 = 1e-5;

type Golden = BTreeMap<String, Tensor>;

fn golden(device: &Device) -> Golden {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/losses.safetensors");
    let tensors = checkpoint::load(&path).unwrap().tensors.into_iter();
    tensors.map(|(name, tensor)| (name, tensor.to_device(device).unwrap())).collect()
}

#[track_caller]
fn assert_close(what: &str, found: &Tensor, expected: &Tensor) {
    let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (found, expected) = (values(found), values(expected));
    let scale = expected.iter().fold(0.0f32, |max, value| max.max(value.abs()));
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (f, e)) in found.iter().zip(&expected).enumerate() {
        assert!((f - e).abs() <= TOLERANCE * scale, "{what}: element {i} is {f}, PyTorch has {e}");
    }
}

/// The losses by the names of the script, of whatever `student` and `teacher` stand for.
fn loss(
    name: &str,
    student: &Tensor,
    teacher: &Tensor,
    classes: &Tensor,
    t: &Temperature,
    w: Option<&Tensor>,
) -> Tensor {
    match name {
        "kd" => kd(student, teacher, t, w),
        "kd-by-deviation" => kd(student, teacher, &Temperature::of_deviation(2.0, teacher).unwrap(), w),
        "kd-standardised" => standardised_kd(student, teacher, t, w),
        "dkd" => dkd(student, teacher, classes, Dkd { alpha: 1.0, beta: 8.0 }, t, w),
        "dist" => dist(student, teacher, Dist { beta: 2.0, gamma: 1.5 }, t, w),
        "logit-mse" => logit_mse(student, teacher, w),
        "cross-entropy" => cross_entropy(student, &candle_nn::ops::softmax(teacher, 1).unwrap(), w),
        "hint" => hint(student, teacher, w),
        "attention" => attention_transfer(student, teacher, w),
        _ => panic!("no loss `{name}`"),
    }
    .unwrap()
}

/// On the CPU, and on the first CUDA device where one is compiled in and present.
fn agrees(name: &str, inputs: (&str, &str)) {
    limbeck_models::testing::devices().iter().for_each(|device| agrees_on(device, name, inputs));
}

fn agrees_on(device: &Device, name: &str, inputs: (&str, &str)) {
    let golden = golden(device);
    let temperatures = [("one", Temperature::All(3.0)), ("each", Temperature::Each(golden["temperatures"].clone()))];
    for (kind, weights) in [("plain", None), ("weighted", Some(&golden["weights"]))] {
        for (by, temperature) in &temperatures {
            let case = format!("{name}.{kind}.{by}");
            let student = Var::from_tensor(&golden[inputs.0]).unwrap();
            let loss = loss(name, &student, &golden[inputs.1], &golden["classes"], temperature, weights);
            assert_close(&case, &loss, &golden[&format!("{case}.loss")]);
            let gradients = loss.backward().unwrap();
            assert_close(&case, gradients.get(&student).unwrap(), &golden[&format!("{case}.grad")]);
        }
    }
}

#[test]
fn losses_of_logits_agree_with_pytorch() {
    for name in ["kd", "kd-by-deviation", "kd-standardised", "dkd", "dist", "logit-mse", "cross-entropy"] {
        agrees(name, ("student", "teacher"));
    }
}

#[test]
fn losses_of_features_agree_with_pytorch() {
    agrees("hint", ("student-features", "teacher-features"));
    agrees("attention", ("student-maps", "teacher-maps"));
}

#[test]
fn input_without_direction_gives_no_nan() {
    let same = Tensor::zeros((4, 5), candle_core::DType::F32, &Device::Cpu).unwrap();
    let mut certain = vec![-500.0f32; 20];
    (0..4).for_each(|i| certain[i * 5] = 500.0);
    let certain = Tensor::from_vec(certain, (4, 5), &Device::Cpu).unwrap();
    let wrong = certain.neg().unwrap();
    let classes = Tensor::new(&[0u32, 0, 0, 0], &Device::Cpu).unwrap();
    let nothing = Tensor::zeros(4, candle_core::DType::F32, &Device::Cpu).unwrap();
    let names =
        ["kd", "kd-by-deviation", "kd-standardised", "dkd", "dist", "logit-mse", "cross-entropy", "hint", "attention"];
    for name in names {
        for (student, teacher) in
            [(&same, &same), (&same, &certain), (&certain, &same), (&certain, &wrong), (&certain, &certain)]
        {
            for weights in [None, Some(&nothing)] {
                let shape: &[usize] = if name == "attention" { &[4, 5, 1, 1] } else { &[4, 5] };
                let student = Var::from_tensor(&student.reshape(shape).unwrap()).unwrap();
                let teacher = teacher.reshape(shape).unwrap();
                let loss = loss(name, &student, &teacher, &classes, &Temperature::All(1.0), weights);
                assert!(loss.to_scalar::<f32>().unwrap().is_finite(), "{name}: {student} {teacher}");
                let gradient = loss.backward().unwrap().get(&student).unwrap().flatten_all().unwrap();
                let finite = gradient.to_vec1::<f32>().unwrap().iter().all(|value| value.is_finite());
                assert!(finite, "{name}: gradient of {student} {teacher}");
            }
        }
    }
}

#[test]
fn an_image_without_weight_does_not_count() {
    let golden = golden(&Device::Cpu);
    let (student, teacher) = (&golden["student"], &golden["teacher"]);
    let n = student.dim(0).unwrap();
    let mut counts = vec![n as f32 / (n - 1) as f32; n];
    counts[n - 1] = 0.0;
    let weights = Tensor::new(counts, &Device::Cpu).unwrap();
    let t = Temperature::All(2.0);
    for name in ["kd", "kd-by-deviation", "kd-standardised", "dkd", "dist", "logit-mse", "cross-entropy"] {
        let rest = |tensor: &Tensor| tensor.narrow(0, 0, n - 1).unwrap();
        let without = loss(name, &rest(student), &rest(teacher), &rest(&golden["classes"]), &t, None);
        assert_close(name, &loss(name, student, teacher, &golden["classes"], &t, Some(&weights)), &without);
    }
}

#[test]
fn shapes_that_differ_are_refused() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).unwrap();
    let message = kd(&zeros(&[2, 3]), &zeros(&[2, 4]), &Temperature::All(1.0), None).unwrap_err().to_string();
    assert!(message.contains("the student's shape is [2, 3], the teacher's [2, 4]"), "{message}");
    attention_transfer(&zeros(&[2, 3, 4, 4]), &zeros(&[2, 3, 2, 2]), None).unwrap_err();
}
