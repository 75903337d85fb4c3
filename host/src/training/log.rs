//! The log of a training: JSON lines that have neither gaps nor doubles, however often the process was killed.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::run_dir::RunDir;
use crate::{Error, Result};

/// The file in the run directory.
pub const METRICS: &str = "metrics.jsonl";

/// Steps between two lines at most; there is one at each epoch's end too.
pub const LOG_EVERY: u64 = 50;

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// What is trained: `synthetic` or `real` for students; absent when it is a classifier from labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<String>,
    pub seed: u64,
    /// Steps done.
    pub step: u64,
    /// Epochs done, in parts.
    pub epoch: f64,
    /// Mean over the steps since the line before.
    pub loss: f64,
    /// Learning rate of the last step.
    pub lr: f64,
    /// On test images, 0 to 1, at the end of an epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
}

/// The lines of one training in the log of a run.
pub struct Log<'a> {
    run: &'a RunDir,
    arm: Option<String>,
    seed: u64,
}

impl<'a> Log<'a> {
    pub fn new(run: &'a RunDir, arm: Option<&str>, seed: u64) -> Self {
        Self { run, arm: arm.map(str::to_owned), seed }
    }

    /// Drops what this training wrote after step `step`, and a line that was torn: these steps are done again.
    pub fn rewind(&self, step: u64) -> Result<()> {
        keep_lines(self.run, |line: &Line| line.arm != self.arm || line.seed != self.seed || line.step <= step)
    }

    /// Puts the lines so far on the disk: to be called before each resume point, so that it never knows of a line that is lost.
    pub fn sync(&self) -> Result<()> {
        self.run.sync(METRICS)
    }

    pub fn write(&self, step: u64, epoch: f64, loss: f64, lr: f64, accuracy: Option<f64>) -> Result<()> {
        let line = Line { arm: self.arm.clone(), seed: self.seed, step, epoch, loss, lr, accuracy };
        let line = serde_json::to_string(&line).map_err(|error| Error::failed(error.to_string()))?;
        self.run.append_line(METRICS, &line)
    }
}

/// Drops every line of the log but those that `stay`; one that was torn goes.
pub fn keep_lines<L: DeserializeOwned>(run: &RunDir, stay: impl Fn(&L) -> bool) -> Result<()> {
    let path = run.join(METRICS);
    if !path.exists() {
        return Ok(());
    }
    let text = fs_err::read_to_string(&path)?;
    let stays = |line: &&str| serde_json::from_str::<L>(line).is_ok_and(|line| stay(&line));
    let kept: String = text.lines().filter(stays).flat_map(|line| [line, "\n"]).collect();
    if kept == text { Ok(()) } else { run.write_atomic(METRICS, kept.as_bytes()) }
}

/// The mean of the losses since the last line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Running {
    sum: f64,
    count: u64,
}

impl Running {
    pub fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    /// The mean, and a fresh start.
    pub fn take(&mut self) -> f64 {
        let mean = self.sum / self.count.max(1) as f64;
        *self = Self::default();
        mean
    }

    /// For a resume point, under a name of its own; the sum bit by bit, as text would round it.
    pub fn save(&self, name: &str, metadata: &mut BTreeMap<String, String>) {
        metadata.insert(format!("{name}-sum"), self.sum.to_bits().to_string());
        metadata.insert(format!("{name}-count"), self.count.to_string());
    }

    /// What [`Self::save`] gave.
    pub fn restore(name: &str, saved: &super::Resume) -> Result<Self> {
        let number = |part| saved.number(&format!("{name}-{part}"));
        Ok(Self { sum: f64::from_bits(number("sum")?), count: number("count")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewinding_drops_only_what_comes_again() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::create(dir.path()).unwrap();
        let (mine, other) = (Log::new(&run, Some("real"), 1), Log::new(&run, Some("synthetic"), 1));
        mine.rewind(0).unwrap();
        for step in 1..=3 {
            other.write(step, 0.1, 1.5, 0.1, None).unwrap();
            mine.write(step, 0.1, 1.5, 0.1, Some(0.5)).unwrap();
        }
        let path = run.join(METRICS);
        let torn = format!("{}{{\"arm\":\"real\",\"se", std::fs::read_to_string(&path).unwrap());
        std::fs::write(&path, torn).unwrap();
        mine.rewind(2).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<Line> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let found: Vec<_> = lines.iter().map(|line| (line.arm.as_deref().unwrap(), line.step)).collect();
        assert_eq!(found, [("synthetic", 1), ("real", 1), ("synthetic", 2), ("real", 2), ("synthetic", 3)]);
    }

    #[test]
    fn a_mean_starts_again_when_taken() {
        let mut running = Running::default();
        running.add(1.0);
        running.add(2.0);
        assert_eq!((running.take(), running.take()), (1.5, 0.0));
    }
}
