//! Axes that read well, and charts that stay whole on odd values.

use proptest::prelude::*;

use super::*;

fn labels(axis: &Axis) -> Vec<String> {
    axis.ticks().iter().map(|&tick| axis.label(tick)).collect()
}

#[test]
fn ticks_are_round_numbers() {
    assert_eq!(labels(&Axis::linear(0.0, 1.0, "")), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
    assert_eq!(labels(&Axis::linear(0.0, 4_690.0, "")), ["0", "1000", "2000", "3000", "4000"]);
    assert_eq!(labels(&Axis::of_magnitudes([0.1, 7.0], "loss")), ["0.1", "0.2", "0.5", "1", "2", "5"]);
    let accuracies = Axis::shares([0.962, 0.9951], "");
    assert_eq!(labels(&accuracies), ["96\u{202f}%", "97\u{202f}%", "98\u{202f}%", "99\u{202f}%"]);
}

#[test]
fn shares_never_leave_0_to_100_percent() {
    let axis = Axis::shares([0.0, 1.0], "");
    assert_eq!((axis.position(0.0), axis.position(1.0)), (0.0, 1.0));
}

#[test]
fn nothing_to_show_is_no_histogram() {
    assert!(histogram(&[f64::NAN], &[], ["", ""], "", "").is_none());
    assert!(histogram(&[1.0], &[], ["", ""], "", "").is_some());
}

proptest! {
    #[test]
    fn any_values_give_a_few_ticks_within_the_axis(values in prop::collection::vec(any::<f64>(), 0..5)) {
        for axis in [
            Axis::around(values.clone(), ""),
            Axis::shares(values.clone(), ""),
            Axis::of_magnitudes(values.clone(), ""),
        ] {
            let ticks = axis.ticks();
            prop_assert!(ticks.len() <= 16);
            prop_assert!(ticks.iter().all(|&tick| (-0.01..=1.01).contains(&axis.position(tick)) || !tick.is_finite()));
        }
    }

    #[test]
    fn any_values_can_be_drawn(values in prop::collection::vec(any::<f64>(), 0..9)) {
        histogram(&values, &values, ["a", "b"], "x", "label");
        let points = values.iter().map(|&value| (value, value)).collect();
        let series = [Series { ink: Ink::Drawn, name: "a".into(), points }];
        let (x, y) = (Axis::around(values.clone(), "x"), Axis::of_magnitudes(values.clone(), "y"));
        let svg = lines(&series, &x, &y, "label").into_string();
        prop_assert!(!svg.contains("NaN") && !svg.contains("inf"));
        let marks = values.iter().map(|&value| (Ink::Real, value, String::new())).collect();
        dots(&[Dots { name: "a".into(), marks, spread: Some((Ink::Real, 0.5, 0.1)) }], true, "label");
    }
}
