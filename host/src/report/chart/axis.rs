//! One axis: its range, its scale and its ticks.

use crate::report::words;

/// An axis from a low value to a greater one.
#[derive(Clone, Debug)]
pub(in crate::report) struct Axis {
    low: f64,
    high: f64,
    /// The distance of ticks; `None` for a logarithmic axis.
    step: Option<f64>,
    /// Whether labels are percents of shares.
    percent: bool,
    pub(in crate::report) title: String,
}

impl Axis {
    /// Covers the finite ones of `values`, with a little room at both ends.
    pub(in crate::report) fn around(values: impl IntoIterator<Item = f64>, title: &str) -> Self {
        let (low, high) = range(values);
        let room = 0.06 * (high - low);
        Self::linear(low - room, high + room, title)
    }

    /// Begins and ends exactly here.
    pub(in crate::report) fn linear(low: f64, high: f64, title: &str) -> Self {
        let (low, high) = if high > low && (high - low).is_finite() { (low, high) } else { (low - 0.5, low + 0.5) };
        let (low, high) = if low.is_finite() && high.is_finite() && high > low { (low, high) } else { (0.0, 1.0) };
        Self { low, high, step: Some(nice_step(high - low)), percent: false, title: title.into() }
    }

    /// Covers the finite shares among `values`, never beyond 0 and 1, labelled in percent.
    pub(in crate::report) fn shares(values: impl IntoIterator<Item = f64>, title: &str) -> Self {
        let (low, high) = range(values);
        let room = (0.1 * (high - low)).max(0.001);
        let axis = Self::linear((low - room).max(0.0), (high + room).min(1.0), title);
        Self { step: Some(nice_step(100.0 * (axis.high - axis.low)) / 100.0), percent: true, ..axis }
    }

    /// Logarithmic when all of `values` are positive and they differ by a factor of 20; linear otherwise.
    pub(in crate::report) fn of_magnitudes(values: impl IntoIterator<Item = f64>, title: &str) -> Self {
        let (low, high) = range(values);
        if low <= 0.0 || high / low < 20.0 {
            return Self::around([low, high], title);
        }
        Self { low: low / 1.15, high: high * 1.15, step: None, percent: false, title: format!("{title}, logarithmic") }
    }

    /// Where a value lies, 0 at the low end and 1 at the high one; beyond them outside the axis.
    pub(in crate::report) fn position(&self, value: f64) -> f64 {
        match self.step {
            Some(_) => (value - self.low) / (self.high - self.low),
            None => (value.max(f64::MIN_POSITIVE) / self.low).ln() / (self.high / self.low).ln(),
        }
    }

    /// The low end.
    pub(in crate::report) fn low(&self) -> f64 {
        self.low
    }

    /// At most about eight values that read well.
    pub(in crate::report) fn ticks(&self) -> Vec<f64> {
        let Some(step) = self.step else { return self.magnitudes() };
        let first = (self.low / step - 1e-9).ceil();
        let ticks = (0..12).map(|i| (first + f64::from(i)) * step);
        ticks.take_while(|&tick| tick <= self.high + 1e-9 * step).collect()
    }

    pub(in crate::report) fn label(&self, value: f64) -> String {
        match (self.step, self.percent) {
            (Some(step), true) => format!("{}\u{202f}%", words::tick(100.0 * value, 100.0 * step)),
            (Some(step), false) => words::tick(value, step),
            (None, _) => value.to_string(),
        }
    }

    /// Powers of ten, with 2 and 5 times them where there are few.
    fn magnitudes(&self) -> Vec<f64> {
        let powers = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        let few = self.high / self.low < 2e3;
        let factors: &[f64] = if few { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let all = powers.flat_map(|power| factors.iter().map(move |factor| decimal(*factor, power)));
        all.filter(|tick| (self.low..=self.high).contains(tick)).take(16).collect()
    }
}

/// `factor * 10^power`, rounded as a reader of decimals would.
fn decimal(factor: f64, power: i32) -> f64 {
    format!("{factor}e{power}").parse().unwrap_or(factor)
}

/// The least and greatest finite value; 0 and 1 when there is none.
fn range(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let finite = values.into_iter().filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low <= high { (low, high) } else { (0.0, 1.0) }
}

/// 1, 2 or 5 times a power of ten that gives about five steps.
fn nice_step(span: f64) -> f64 {
    let rough = span / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= 0.99 * rough).unwrap_or(10.0);
    factor * power
}
