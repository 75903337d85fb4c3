//! What was meant by a name that is not known.

/// The one of the `known` names that differs from `typed` by a slip or two: a letter too many, too few or another, or two that
/// changed places. Of a short name so much must be right that another is not taken for a slip of it.
pub(crate) fn meant<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let slips = |name: &&str| strsim::damerau_levenshtein(typed, name);
    let nearest = known.into_iter().min_by_key(slips)?;
    let slips = slips(&nearest);
    (slips <= 2 && 2 * slips < typed.chars().count()).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_told_from_other_names() {
        let keys = ["batch", "ema", "epochs", "kd", "optimizer", "steps", "teacher.correct", "teacher.loss"];
        let meant = |typed| meant(typed, keys);
        for (typed, key) in [("bacth", "batch"), ("step", "steps"), ("optimiser", "optimizer"), ("bach", "batch")] {
            assert_eq!(meant(typed), Some(key), "{typed}");
        }
        for typed in ["em", "path", "kl", "lr", "teacher.confidence", "teacher.kl", "teacher.label"] {
            assert_eq!(meant(typed), None, "{typed}");
        }
    }
}
