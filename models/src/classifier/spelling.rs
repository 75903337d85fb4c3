//! Which network was meant by a name that none has.

/// Names of other families and sizes, a letter away from one that is here.
const OTHERS: [&str; 7] = ["regnet", "resnest", "resnext", "vith", "vitl", "vits", "xresnet"];

/// From as many letters on, a word may have two slips.
const LONG: usize = 8;

/// The one of the `known` names that `name` stands for: the same but for case and separators, the only one that begins so, or
/// the same with a slip, in a word or in a number. Networks of another family or of a depth far off are not meant.
pub(super) fn meant<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let typed = plain(name);
    let near = known.iter().filter_map(|known| Some((slips(&typed, &plain(known))?, *known)));
    near.min().map(|(_, near)| near).or_else(|| only_beginning(&typed, known))
}

/// `ResNet-18` and `vgg16-bn` are `resnet18` and `vgg16_bn`.
fn plain(name: &str) -> String {
    name.to_lowercase().replace(['-', '_', ' '], "")
}

/// The shortest name that begins with `typed`, if all others begin with it: `lenet5` of `lenet`, but none of `resnet`.
fn only_beginning<'a>(typed: &str, known: &[&'a str]) -> Option<&'a str> {
    let begun = || known.iter().filter(|known| typed.len() > 2 && plain(known).starts_with(typed));
    let shortest = *begun().min_by_key(|known| known.len())?;
    begun().all(|known| known.starts_with(shortest)).then_some(shortest)
}

/// How many slips lead from one name to the other, and how far apart its numbers are; `None` where it is another name.
fn slips(typed: &str, known: &str) -> Option<(usize, u64)> {
    let (typed, known) = (runs(typed), runs(known));
    if typed.len() != known.len() {
        return None;
    }
    let (mut in_words, mut in_numbers, mut apart, mut most) = (0, 0, 0, 1);
    for (typed, known) in typed.into_iter().zip(known) {
        let slips = strsim::osa_distance(typed, known);
        match (typed.parse::<u64>(), known.parse::<u64>()) {
            (Ok(a), Ok(b)) if typed.len() == known.len() => {
                in_numbers += slips;
                apart += a.abs_diff(b);
            }
            (Err(_), Err(_)) if slips == 0 || !OTHERS.contains(&typed) => {
                in_words += slips;
                most = if known.len() >= LONG { 2 } else { most };
            }
            _ => return None,
        }
    }
    let most = if in_numbers > 0 { 1 } else { most };
    (in_words + in_numbers <= most).then_some((in_words + in_numbers, apart))
}

/// The words and the numbers of a name, in turn.
fn runs(name: &str) -> Vec<&str> {
    let (mut runs, mut rest) = (Vec::new(), name);
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c: char| c.is_ascii_digit() != first.is_ascii_digit()).unwrap_or(rest.len());
        let (run, behind) = rest.split_at(end);
        runs.push(run);
        rest = behind;
    }
    runs
}
