//! Numbers as people read them.

use crate::progress::plural;

/// A share as percent with two decimals and a thin space: `97.42 %`.
pub(super) fn percent(share: f64) -> String {
    format!("{}\u{202f}%", crate::words::percent(share))
}

/// A difference of two shares in percentage points, with its sign.
pub(super) fn points(difference: f64) -> String {
    format!("{:+.2}", 100.0 * difference).replace('-', "\u{2212}")
}

/// A whole number in groups of three digits: `10,000`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}

/// A score or weight, with as many decimals as tell something.
pub(super) fn short(value: f64) -> String {
    let text = match value.abs() {
        x if x >= 1000.0 => format!("{value:.0}"),
        x if x >= 10.0 => format!("{value:.1}"),
        x if x >= 0.01 || x == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.0e}"),
    };
    text.replace('-', "\u{2212}")
}

/// A score or weight under a small picture: two decimals.
pub(super) fn brief(value: f64) -> String {
    if value.abs() < 10.0 { format!("{value:.2}").replace('-', "\u{2212}") } else { short(value) }
}

/// The label of a tick: the fewest decimals that show the steps of an axis.
pub(super) fn tick(value: f64, step: f64) -> String {
    let decimals = (-step.log10()).ceil().clamp(0.0, 6.0) as usize;
    let text = format!("{:.decimals$}", if value.abs() < step / 1e3 { 0.0 } else { value });
    text.replace('-', "\u{2212}")
}

/// Bytes in binary units: `1.5 MiB`.
pub(super) fn bytes(count: u64) -> String {
    match count {
        0..1024 => format!("{count}\u{202f}B"),
        1024..1_048_576 => format!("{:.1}\u{202f}KiB", count as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1}\u{202f}MiB", count as f64 / 1_048_576.0),
        _ => format!("{:.1}\u{202f}GiB", count as f64 / 1_073_741_824.0),
    }
}

/// A large count in millions or billions: `1.2 billion`.
pub(super) fn large(count: u64) -> String {
    match count {
        0..1_000_000 => thousands(count),
        1_000_000..1_000_000_000 => format!("{:.1} million", count as f64 / 1e6),
        _ => format!("{:.1} billion", count as f64 / 1e9),
    }
}

/// A time: `40 ms`, `42.0 s`, `3 min 05 s`.
pub(super) fn seconds(time: f64) -> String {
    let whole = time.max(0.0).round() as u64;
    match whole {
        _ if time < 1.0 => format!("{:.0}\u{202f}ms", 1000.0 * time.max(0.0)),
        0..60 => format!("{time:.1}\u{202f}s"),
        60..3600 => format!("{}\u{202f}min {:02}\u{202f}s", whole / 60, whole % 60),
        _ => format!("{}\u{202f}h {:02}\u{202f}min", whole / 3600, whole % 3600 / 60),
    }
}

/// `1 seed`, `3 seeds`.
pub(super) fn counted(count: usize, thing: &str) -> String {
    format!("{} {}", thousands(count as u64), plural(count, thing))
}

/// The start of a text that may be of any length.
pub(super) fn clipped(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(percent(0.97418), "97.42\u{202f}%");
        assert_eq!((points(0.0123), points(-0.001)), ("+1.23".into(), "\u{2212}0.10".into()));
        assert_eq!([thousands(7), thousands(1_234), thousands(10_000_000)], ["7", "1,234", "10,000,000"]);
        assert_eq!(
            [short(0.5), short(0.0), short(0.00123), short(-12.34)],
            ["0.50", "0.00", "1e\u{2212}3", "\u{2212}12.3"]
        );
        assert_eq!([tick(0.5, 0.25), tick(20.0, 10.0), tick(-1e-17, 0.1)], ["0.5", "20", "0.0"]);
        assert_eq!(
            [seconds(0.42), seconds(185.0), seconds(7_800.0)],
            ["420\u{202f}ms", "3\u{202f}min 05\u{202f}s", "2\u{202f}h 10\u{202f}min"]
        );
        assert_eq!([bytes(12), bytes(1_572_864)], ["12\u{202f}B", "1.5\u{202f}MiB"]);
        assert_eq!(
            [counted(1, "seed"), counted(2_000, "image"), counted(3, "class")],
            ["1 seed", "2,000 images", "3 classes"]
        );
        assert_eq!([clipped("añb", 2), clipped("ab", 2)], ["añ…", "ab"]);
    }
}
