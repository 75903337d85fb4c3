//! The stage between two rounds: where the student of a round lags behind the teacher, on drawn images that it has not
//! learnt from. The real test images take no part: they would no longer be a test.

use candle_core::Device;

use crate::accuracy::arg_max;
use crate::backend::Classifier;
use crate::plan::Plan;
use crate::policy::{Grade, divergence};
use crate::pool::{Pool, Sample};
use crate::progress::{Progress, counted};
use crate::rounds::{self, ClassStats, Hard, Lag, lag_file, student_file};
use crate::run_dir::{RunDir, sha256_file};
use crate::student::Student;
use crate::{Error, Result};

/// Images that teacher and student see at once.
const BATCH: usize = 200;
/// Images that a planner is told of.
const HARDEST: usize = 64;

/// Measures the student of the plan's first seed after a round, and writes `rounds/round-RRR-lag.json`. One that was
/// measured is left as it is; after the last round there is nothing to plan.
pub fn run(
    plan: &Plan,
    run: &RunDir,
    progress: &Progress,
    device: &Device,
    teacher: &dyn Classifier,
    round: u32,
) -> Result<()> {
    if plan.is_last(round) || run.join(&lag_file(round)).exists() {
        return Ok(());
    }
    let (_, held_out) = rounds::kept_so_far(plan, run, round)?;
    let seed = plan.distill.seeds.first().copied().unwrap_or(0);
    let path = run.join(&student_file(&rounds::arm(plan, round), seed));
    let student = Student::of_run(&path, &plan.distill.student, device)?;
    let bar = progress.stage("measure", held_out.samples.len() as u64, "images");
    let mut tally = Tally::new(drawn(plan, run, round)?);
    let images = held_out.to_dataset(plan.data.classes);
    let rows: Vec<usize> = (0..images.len()).collect();
    for rows in rows.chunks(BATCH) {
        let batch = images.batch(rows)?.0.to_device(device)?; // [rows, channels, height, width]
        let numbers = |logits: candle_core::Tensor| logits.to_device(&Device::Cpu)?.flatten_all()?.to_vec1::<f32>();
        let (p, q) = (numbers(teacher.classify(&batch)?.logits)?, numbers(student.forward(&batch)?.logits)?);
        let classes = plan.data.classes;
        for ((&row, p), q) in rows.iter().zip(p.chunks_exact(classes)).zip(q.chunks_exact(classes)) {
            tally.add(&held_out.samples[row], p, q)?;
        }
        bar.advance(rows.len() as u64);
    }
    bar.finish();
    let lag = tally.finish(seed, sha256_file(&path)?);
    progress.note(format_args!(
        "measure: student and teacher agree on {:.1} % of {}",
        100.0 * lag.agreement,
        counted(lag.held_out, "held-out image")
    ));
    run.write_json(&lag_file(round), &lag)
}

/// Images of each class that the rounds have drawn up to this one.
fn drawn(plan: &Plan, run: &RunDir, round: u32) -> Result<Vec<u64>> {
    let mut counts = vec![0; plan.data.classes];
    for round in 0..=round {
        Pool::read(run, round)?.samples.iter().for_each(|sample| counts[sample.class as usize] += 1);
    }
    Ok(counts)
}

/// Counts over held-out images.
struct Tally {
    classes: Vec<ClassStats>,
    hardest: Vec<Hard>,
    agree: usize,
    kl: f64,
}

impl Tally {
    fn new(drawn: Vec<u64>) -> Self {
        let class = |images| ClassStats { images, ..ClassStats::default() };
        Self { classes: drawn.into_iter().map(class).collect(), hardest: Vec::new(), agree: 0, kl: 0.0 }
    }

    /// An image with the teacher's and the student's logits.
    fn add(&mut self, sample: &Sample, teacher: &[f32], student: &[f32]) -> Result<()> {
        let class = sample.class as usize;
        let (Some(p), Some(q)) = (Grade::of(teacher, class), Grade::of(student, class)) else {
            return Err(Error::failed(format!(
                "the teacher's or student's logits for image {} are not finite numbers",
                sample.id
            )));
        };
        let kl = divergence(teacher, &p, student, &q);
        let found = &mut self.classes[class];
        found.held_out += 1;
        found.teacher_accuracy += f64::from(u8::from(p.correct));
        found.student_accuracy += f64::from(u8::from(q.correct));
        self.agree += usize::from(arg_max(teacher) == arg_max(student));
        self.kl += kl;
        let from = &sample.provenance;
        let seed = from.stream.unwrap_or(sample.id);
        self.hardest.push(Hard { class: sample.class, guidance: from.guidance, steps: from.steps, seed, kl });
        Ok(())
    }

    /// Sums become shares; of equally hard images the one that came first is the harder.
    fn finish(mut self, seed: u64, student: String) -> Lag {
        for class in &mut self.classes {
            let images = class.held_out.max(1) as f64;
            class.teacher_accuracy /= images;
            class.student_accuracy /= images;
        }
        let held_out = self.hardest.len();
        self.hardest.sort_by(|a, b| b.kl.total_cmp(&a.kl));
        self.hardest.truncate(HARDEST);
        let images = held_out.max(1) as f64;
        Lag {
            seed,
            student,
            held_out,
            agreement: self.agree as f64 / images,
            mean_kl: self.kl / images,
            classes: self.classes,
            hardest: self.hardest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::{Image, Provenance};

    fn sample(id: u64, class: u32) -> Sample {
        let image = Image { channels: 1, height: 1, width: 1, pixels: vec![0] };
        let provenance = Provenance { stream: Some(100 + id), ..Provenance::of_class(class) };
        Sample { id, class, image, provenance }
    }

    #[test]
    fn the_lag_is_by_class_and_the_farthest_image_is_the_hardest() {
        let mut tally = Tally::new(vec![5, 3, 0]);
        tally.add(&sample(0, 0), &[4.0, 0.0, 0.0], &[4.0, 0.0, 0.0]).unwrap();
        tally.add(&sample(1, 0), &[4.0, 0.0, 0.0], &[0.0, 4.0, 0.0]).unwrap();
        tally.add(&sample(2, 1), &[4.0, 0.0, 0.0], &[1.0, 0.0, 0.0]).unwrap();
        assert!(tally.add(&sample(3, 1), &[f32::NAN, 0.0, 0.0], &[1.0, 0.0, 0.0]).is_err());
        let lag = tally.finish(7, "hash".into());
        assert_eq!((lag.seed, lag.held_out, lag.agreement), (7, 3, 2.0 / 3.0));
        let class = |images, held_out, teacher_accuracy, student_accuracy| ClassStats {
            images,
            held_out,
            teacher_accuracy,
            student_accuracy,
        };
        assert_eq!(lag.classes, [class(5, 2, 1.0, 0.5), class(3, 1, 0.0, 0.0), class(0, 0, 0.0, 0.0)]);
        assert_eq!(lag.hardest.iter().map(|hard| hard.seed).collect::<Vec<_>>(), [101, 102, 100]);
        assert!(lag.hardest[0].kl > 3.0 && lag.hardest[2].kl == 0.0, "{:?}", lag.hardest);
    }
}
