//! Teachers in ONNX files, run by the ONNX Runtime of the user's machine, which is loaded when the first one is set up.
//!
//! `limbeck_backend` gives images with values 0 to 1; scale, normalisation and layout come from the recipe (`config`).
//! Images and grades are in the processor's memory, also where the model itself runs on a GPU.

mod config;
mod external;
mod model;
mod pixels;

use limbeck_backend::{
    Backend, Classifier, Description, Error, Exec, Host, Input, Level, Manifest, Output, Result, Threads,
    export_backend,
};
use limbeck_onnx_runtime::{Options, Runtime, Session, Tensor, find};

use self::config::{Config, Provider};
use self::external::Doubt;
use self::pixels::Pixels;

/// One model.
pub struct OnnxClassifier {
    host: Host,
    session: Session,
    pixels: Pixels,
    /// The only number of images that the model takes at once, if there is one.
    batch: Option<usize>,
    /// The outputs to ask for: logits, then features where there are any.
    wanted: Vec<usize>,
    classes: usize,
    features: Option<usize>,
    name: String,
}

impl Backend for OnnxClassifier {
    fn manifest() -> Manifest {
        Manifest {
            licence: env!("CARGO_PKG_LICENSE").into(),
            operations: vec!["classify".into()],
            // A session's threads work for one call at a time, so that the host's budget holds.
            threads: Threads::Serial,
            ..Manifest::new("onnx", env!("CARGO_PKG_VERSION"))
        }
    }

    fn create(host: &Host, config: &serde_json::Value) -> Result<Self> {
        let config = Config::parse(config)?;
        let path = config.weights.display();
        let named = |error: Error| Error::new(format!("`{path}`: {error}"));
        let bytes = std::fs::read(&config.weights).map_err(|why| Error::new(format!("`{path}`: {why}")))?;
        external::whole(&bytes).map_err(|doubt| named(refusal(doubt)))?;
        let library = find(config.runtime.as_deref(), host.plugin_dir())?;
        let runtime = Runtime::open(&library)?;
        let session = open(runtime, &bytes, &config, host.max_threads()).map_err(named)?;
        let input = model::Input::new(&session.inputs, &config).map_err(named)?;
        let wanted = model::outputs(&session.outputs, &config).map_err(named)?;
        let pixels = Pixels::new(&config, input.size, input.layout).map_err(named)?;
        let name = config.weights.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut made =
            Self { host: host.clone(), session, pixels, batch: input.batch, wanted, classes: 0, features: None, name };
        made.learn_widths(config.classes).map_err(named)?;
        let (version, threads) = (runtime.version(), host.max_threads());
        let place = runtime.path().display();
        host.log(Level::Info, &format!("`{path}` on ONNX Runtime {version} (`{place}`), {threads} threads"));
        Ok(made)
    }

    fn describe(&self) -> Description {
        let (input, network) = (self.pixels.size(), Some(self.name.clone()));
        Description { classes: self.classes, input, features: self.features, variance: false, network }
    }

    fn classifier(&self) -> Option<&dyn Classifier> {
        Some(self)
    }
}

impl Classifier for OnnxClassifier {
    fn classify(
        &self,
        _exec: &Exec,
        images: &Input<'_>,
        logits: &mut Output<'_>,
        features: Option<&mut Output<'_>>,
    ) -> Result<()> {
        let images = images.f32s()?;
        let rows = images.len() / self.pixels.per_image();
        let logits = logits.f32s()?;
        let mut outputs: Vec<(&mut [f32], usize)> = vec![(logits, self.classes)];
        if let (Some(features), Some(width)) = (features, self.features) {
            outputs.push((features.f32s()?, width));
        }
        let at_once = self.batch.unwrap_or(rows).max(1);
        for start in (0..rows).step_by(at_once) {
            if self.host.cancelled() {
                return Err(Error::cancelled());
            }
            let count = at_once.min(rows - start);
            let part = &images[start * self.pixels.per_image()..][..count * self.pixels.per_image()];
            let found = self.run(part, at_once, outputs.len())?;
            for (found, (output, width)) in found.iter().zip(&mut outputs) {
                if found.values.len() != at_once * *width {
                    let shape = &found.shape;
                    return Err(Error::new(format!(
                        "the model gave {shape:?} for {at_once} images, not {width} a row"
                    )));
                }
                output[start * *width..][..count * *width].copy_from_slice(&found.values[..count * *width]);
            }
        }
        Ok(())
    }
}

impl OnnxClassifier {
    /// Runs the model on `rows` images, of which the last may be missing; takes the first `outputs` of the wanted outputs.
    fn run(&self, images: &[f32], rows: usize, outputs: usize) -> Result<Vec<Tensor>> {
        let mut input = self.pixels.prepare(images, rows);
        Ok(self.session.run(&mut input, &self.pixels.shape(rows), &self.wanted[..outputs])?)
    }

    /// Learns the widths of logits and features from black images: what the file says of its outputs is often left open.
    fn learn_widths(&mut self, classes: Option<usize>) -> Result<()> {
        // Two images show whether the export froze a batch of one into the middle of the model.
        let rows = self.batch.unwrap_or(2);
        let black = vec![0.0; rows * self.pixels.per_image()];
        let found = self.run(&black, rows, self.wanted.len())?;
        let width = |at: usize| {
            let (tensor, name) = (&found[at], &self.session.outputs[self.wanted[at]].name);
            let wide = match tensor.shape[..] {
                [n, width] if n == rows => Some(width),
                // Features may come straight from the pooling.
                [n, ref rest @ ..] if n == rows && at == 1 && !rest.is_empty() => Some(rest.iter().product()),
                _ => None,
            };
            let bad = |why: String| Error::new(format!("its output `{name}` {why}"));
            match wide.filter(|&width| width > 0) {
                None => Err(bad(format!(
                    "has shape {:?} for {rows} images, not [{rows}, width]: another output may be the right one, or the \
                     export froze the batch (give `torch.onnx.export` a dynamic one)",
                    tensor.shape
                ))),
                Some(_) if tensor.values.iter().any(|value| !value.is_finite()) => Err(bad(
                    "is not finite for black images: are `mean`, `std` and `pixel-max` what the model was trained with?".into(),
                )),
                Some(width) => Ok(width),
            }
        };
        let logits = width(0)?;
        let features = (self.wanted.len() > 1).then(|| width(1)).transpose()?;
        if let Some(classes) = classes.filter(|&classes| classes != logits) {
            return Err(Error::new(format!("`classes` is {classes}, the model has {logits}")));
        }
        if logits > 1 && found[0].values.chunks(logits).all(is_distribution) {
            self.host.log(
                Level::Warn,
                "its grades are probabilities, where logits are expected: export the model without its softmax, \
                 or `temperature` will soften them twice",
            );
        }
        (self.classes, self.features) = (logits, features);
        Ok(())
    }
}

/// Whether a row is what a softmax gives.
fn is_distribution(row: &[f32]) -> bool {
    row.iter().all(|value| (0.0..=1.0).contains(value)) && (row.iter().sum::<f32>() - 1.0).abs() < 1e-4
}

/// Why a file is not run.
fn refusal(doubt: Doubt) -> Error {
    match doubt {
        Doubt::Broken => {
            Error::new("it is not an ONNX model: `weights` names a file that `torch.onnx.export` or the like wrote")
        }
        Doubt::Elsewhere(tensor) => Error::new(format!(
            "{} is in another file, which the recipe can't pin: put all into one \
             (`torch.onnx.export(…, external_data=False)`, or `onnx.save(onnx.load(OLD), NEW)`)",
            // Values of attributes need no name.
            if tensor.is_empty() { "one of its tensors".into() } else { format!("its tensor `{tensor}`") }
        )),
    }
}

fn open(runtime: &'static Runtime, model: &[u8], config: &Config, threads: usize) -> Result<Session> {
    let cuda = (config.provider == Provider::Cuda).then_some(config.cuda_device);
    Session::new(runtime, model, &Options { threads, cuda }).map_err(|failure| {
        let version = runtime.version();
        if failure.is_not_onnx() {
            return refusal(Doubt::Broken);
        }
        match cuda {
            Some(device) => Error::new(format!(
                "ONNX Runtime {version} can't run it on GPU {device}: {failure} (`provider = \"cuda\"` needs NVIDIA's \
                 driver, and the library of `pip install onnxruntime-gpu` with the CUDA it was built for; set `runtime` to it, \
                 or `provider = \"cpu\"`)"
            )),
            None => Error::new(format!("ONNX Runtime {version} can't run it: {failure}")),
        }
    })
}

export_backend!(OnnxClassifier);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A committed model, or `None`, with a word on stderr, where there is no ONNX Runtime.
    fn open(name: &str) -> Option<Result<OnnxClassifier>> {
        let root = std::path::Path::new("/");
        if let Err(why) = find(None, root) {
            assert!(std::env::var_os("ORT_DYLIB_PATH").is_none(), "{why}");
            eprintln!("SKIPPED, nothing was tested: {why}");
            return None;
        }
        let model = format!("{}/../../tests/golden/onnx/{name}.onnx", env!("CARGO_MANIFEST_DIR"));
        Some(OnnxClassifier::create(&Host::for_tests(root), &json!({"weights": model, "mean": 0.0, "std": 1.0})))
    }

    #[test]
    fn a_model_runs() {
        let Some(opened) = open("flat") else { return };
        let teacher = opened.unwrap();
        let Description { classes, features, input, .. } = teacher.describe();
        assert_eq!((classes, features, input.channels, input.height, input.width), (4, None, 1, 2, 2));
        let pixels = [0.0, 0.25, 0.5, 1.0, 1.0, 0.5, 0.25, 0.0];
        let found = teacher.run(&pixels, 2, 1).unwrap();
        assert_eq!((found[0].shape.as_slice(), found[0].values.as_slice()), (&[2, 4][..], &pixels[..]));
    }

    /// Should `external` ever miss a tensor: in memory a model is nowhere, and the library would look in the current directory.
    #[test]
    fn the_library_itself_reads_no_second_file() {
        let root = std::path::Path::new("/");
        let Some(Ok(_)) = open("flat") else { return };
        let runtime = Runtime::open(&find(None, root).unwrap()).unwrap();
        let model = format!("{}/../../tests/golden/onnx/external.onnx", env!("CARGO_MANIFEST_DIR"));
        let opened = Session::new(runtime, &std::fs::read(model).unwrap(), &Options { threads: 1, cuda: None });
        let message = opened.err().unwrap().to_string();
        assert!(message.contains("/dev/null/weights.bin"), "{message}");
    }

    #[test]
    fn what_the_library_refuses_is_told_in_its_words() {
        let Some(opened) = open("unknown-node") else { return };
        let message = opened.err().unwrap().to_string();
        assert!(message.contains("unknown-node.onnx`: ONNX Runtime 1."), "{message}");
        assert!(message.contains("Guess"), "{message}");
    }
}
