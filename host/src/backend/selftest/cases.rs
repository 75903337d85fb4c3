//! What is asked of one instance on one thread, and what the answers must be like.

use candle_core::{DType, Tensor};
use limbeck_backend::abi;

use super::probe::{Answers, ROWS};
use super::{Finding, Subject};
use crate::Result;

pub(super) const SHAPES: &str = "shapes and values";
const APART: &str = "different images";
const REPEAT: &str = "the same twice";
const BATCH: &str = "alone and in a batch";
const BAD_INPUT: &str = "NaN and infinity in an image";
const REFUSAL: &str = "what it does not have";
const GRADIENT: &str = "against finite differences";

/// Relative differences up to here are rounding.
pub(super) const ROUNDING: f32 = 1e-5;
/// And up to here they are what fast arithmetic may do.
pub(super) const TOLERABLE: f32 = 1e-3;

/// Each test in turn; where the first fails the rest makes no sense.
pub(super) fn answers(subject: &Subject<'_>) -> Vec<Finding> {
    let shapes = subject.try_out(SHAPES, shapes);
    if shapes.verdict == super::Verdict::Failed {
        return vec![shapes];
    }
    let mut findings = vec![
        shapes,
        subject.try_out(APART, apart),
        subject.try_out(REPEAT, repeat),
        subject.try_out(BATCH, batch),
        subject.try_out(BAD_INPUT, bad_input),
        subject.try_out(REFUSAL, |subject| Ok(refusals(subject))),
    ];
    if subject.probe.op() == abi::OP_VJP {
        findings.push(subject.try_out(GRADIENT, gradient));
    }
    findings
}

/// One row, two, and all; all finite, nothing written but the outputs.
fn shapes(subject: &Subject<'_>) -> Result<Finding> {
    let probe = subject.probe;
    let mut softened = probe.op() == abi::OP_CLASSIFY;
    for rows in [1, 2, ROWS] {
        let rows: Vec<usize> = (0..rows).collect();
        let inputs = probe.inputs(&rows)?;
        let before: Vec<Tensor> = inputs.iter().map(Tensor::copy).collect::<candle_core::Result<_>>()?;
        let (answers, intact) = probe.ask_watched(subject.instance, &inputs)?;
        let count = rows.len();
        if !intact {
            return Ok(subject.failed(
                SHAPES,
                format!("with {count} rows it wrote beside its outputs"),
                "write exactly as many values as the output's shape has: memory of the host was overwritten",
            ));
        }
        for (input, before) in inputs.iter().zip(&before) {
            if input.dtype() == DType::F32 && flat(input)? != flat(before)? {
                return Ok(subject.failed(
                    SHAPES,
                    format!("with {count} rows it changed its input"),
                    "inputs are the host's and only lent to be read: work on a copy",
                ));
            }
        }
        if !answers.finite() {
            return Ok(subject.failed(
                SHAPES,
                format!("with {count} rows there is NaN or infinity in its outputs"),
                "outputs are NaN before the call: write every value, and check weights and normalisation",
            ));
        }
        softened &= (0..count).all(|row| is_distribution(answers.row(row).values(0)));
    }
    if softened {
        return Ok(subject.remark(
            SHAPES,
            "the logits of each image are from 0 to 1 and sum to 1, as probabilities do",
            "give what goes into the softmax: `temperature` softens probabilities a second time",
        ));
    }
    Ok(subject.passed(SHAPES, format!("{} for 1, 2 and {ROWS} rows", probe.output_names())))
}

/// Whether these are what a softmax gives.
fn is_distribution(logits: &[f32]) -> bool {
    let between = logits.iter().all(|value| (0.0..=1.0).contains(value));
    logits.len() > 1 && between && (logits.iter().sum::<f32>() - 1.0).abs() < 1e-4
}

/// Rows that have nothing in common get different answers.
fn apart(subject: &Subject<'_>) -> Result<Finding> {
    let answers = subject.probe.ask_rows(subject.instance, &[0, 1, 2, 3])?;
    let first = answers.row(0);
    if (1..4).all(|row| answers.row(row).same_bits(&first)) {
        return Ok(subject.failed(
            APART,
            "four different images got the same answer to the bit",
            "is the image read at all (`data` plus `byte_offset`, rows one behind the other), and are the weights loaded?",
        ));
    }
    Ok(subject.passed(APART, "different images get different answers"))
}

fn repeat(subject: &Subject<'_>) -> Result<Finding> {
    let all: Vec<usize> = (0..ROWS).collect();
    let first = subject.probe.ask_rows(subject.instance, &all)?;
    let mut worst = 0.0f32;
    for _ in 0..3 {
        let again = subject.probe.ask_rows(subject.instance, &all)?;
        worst = worst.max(if again.same_bits(&first) { 0.0 } else { first.difference(&again).max(f32::MIN_POSITIVE) });
    }
    let promised = subject.plugin.manifest().deterministic;
    Ok(match (worst == 0.0, promised) {
        (true, true) => subject.passed(REPEAT, "four calls gave the same bits"),
        (true, false) => subject.remark(
            REPEAT,
            "four calls gave the same bits, though its manifest says `deterministic: false`",
            "say `deterministic: true` if that always holds",
        ),
        (false, true) => subject.failed(
            REPEAT,
            format!("the same input gave other bits (relative difference {worst:.1e}), its manifest promises the same"),
            "turn off dropout and other randomness, sum in a fixed order, or say `deterministic: false` in the manifest",
        ),
        (false, false) => subject.remark(
            REPEAT,
            format!("the same input gave other bits (relative difference {worst:.1e}), as its manifest says"),
            "a run with this teacher can't be repeated to the bit",
        ),
    })
}

/// A row's answer must not depend on its neighbours or on its place.
fn batch(subject: &Subject<'_>) -> Result<Finding> {
    let probe = subject.probe;
    let order: Vec<usize> = (0..ROWS).rev().collect();
    let together = probe.ask_rows(subject.instance, &order)?;
    let (mut worst, mut exact) = (0.0f32, true);
    for (place, &row) in order.iter().enumerate() {
        let (alone, inside) = (probe.ask_rows(subject.instance, &[row])?, together.row(place));
        worst = worst.max(alone.difference(&inside));
        exact &= alone.same_bits(&inside);
    }
    Ok(if exact {
        subject.passed(BATCH, "to the bit the same")
    } else if worst <= ROUNDING {
        subject.passed(BATCH, format!("the same up to rounding (relative difference {worst:.1e})"))
    } else if worst <= TOLERABLE {
        subject.remark(
            BATCH,
            format!("a relative difference of {worst:.1e}"),
            "more than f32 rounding: is something computed in half precision?",
        )
    } else {
        subject.failed(
            BATCH,
            format!("an image's answer depends on the images beside it (relative difference {worst:.1e})"),
            "batch normalisation must use its running statistics (evaluation mode), and rows must not be mixed up",
        )
    })
}

/// One broken image must not spoil the others, nor the instance.
fn bad_input(subject: &Subject<'_>) -> Result<Finding> {
    let probe = subject.probe;
    let (rows, bad) = ([0, 1, 2], 1);
    let clean = probe.ask_rows(subject.instance, &rows)?;
    let mut hidden = false;
    for value in [f32::NAN, f32::INFINITY] {
        let mut inputs = probe.inputs(&rows)?;
        let shape = inputs[0].dims().to_vec();
        let mut pixels = flat(&inputs[0])?;
        let each = pixels.len() / rows.len();
        pixels[bad * each..][..each].fill(value);
        inputs[0] = Tensor::from_vec(pixels, shape, inputs[0].device())?;
        // Refusing such an image is as good as any answer.
        let Ok(answers) = probe.ask(subject.instance, &inputs) else { continue };
        hidden |= answers.row(bad).finite();
        let spoilt = [0, 2].into_iter().any(|row| answers.row(row).difference(&clean.row(row)) > ROUNDING);
        if spoilt {
            return Ok(subject.failed(
                BAD_INPUT,
                format!("{value} in one image changed the answers for the images beside it"),
                "rows must not be mixed: evaluation mode, no statistics over the batch",
            ));
        }
    }
    let after = probe.ask_rows(subject.instance, &rows)?;
    if after.difference(&clean) > ROUNDING {
        return Ok(subject.failed(
            BAD_INPUT,
            "after a broken image good ones get other answers",
            "an instance must keep nothing from one call to the next",
        ));
    }
    Ok(if hidden {
        subject.remark(
            BAD_INPUT,
            "a broken image got a finite answer: other images are not affected",
            "max-pooling and ReLU swallow NaN; pass it on or refuse it where that matters to you",
        )
    } else {
        subject.passed(BAD_INPUT, "the broken image alone is refused or gets no finite answer")
    })
}

/// Operations, sizes and outputs that no plugin of this description has must be refused, not attempted.
fn refusals(subject: &Subject<'_>) -> Finding {
    let (instance, probe) = (subject.instance, subject.probe);
    let Ok(inputs) = probe.inputs(&[0, 1]) else { return subject.passed(REFUSAL, "not tried") };
    let Ok(shapes) = probe.shapes(&inputs) else { return subject.passed(REFUSAL, "not tried") };
    let lent: Vec<&Tensor> = inputs.iter().collect();
    let mut accepted = Vec::new();
    if instance.run(99, &lent, &shapes).is_ok() {
        accepted.push("operation 99, which nobody has");
    }
    let wider =
        inputs[0].dims4().and_then(|(n, c, h, w)| Tensor::zeros((n, c, h, w + 3), DType::F32, inputs[0].device()));
    if let Ok(wider) = wider {
        let lent: Vec<&Tensor> = std::iter::once(&wider).chain(lent[1..].iter().copied()).collect();
        if instance.run(probe.op(), &lent, &shapes).is_ok() {
            accepted.push("images three columns wider than it describes");
        }
    }
    if accepted.is_empty() {
        return subject.passed(REFUSAL, "unknown operations and other image sizes are refused");
    }
    subject.failed(
        REFUSAL,
        format!("it accepted {}", accepted.join(" and ")),
        "return LIMBECK_UNSUPPORTED from `shapes` and `run`: otherwise it reads memory that is not there",
    )
}

/// `vjp(x, d) · δ` is what `classify(x + εδ) · d` changes by, over 2ε in both directions.
fn gradient(subject: &Subject<'_>) -> Result<Finding> {
    const STEP: f32 = 1e-2;
    const MOST: f64 = 0.05;
    let (probe, instance) = (subject.probe, subject.instance);
    if !subject.plugin.has_operation("classify") {
        return Ok(subject.passed(GRADIENT, "not compared: it has no `classify`"));
    }
    let inputs = probe.inputs(&[0])?;
    let (images, direction) = (flat(&inputs[0])?, flat(&inputs[1])?);
    let found = probe.ask(instance, &inputs)?;
    let gradient = found.values(0).to_vec();
    let norm = gradient.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if norm == 0.0 {
        return Ok(subject.failed(GRADIENT, "it is zero everywhere", "is the graph kept up to the image?"));
    }
    // Along the gradient itself nothing cancels.
    let along: Vec<f32> = gradient.iter().map(|value| (f64::from(*value) / norm) as f32).collect();
    let (device, shape) = (inputs[0].device(), inputs[0].dims());
    let classes = direction.len();
    let value_at = |step: f32| -> Result<f64> {
        let moved = images.iter().zip(&along).map(|(image, along)| image + step * along).collect::<Vec<_>>();
        let moved = Tensor::from_vec(moved, shape, device)?;
        let logits = Answers::new(instance.run(abi::OP_CLASSIFY, &[&moved], &[vec![1, classes]])?)?;
        Ok(logits.dot(&direction))
    };
    let expected = (value_at(STEP)? - value_at(-STEP)?) / (2.0 * f64::from(STEP));
    let off = ((expected - norm) / norm).abs();
    let shown = format!("{norm:.4} along the gradient, {expected:.4} by differences");
    Ok(if off <= MOST {
        subject.passed(GRADIENT, shown)
    } else {
        subject.failed(
            GRADIENT,
            shown,
            "it must be the gradient with respect to the images in 0..1, normalisation included",
        )
    })
}

fn flat(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}
