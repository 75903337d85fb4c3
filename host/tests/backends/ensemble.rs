//! Several plugins as one teacher.

use candle_core::{Device, Tensor};
use limbeck::backend::{Classifier, combine, open_teacher};
use limbeck::plan::{Combine, TeachersPlan};
use limbeck::progress::{Mode, Progress};

use crate::support::{Hostile, images, logits, plan};

/// Teachers that say `[value, 0, 0]` of every image, by name.
fn members(values: &[(&str, &str)]) -> Vec<(String, Box<dyn Classifier>)> {
    let open = |(name, value): &(&str, &str)| ((*name).to_owned(), Hostile::new(&[("VALUE", *value)]).open().unwrap());
    values.iter().map(open).collect()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[track_caller]
fn says(teacher: &dyn Classifier, expected: [f32; 3]) {
    for row in logits(teacher, &images(2)).unwrap() {
        let softmax = |row: &[f32]| {
            let total: f32 = row.iter().map(|value| value.exp()).sum();
            row.iter().map(|value| value.exp() / total).collect::<Vec<_>>()
        };
        let far = softmax(&row).into_iter().zip(softmax(&expected)).any(|(a, b)| (a - b).abs() > 1e-6);
        assert!(!far, "{row:?} is not {expected:?}");
    }
}

#[test]
fn they_are_combined_as_the_recipe_says() {
    let two = || members(&[("a", "1.0f"), ("b", "3.0f")]);
    let mean = combine(two(), Combine::MeanLogits, &[]).unwrap();
    assert_eq!(logits(mean.as_ref(), &images(1)).unwrap(), [[2.0, 0.0, 0.0]]);
    assert_eq!(mean.info().name, "a + b (mean of logits)");

    let p = |value: f32| value.exp() / (value.exp() + 2.0);
    let first = (p(1.0) + p(3.0)) / 2.0;
    let probabilities = combine(two(), Combine::MeanProbabilities, &[]).unwrap();
    says(probabilities.as_ref(), [first.ln(), ((1.0 - first) / 2.0).ln(), ((1.0 - first) / 2.0).ln()]);

    let chosen = combine(two(), Combine::PerClass, &names(&["b", "a", "a"])).unwrap();
    let other = (1.0 - p(1.0)) / 2.0;
    says(chosen.as_ref(), [p(3.0).ln(), other.ln(), other.ln()]);

    let hashes = [mean.info().sha256.clone(), probabilities.info().sha256.clone(), chosen.info().sha256.clone()];
    assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2] && hashes[0].len() == 64, "{hashes:?}");
}

#[test]
fn unlike_teachers_are_both_named() {
    let described = |classes: &str, width: &str| {
        let json =
            format!(r#""{{\"classes\":{classes},\"input\":{{\"channels\":1,\"height\":2,\"width\":{width}}}}}""#);
        Hostile::new(&[("DESCRIPTION", &json)]).open().unwrap()
    };
    let with = |other: Box<dyn Classifier>| {
        let members = vec![("strong".to_owned(), described("3", "2")), ("weak".to_owned(), other)];
        let error = combine(members, Combine::MeanLogits, &[]).err().unwrap();
        assert_eq!(error.exit_code(), 2);
        error.to_string()
    };
    assert_eq!(
        with(described("4", "2")),
        "teacher `strong` tells 3 classes apart, teacher `weak` 4: several teachers must know the same classes"
    );
    assert!(
        with(described("3", "5")).contains("teacher `weak` (1, 2, 5): several teachers must take images of one size")
    );
    let two = members(&[("a", "1.0f"), ("b", "3.0f")]);
    let message = combine(two, Combine::PerClass, &names(&["a", "c", "a"])).err().unwrap().to_string();
    assert!(message.contains("is to be decided by `c`"), "{message}");
    assert!(combine(Vec::new(), Combine::MeanLogits, &[]).is_err());
}

#[test]
fn a_failing_member_is_named() {
    let mut two = members(&[("good", "1.0f")]);
    two.push(("bad".to_owned(), Hostile::new(&[("RAN", "logits[0] = 1e30f * 1e30f")]).open().unwrap()));
    let teacher = combine(two, Combine::MeanLogits, &[]).unwrap();
    let message = teacher.classify(&images(1)).unwrap_err().to_string();
    assert!(message.contains("teacher `bad`") && message.contains("inf in the logits"), "{message}");
}

#[test]
fn a_plan_of_one_or_several_opens() {
    let (one, other) = (Hostile::new(&[("VALUE", "1.0f")]), Hostile::new(&[("VALUE", "5.0f")]));
    let open = |members: &[(&str, &Hostile)]| {
        let members = members.iter().map(|(name, plugin)| ((*name).to_owned(), plan(&plugin.path()))).collect();
        open_teacher(
            &TeachersPlan { combine: Combine::MeanLogits, classes: Vec::new(), members },
            &Device::Cpu,
            &Progress::new(Mode::Quiet),
        )
        .unwrap()
    };
    let alone = open(&[("teacher", &one)]);
    assert_eq!((alone.info().name.as_str(), logits(alone.as_ref(), &images(1)).unwrap()[0][0]), ("hostile", 1.0));
    let both = open(&[("1", &one), ("2", &other)]);
    assert_eq!(logits(both.as_ref(), &images(1)).unwrap()[0][0], 3.0);
    let empty = Tensor::zeros((0, 1, 2, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
    assert_eq!(both.classify(&empty).unwrap().logits.dims(), [0, 3]);
}
