//! Weighers of toy images: one that remembers and may break off, and none.

use crate::policy::{PolicyUse, StepColumns, Weigher};
use crate::{Error, Result};

/// Weights that depend on all that came before; stops the run at a step.
struct Counting {
    seen: u64,
    stop_at: Option<u64>,
}

impl Weigher for Counting {
    fn weigh(&mut self, step: StepColumns<'_>) -> Result<Vec<f32>> {
        if self.stop_at == Some(step.step) {
            return Err(Error::failed("killed"));
        }
        assert_eq!(step.teacher_logits.len(), step.ids.len() * step.classes_total);
        assert_eq!(step.student_logits.len(), step.teacher_logits.len());
        self.seen += 1;
        let raw: Vec<f32> = step.ids.iter().map(|id| (id % 3) as f32 + self.seen as f32 * 0.01).collect();
        let mean = raw.iter().sum::<f32>() / raw.len() as f32;
        Ok(raw.into_iter().map(|weight| weight / mean).collect())
    }

    fn save(&mut self) -> Result<Vec<u8>> {
        Ok(self.seen.to_le_bytes().to_vec())
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        self.seen = u64::from_le_bytes(state.try_into().unwrap());
        Ok(())
    }

    fn epoch_end(&mut self, _epoch: u32, stats_json: &str) -> Result<()> {
        let stats: serde_json::Value = serde_json::from_str(stats_json).unwrap();
        assert!(stats["loss"].is_number());
        self.seen += 100;
        Ok(())
    }

    fn usage(&self) -> PolicyUse {
        PolicyUse::default()
    }

    fn needs(&self) -> &[String] {
        static NEEDS: std::sync::LazyLock<[String; 1]> = std::sync::LazyLock::new(|| ["kl".to_owned()]);
        &*NEEDS
    }
}

pub fn counting(stop_at: Option<u64>) -> impl Fn(u64) -> Result<Option<Box<dyn Weigher>>> {
    move |_| Ok(Some(Box::new(Counting { seen: 0, stop_at })))
}

pub fn without(_: u64) -> Result<Option<Box<dyn Weigher>>> {
    Ok(None)
}
