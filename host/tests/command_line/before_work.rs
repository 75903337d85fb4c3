//! What is known before any work is said before any work: nothing is left behind.

use std::collections::BTreeMap;
use std::process::Command;

use candle_core::{Device, Tensor};
use limbeck_models::checkpoint;

use crate::bad_files::untrained_generator;
use crate::support::Place;

/// Files in MNIST's format: this many images of 28x28 pixels, and their classes 0, 1, 0, ….
pub fn put_digits(place: &Place, name: &str, count: u8) {
    let header = [0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 28, 0, 0, 0, 28];
    let pixels: Vec<u8> = (0..usize::from(count) * 784).map(|at| (at * 37 % 251) as u8).collect();
    place.put(&format!("{name}-images"), [header.as_slice(), &pixels].concat());
    let labels: Vec<u8> = (0..count).map(|at| at % 2).collect();
    place.put(&format!("{name}-labels"), [[0, 0, 8, 1, 0, 0, 0, count].as_slice(), &labels].concat());
}

#[test]
fn students() {
    let place = Place::new();
    put_digits(&place, "test", 2);
    place.put("dit.safetensors", untrained_generator());
    let set = |set: &str| place.refused(&["run", "recipe.toml", "--set", set]);
    insta::assert_snapshot!(set("distill.student=resnet19"), @"exit 2: error: `distill.student` in `--set distill.student=resnet19`: there is no network `resnet19`, did you mean `resnet18`? There are mlp, lenet5, lenet5-half, resnet8, resnet8-half, resnet14, resnet20, resnet32, resnet44, resnet56, resnet110, resnet8x4, resnet32x4, cifar-resnet18, cifar-resnet34, cifar-resnet50, wrn-16-1, wrn-16-2, wrn-40-1, wrn-40-2, cifar-vgg8, cifar-vgg11, cifar-vgg13, cifar-vgg16, cifar-vgg19, resnet18, resnet34, resnet50, resnet101, wide_resnet50_2, vgg11, vgg13, vgg16, vgg19, vgg11_bn, vgg13_bn, vgg16_bn, vgg19_bn, mobilenet_v2, shufflenet_v2_x1_0, efficientnet_b0, vit_b_16, convnext_tiny");
    insta::assert_snapshot!(set("distill.student=vit_b_16"), @"exit 2: error: `distill.student` in `--set distill.student=vit_b_16`: vit_b_16 takes images of a multiple of 16 px, not 28");
    insta::assert_snapshot!(set("distill.start=dit.safetensors"), @"exit 2: error: `distill.start` in `--set distill.start=dit.safetensors`: [dir]/dit.safetensors: the checkpoint has no tensor `conv1.bias`: it is incomplete, or of another architecture");
    let spoilt = Tensor::new(&[0.0, f32::NAN], &Device::Cpu).expect("a small tensor");
    let spoilt = BTreeMap::from([("conv1.bias".to_owned(), spoilt)]);
    place.put("spoilt.safetensors", checkpoint::to_bytes(&spoilt, &BTreeMap::new()).expect("a small file"));
    insta::assert_snapshot!(set("distill.start=spoilt.safetensors"), @"exit 2: error: `distill.start` in `--set distill.start=spoilt.safetensors`: `[dir]/spoilt.safetensors` holds NaN in tensor `conv1.bias`: it is damaged, or of a training that diverged: name another file");
    insta::assert_snapshot!(set("distill.start=test-images"), @"exit 2: error: `distill.start` in `--set distill.start=test-images`: `[dir]/test-images` is not a readable safetensors file: header too large");
}

#[test]
fn channels_that_the_generator_does_not_draw() {
    let place = Place::new();
    place.put("dit.safetensors", untrained_generator());
    insta::assert_snapshot!(place.refused(&["run", "recipe.toml", "--set", "synth.guided-channels=2"]), @"exit 2: error: `synth.guided-channels` in `--set synth.guided-channels=2` is 2, must be at least 1 and at most 1: generator `[dir]/dit.safetensors` draws no more");
}

/// Without a policy it is known how many are kept; with one it may be fewer.
#[test]
fn too_few_real_images() {
    let place = Place::new();
    put_digits(&place, "train", 6);
    put_digits(&place, "test", 2);
    place.put("dit.safetensors", untrained_generator());
    let train = r#"data.train={ images = "train-images", labels = "train-labels" }"#;
    let run = |more: &str| {
        place.refused(&["run", "recipe.toml", "--set", "baseline.real=true", "--set", train, "--set", more])
    };
    insta::assert_snapshot!(run("select.policy="), @"exit 2: error: the baseline needs 40 real images, `data.train` has 6: keep fewer, or set `baseline.real = false`");
    let told = run("select.budget=7");
    insta::assert_snapshot!(told.lines().next().unwrap_or_default(), @"exit 2: warning: the baseline takes as many real images as are kept, which may be 7, and `data.train` has 6: should more than these be kept, no student is trained until you keep fewer or set `baseline.real = false`");
    assert!(!run("select.budget=6").contains("baseline"));
}

const TRAINING: &str = r#"[train]
name = "trial"
network = "lenet5"
epochs = 1

[data]
format = "idx"
classes = 10
train = { images = "train-images", labels = "train-labels" }
"#;

#[test]
fn trainings() {
    let place = Place::new();
    put_digits(&place, "train", 6);
    place.put("training.toml", TRAINING);
    let set = |set: &str| place.refused(&["train", "classifier", "training.toml", "--out", "out", "--set", set]);
    insta::assert_snapshot!(set("train.network=lenet6"), @"exit 2: error: `train.network` in `--set train.network=lenet6`: there is no network `lenet6`, did you mean `lenet5`? There are mlp, lenet5, lenet5-half, resnet8, resnet8-half, resnet14, resnet20, resnet32, resnet44, resnet56, resnet110, resnet8x4, resnet32x4, cifar-resnet18, cifar-resnet34, cifar-resnet50, wrn-16-1, wrn-16-2, wrn-40-1, wrn-40-2, cifar-vgg8, cifar-vgg11, cifar-vgg13, cifar-vgg16, cifar-vgg19, resnet18, resnet34, resnet50, resnet101, wide_resnet50_2, vgg11, vgg13, vgg16, vgg19, vgg11_bn, vgg13_bn, vgg16_bn, vgg19_bn, mobilenet_v2, shufflenet_v2_x1_0, efficientnet_b0, vit_b_16, convnext_tiny");
    insta::assert_snapshot!(set("data.classes=1"), @"exit 2: error: `data.classes` in `--set data.classes=1` is 1, must be at least 2 and at most 100000");
    insta::assert_snapshot!(set("train.images=7"), @"exit 2: error: `train.images` in `--set train.images=7` is 7, but `data.train` has 6 training images");
    insta::assert_snapshot!(set("train.start=dit.safetensors"), @"exit 2: error: `train.start` in `--set train.start=dit.safetensors`: [dir]/dit.safetensors: the checkpoint has no tensor `conv1.bias`: it is incomplete, or of another architecture");
    insta::assert_snapshot!(set("data.train.labels=train-images"), @"exit 2: error: `[dir]/train-images`, byte 0: the magic number is 0x00000803, not 0x00000801: this is a file of images: are `images` and `labels` swapped in the recipe?");
}

/// Of a training that reads its images from the disk as it needs them.
#[test]
fn images_of_a_training() {
    let place = Place::new();
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/images/photo.jpg");
    let photo = std::fs::read(golden).expect("a photograph");
    for name in ["photos/cat", "photos/dog"] {
        std::fs::create_dir_all(place.path().join(name)).expect("a folder");
    }
    place.put("photos/cat/a.jpg", &photo);
    place.put("photos/cat/notes.txt", "no image");
    place.put("photos/cat/.hidden", "no image");
    place.put("photos/dog/a.jpg", &photo[..photo.len() / 2]);
    place.put("photos/dog/b.jpg", "<html>");
    place.put("photos/dog/c.bmp", "BM");
    let data = r#"data={ format = "folder", classes = 2, size = 28, train = { path = "photos" } }"#;
    place.put("training.toml", TRAINING);
    let told = place.refused(&["train", "classifier", "training.toml", "--out", "out", "--set", data]);
    let (warning, error) = told.split_once('\n').expect("two lines");
    insta::assert_snapshot!(warning, @"exit 2: warning: 2 files are no images, so they are passed over, the first is `[dir]/photos/cat/notes.txt`: images end in .jpg, .jpeg, .png or .webp");
    assert!(error.starts_with("error: `[dir]/photos/dog/a.jpg`: it is a damaged JPEG: "), "{error}");
    assert!(error.ends_with(": replace it or take it out (and 1 more: `[dir]/photos/dog/b.jpg`)"), "{error}");
}

#[test]
fn images_that_are_no_squares() {
    let place = Place::new();
    let header = [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 32];
    place.put("train-images", [header.as_slice(), &[7; 28 * 32]].concat());
    place.put("train-labels", [0, 0, 8, 1, 0, 0, 0, 1, 0]);
    place.put("training.toml", TRAINING);
    insta::assert_snapshot!(place.refused(&["train", "classifier", "training.toml", "--out", "out"]), @"exit 2: error: `data.train` at training.toml:9:9: the images of `[dir]/train-images` are 28 high and 32 wide, the networks take squares: crop them first");
}

#[test]
fn keys_without_an_effect() {
    let set = |set: &str| Place::new().refused(&["run", "recipe.toml", "--set", set]);
    insta::assert_snapshot!(set("synth.eta=0.5"), @r#"exit 2: error: `synth.eta` in `--set synth.eta=0.5` has an effect only with `synth.sampler = "ddim"`: set that, or take it out"#);
    insta::assert_snapshot!(set("distill.optimizer={ nesterov = true }"), @r#"exit 2: error: `distill.optimizer.nesterov` in `--set distill.optimizer={ nesterov = true }` has an effect only with `distill.optimizer.kind = "sgd"`: set that, or take it out"#);
    insta::assert_snapshot!(set("distill.optimizer={ milestones = [1] }"), @r#"exit 2: error: `distill.optimizer.milestones` in `--set distill.optimizer={ milestones = [1] }` has an effect only with `distill.optimizer.schedule = "step"`: set that, or take it out"#);
    insta::assert_snapshot!(set("distill.loss={ dkd-beta = 2.0 }"), @r#"exit 2: error: `distill.loss.dkd-beta` in `--set distill.loss={ dkd-beta = 2.0 }` has an effect only with `distill.loss.kind = "dkd"`: set that, or take it out"#);
}

#[test]
fn directories_of_others() {
    let place = Place::new();
    insta::assert_snapshot!(place.refused(&["run", "recipe.toml", "--out", "."]), @"exit 2: error: output directory `.` holds other files, such as `dit.safetensors`: choose an empty or new directory with --out");
}

/// A full disk behind stdout is a failure, whatever the command had to say.
#[test]
#[cfg(target_os = "linux")]
fn data_that_cannot_be_written() {
    let place = Place::new();
    let told = |arguments: &str| {
        let script = format!(r#"exec "$0" {arguments} > /dev/full"#);
        place.refused_by(Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_limbeck")]))
    };
    insta::assert_snapshot!(told("doctor"), @"exit 1: error: can't write to stdout: No space left on device (os error 28)");
    insta::assert_snapshot!(told("--help"), @"exit 1: error: can't write: No space left on device (os error 28)");
    insta::assert_snapshot!(told("--version"), @"exit 1: error: can't write: No space left on device (os error 28)");
}

/// A process that is killed while it tries the directory leaves nothing in it. (The limit on the size of files kills it there.)
#[test]
#[cfg(unix)]
fn a_kill_while_the_directory_is_tried() {
    let place = Place::new();
    std::fs::create_dir(place.path().join("out")).expect("a folder");
    let script = r#"ulimit -c 0; ulimit -f 20; exec "$0" run recipe.toml --out out"#;
    let told = place.refused_by(Command::new("sh").args(["-c", script, env!("CARGO_BIN_EXE_limbeck")]));
    assert_eq!(told, "exit -1: ");
}
