use super::*;

fn source<'a>(class: &'a [u32], id: &'a [u64], teacher: &'a [f32], student: Option<&'a [f32]>) -> Source<'a> {
    Source { classes: 3, class, id, teacher: Some(teacher), student, ..Source::default() }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// One row of the column, computed from logits of a known softmax.
#[track_caller]
fn check(probabilities: [f32; 3], class: u32, column: &str, want: f32) {
    let logits = probabilities.map(f32::ln);
    let columns = compute(&source(&[class], &[0], &logits, None), &names(&[column])).unwrap();
    let got = columns.f32_range(column, 0, 1).unwrap()[0];
    assert!((got - want).abs() < 1e-5, "{column}: {got}, expected {want}");
}

#[test]
fn scalars_have_their_meaning() {
    let p = [0.7, 0.2, 0.1];
    check(p, 1, "teacher.max-prob", 0.7);
    check(p, 1, "teacher.margin", 0.5);
    check(p, 1, "teacher.p-class", 0.2);
    check(p, 1, "teacher.loss", -(0.2_f32.ln()));
    check(p, 1, "teacher.correct", 0.0);
    check(p, 0, "teacher.correct", 1.0);
    check(p, 2, "teacher.rank-class", 2.0);
    check(p, 0, "teacher.entropy", 0.8018186);
    check([1.0 / 3.0; 3], 0, "teacher.entropy", 3.0_f32.ln());
    check([1.0 / 3.0; 3], 0, "teacher.margin", 0.0);
}

#[test]
fn extreme_logits_stay_finite() {
    let logits = [1e30, -1e30, 0.0];
    let all = source(&[1], &[0], &logits, None).available();
    let wanted: Vec<String> =
        all.into_iter().filter(|name| name.starts_with("teacher.") && !name.ends_with("logits")).collect();
    let columns = compute(&source(&[1], &[0], &logits, None), &wanted).unwrap();
    for (name, _, numbers) in columns.iter() {
        let Numbers::F32(numbers) = numbers else { panic!("{name} is not f32") };
        assert!(numbers.iter().all(|number| number.is_finite()), "{name}: {numbers:?}");
    }
}

#[test]
fn kl_is_zero_for_equals_and_positive_otherwise() {
    let (teacher, student) = ([0.0, 1.0, 2.0, 5.0, 0.0, 0.0], [0.0, 1.0, 2.0, 0.0, 5.0, 0.0]);
    let columns = compute(&source(&[0, 1], &[0, 1], &teacher, Some(&student)), &names(&["kl"])).unwrap();
    let kl = columns.f32_range("kl", 0, 2).unwrap();
    assert_eq!(kl[0], 0.0);
    assert!((kl[1] - 4.9004).abs() < 1e-2, "{}", kl[1]);
}

#[test]
fn unknown_columns_are_refused_with_a_suggestion() {
    let logits = [0.0; 3];
    let error = compute(&source(&[0], &[0], &logits, None), &names(&["teacher.entrpy"])).unwrap_err();
    assert!(error.contains("`teacher.entropy` is near"), "{error}");
    let error = compute(&source(&[0], &[0], &logits, None), &names(&["kl"])).unwrap_err();
    assert!(error.starts_with("no column `kl` here"), "{error}");
}

#[test]
fn bad_logits_and_lengths_are_refused_by_image() {
    let error = compute(&source(&[0], &[17], &[f32::NAN, 0.0, 0.0], None), &names(&["teacher.loss"])).unwrap_err();
    assert_eq!(error, "the teacher's logits for image 17 are not finite numbers");
    let error = compute(&source(&[0, 1], &[0, 1], &[0.0; 3], None), &names(&["class"])).unwrap_err();
    assert_eq!(error, "3 teacher logits for 2 images, expected 6");
    let error = compute(&source(&[3], &[0], &[0.0; 3], None), &[]).unwrap_err();
    assert_eq!(error, "class 3 of 3");
}

#[test]
fn only_what_was_asked_for_is_there() {
    let columns = compute(&source(&[2], &[9], &[0.0; 3], None), &names(&["class", "id"])).unwrap();
    assert_eq!(columns.u64_range("class", 0, 1), Ok(&[2][..]));
    assert_eq!(columns.u64_range("id", 0, 1), Ok(&[9][..]));
    assert!(columns.f32_range("teacher.loss", 0, 1).unwrap_err().contains("needs"));
    assert!(columns.u64_range("class", u32::MAX, u32::MAX).unwrap_err().contains("the batch has 1"));
    assert!(columns.f32_range("class", 0, 1).unwrap_err().contains("u64s"));
}
