//! What weighers and the history are told of mixed images.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::toy::Toy;
use crate::Result;
use crate::policy::{Grade, PolicyUse, StepColumns, Weigher};

/// What a student said of the images that a mixed one mostly was: by id, the probabilities of that image's class.
#[derive(Default)]
struct Heard {
    rows: usize,
    /// Rows of whose class the teacher, too, is surest.
    agreed: usize,
    p_class: BTreeMap<u64, Vec<f64>>,
}

struct Watching(Arc<Mutex<Heard>>);

impl Weigher for Watching {
    fn weigh(&mut self, step: StepColumns<'_>) -> Result<Vec<f32>> {
        let mut heard = self.0.lock().unwrap();
        let logits = step.teacher_logits.chunks_exact(2).zip(step.student_logits.chunks_exact(2));
        for ((&id, &class), (teacher, student)) in step.ids.iter().zip(step.classes).zip(logits) {
            assert_eq!(class, (id % 2) as u32);
            heard.rows += 1;
            heard.agreed += usize::from((teacher[1] > teacher[0]) == (class == 1));
            let p = Grade::of(student, class as usize).unwrap().p_class;
            heard.p_class.entry(id).or_default().push(p);
        }
        Ok(vec![1.0; step.ids.len()])
    }

    fn save(&mut self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn restore(&mut self, _state: &[u8]) -> Result<()> {
        Ok(())
    }

    fn epoch_end(&mut self, _epoch: u32, _stats_json: &str) -> Result<()> {
        Ok(())
    }

    fn usage(&self) -> PolicyUse {
        PolicyUse::default()
    }

    fn needs(&self) -> &[String] {
        &[]
    }
}

/// In half of the steps an image keeps the smaller part of its pixels; what the student then says is not about it.
#[test]
fn a_mixed_image_tells_of_the_one_that_it_mostly_is() {
    for augment in ["mixup = 1.0", "cutmix = 1.0"] {
        let mut toy = Toy::new(&format!("[distill.augment]\n{augment}"));
        (toy.plan.baseline, toy.plan.distill.seeds) = (None, vec![0]);
        let heard = Arc::new(Mutex::new(Heard::default()));
        toy.distill(&|_| Ok(Some(Box::new(Watching(heard.clone()))))).unwrap();
        let heard = heard.lock().unwrap();
        assert!(heard.agreed * 10 > heard.rows * 9, "{augment}: {} of {}", heard.agreed, heard.rows);
        let file = toy.run.join("history/synthetic-seed-0.safetensors");
        let history = limbeck_models::checkpoint::load(&file).unwrap().tensors;
        let ids = history["id"].to_vec1::<i64>().unwrap();
        let found = history["history.p-class"].to_vec1::<f64>().unwrap();
        for (id, found) in ids.into_iter().zip(found) {
            let said = &heard.p_class[&(id as u64)];
            let expected = said.iter().sum::<f64>() / said.len() as f64;
            assert!((found - expected).abs() < 1e-6, "{augment}, image {id}: {found}, {expected}");
        }
    }
}
