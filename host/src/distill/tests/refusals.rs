//! What does not fit is refused, with the thing and the remedy.

use candle_core::Device;

use super::counting::without;
use super::teacher::Teacher;
use super::toy::{SIDE, Toy};
use crate::distill::run;
use crate::progress::{Mode, Progress};

#[test]
fn what_does_not_fit_is_refused() {
    let toy = Toy::new("");
    let teach = |teacher: &Teacher| {
        let progress = Progress::new(Mode::Quiet);
        run(&toy.plan, &toy.run, &progress, &Device::Cpu, teacher, &without, 0).unwrap_err().to_string()
    };
    let message = teach(&Teacher::new(8));
    assert!(
        message.contains("the synthetic images: they are 6 high and 6 wide with 1 channel, the teacher"),
        "{message}"
    );
    assert!(message.contains("takes 8 high and 8 wide with 1 channel: name"), "{message}");
    let hint = Toy::new("[distill.loss]\nhint = 1.0");
    let error = hint.distill(&without).unwrap_err();
    assert!(error.to_string().contains("which `halves` does not give: set it to 0"), "{error}");
    assert_eq!(error.exit_code(), 2);
    let mut other = Teacher::new(SIDE);
    other.info.classes = 5;
    assert!(teach(&other).contains("tells 5 classes apart, `data.classes` is 2"));
    toy.run.write_json("subset/round-000.json", &serde_json::json!({ "kept": [1, 99] })).unwrap();
    assert!(teach(&Teacher::new(SIDE)).contains("keeps 2 images, of which the pool has 1"));
    std::fs::remove_file(toy.run.join("subset/round-000.json")).unwrap();
    assert!(teach(&Teacher::new(SIDE)).contains("is not there: `limbeck run` with the run's recipe makes it"));
}
