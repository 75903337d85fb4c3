//! Every device distils the same student.

use candle_core::Device;
use limbeck_models::checkpoint;
use limbeck_models::ops::cpu::without_kernels;

use super::counting::without;
use super::teacher::Teacher;
use super::toy::{SIDE, Toy};
use crate::distill::run;
use crate::progress::{Mode, Progress};
use crate::rounds::student_file;

/// With the CPU's kernels, with candle's operations, which other devices have, and on the first CUDA device where there is one.
#[test]
fn every_device_distils_alike() {
    let student = |device: &Device| {
        let toy = Toy::new("");
        run(&toy.plan, &toy.run, &Progress::new(Mode::Quiet), device, &Teacher::new(SIDE), &without, 0).unwrap();
        checkpoint::load(&toy.run.join(&student_file("synthetic", 0))).unwrap().tensors
    };
    let expected = student(&Device::Cpu);
    let agree = |device: &Device| {
        for (name, found) in student(device) {
            let square = |t: &candle_core::Tensor| t.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
            let (gap, whole) = (square(&(&found - &expected[&name]).unwrap()), square(&expected[&name]));
            assert!(gap <= 1e-4 * whole, "{name} on {device:?}: {gap} of {whole}");
        }
    };
    without_kernels(|| agree(&Device::Cpu));
    limbeck_models::testing::cuda().iter().for_each(agree);
}
