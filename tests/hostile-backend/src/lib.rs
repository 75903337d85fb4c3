//! A Rust plugin that panics where its config tells it to, and grades every image as class 1 otherwise.

use limbeck_backend::{
    Backend, Classifier, Description, Error, Exec, Host, Input, InputSize, Manifest, Output, Result, export_backend,
    serde_json,
};

struct Hostile {
    panic_in: String,
}

/// A panic payload that panics again when it is dropped.
struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        panic!("the payload panicked too");
    }
}

impl Hostile {
    fn pass(&self, place: &str) {
        if self.panic_in == place {
            panic!("in {place}");
        }
        if self.panic_in == format!("{place} with a payload") {
            std::panic::panic_any(Grenade);
        }
    }
}

impl Backend for Hostile {
    fn manifest() -> Manifest {
        Manifest { operations: vec!["classify".into()], ..Manifest::new("hostile", "1.0.0") }
    }

    fn create(_host: &Host, config: &serde_json::Value) -> Result<Self> {
        let panic_in = config["panic-in"].as_str().unwrap_or_default().to_owned();
        let made = Self { panic_in };
        made.pass("create");
        if made.panic_in == "nothing, but fail" { Err(Error::new("as it was told to")) } else { Ok(made) }
    }

    fn describe(&self) -> Description {
        self.pass("describe");
        let input = InputSize { channels: 1, height: 2, width: 2 };
        Description { classes: 2, input, features: None, variance: false, network: None }
    }

    fn classifier(&self) -> Option<&dyn Classifier> {
        Some(self)
    }
}

impl Classifier for Hostile {
    fn classify(&self, _: &Exec, _: &Input<'_>, logits: &mut Output<'_>, _: Option<&mut Output<'_>>) -> Result<()> {
        self.pass("classify");
        for row in logits.f32s()?.chunks_mut(2) {
            row.copy_from_slice(&[0.0, 1.0]);
        }
        Ok(())
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.pass("drop");
    }
}

export_backend!(Hostile);
