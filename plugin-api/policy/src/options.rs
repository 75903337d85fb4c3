//! What many configurations have in common.

use std::fmt::Display;
use std::ops::RangeInclusive;

/// Whose predictions count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Model {
    #[default]
    Teacher,
    Student,
}

impl Model {
    /// The name of this model's column, such as `student.margin` for `margin`.
    pub fn column(self, quantity: &str) -> String {
        match self {
            Self::Teacher => format!("teacher.{quantity}"),
            Self::Student => format!("student.{quantity}"),
        }
    }
}

/// The value of a key of the configuration, or an error that names the key and its range. NaN is in no range.
pub fn within<T: PartialOrd + Display>(key: &str, value: T, range: RangeInclusive<T>) -> Result<T, String> {
    match range.contains(&value) {
        true => Ok(value),
        false => Err(format!("`{key}` is {value}, expected {} to {}", range.start(), range.end())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_out_of_range_is_named_with_its_range() {
        assert_eq!(within("gamma", 2.0, 0.0..=2.0), Ok(2.0));
        assert_eq!(within("gamma", 3.0, 0.0..=2.0).unwrap_err(), "`gamma` is 3, expected 0 to 2");
        assert!(within("gamma", f64::NAN, 0.0..=2.0).is_err());
        assert_eq!(Model::Student.column("margin"), "student.margin");
    }
}
