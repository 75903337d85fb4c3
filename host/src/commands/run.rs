//! `limbeck run`, and its stages one by one.

use std::path::PathBuf;
use std::time::Instant;

use candle_core::Device;
use limbeck::backend::{Classifier, open_teacher};
use limbeck::device::DeviceName;
use limbeck::fidelity::Fidelity;
use limbeck::plan::{self, Plan};
use limbeck::policy::WeigherFactory;
use limbeck::progress::{Progress, counted, duration};
use limbeck::run_dir::RunDir;
use limbeck::{Error, Result, distill, eval, fidelity, measure, planning, report, select, summary, synth};

use super::kept::Kept;
use super::planned::{placed, planned};
use super::preflight::preflight;
use crate::cli::{FidelityArgs, RunArgs, Stage, StageArgs};

/// The whole way from a recipe, or what is left of it.
pub fn run(args: &RunArgs, progress: &Progress) -> Result<()> {
    let (started, recipe) = (Instant::now(), &args.recipe);
    let bar = progress.stage("check", 2, "steps");
    bar.message("the files that the recipe names");
    let plan = planned(recipe, plan::plan)?;
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(&plan.run.name));
    RunDir::try_out(&out)?;
    let device = recipe.device.device.open()?;
    bar.advance(1);
    bar.message("networks, policies and real images");
    let teacher = preflight(&plan, &out, &device, progress).map_err(|error| placed(error, recipe))?;
    drop(bar);
    let work = Work {
        kept: Kept::begin(plan, &out)?,
        device_name: recipe.device.device,
        device,
        teacher: Some(teacher),
        progress,
    };
    work.kept.tell(progress);
    work.rounds(args.until)?;
    for stage in [Stage::Eval, Stage::Report].into_iter().filter(|stage| *stage <= args.until) {
        work.stage(stage, 0)?;
    }
    progress.note(format_args!("done in {}: {}", duration(started.elapsed()), work.kept.run.path().display()));
    Ok(())
}

/// One stage of a run whose plan is made.
pub fn stage(stage: Stage, args: &StageArgs, progress: &Progress) -> Result<()> {
    let kept: Kept<Plan> = Kept::open(&args.run)?;
    if kept.plan.rounds.is_some() && stage <= Stage::Distill {
        return Err(Error::input(format!(
            "`{}` has rounds, in which drawing, selecting and learning take turns: `limbeck run` with its recipe goes on",
            args.run.display()
        )));
    }
    let device = args.device.device.open()?;
    let teacher = match stage {
        Stage::Distill | Stage::Eval => Some(open_teacher(&kept.plan.teacher, &device, progress)?),
        Stage::Synth | Stage::Select | Stage::Report => None,
    };
    Work { kept, device_name: args.device.device, device, teacher, progress }.stage(stage, 0)
}

/// Figures of the drawn images, in words or as JSON.
pub fn fidelity(args: &FidelityArgs, progress: &Progress) -> Result<()> {
    let kept: Kept<Plan> = Kept::open(&args.stage.run)?;
    let teacher = open_teacher(&kept.plan.teacher, &args.stage.device.device.open()?, progress)?;
    let fidelity = fidelity::run(&kept.plan, &kept.run, progress, teacher.as_ref())?;
    if args.json {
        progress.data(serde_json::to_string(&fidelity).map_err(|error| Error::failed(error.to_string()))?);
        return Ok(());
    }
    let Fidelity { images, teacher_accuracy, frechet_distance, frechet_real, real_images, .. } = fidelity;
    let (share, drawn) = (100.0 * teacher_accuracy, counted(images, "drawn image"));
    progress.data(format_args!("the teacher sees the class that was asked for in {share:.2} % of {drawn}"));
    progress.data(format_args!("Fréchet distance to the real test images, in its features: {frechet_distance:.3}"));
    if let Some(real) = frechet_real {
        progress.data(format_args!("the same of {}: {real:.3}", counted(real_images, "real training image")));
    }
    if let Some(width) = teacher.info().features.filter(|&width| images <= 2 * width) {
        progress.note(format_args!(
            "{drawn} can say little of {width} features: draw several times as many before you compare distances"
        ));
    }
    Ok(())
}

/// A run under way.
struct Work<'a> {
    kept: Kept<Plan>,
    device_name: DeviceName,
    device: Device,
    /// Opened where a stage needs it.
    teacher: Option<Box<dyn Classifier>>,
    progress: &'a Progress,
}

impl Work<'_> {
    /// What is left of the stages up to the students, round by round. A stage before them ends the first round.
    fn rounds(&self, until: Stage) -> Result<()> {
        let Kept { plan, run, .. } = &self.kept;
        for round in 0..plan.round_count() {
            self.timed("plan", || planning::run(plan, run, self.progress, round))?;
            for stage in [Stage::Synth, Stage::Select, Stage::Distill].into_iter().filter(|stage| *stage <= until) {
                self.stage(stage, round)?;
            }
            if until < Stage::Distill {
                return Ok(());
            }
            self.timed("measure", || measure::run(plan, run, self.progress, &self.device, self.teacher()?, round))?;
        }
        Ok(())
    }

    /// Work that only runs with rounds have.
    fn timed(&self, name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
        if self.kept.plan.rounds.is_none() {
            return Ok(());
        }
        let started = Instant::now();
        work()?;
        summary::add_time(&self.kept.run, name, started.elapsed())
    }

    /// Does what is left of a stage, and adds its time to the run's.
    fn stage(&self, stage: Stage, round: u32) -> Result<()> {
        let Kept { plan, run, .. } = &self.kept;
        let (progress, device) = (self.progress, &self.device);
        let started = Instant::now();
        match stage {
            Stage::Synth => synth::run(plan, run, progress, device, round)?,
            Stage::Select => select::run(plan, run, progress, device, round)?,
            Stage::Distill => self.distill(round)?,
            Stage::Eval => self.eval()?,
            Stage::Report => return self.report(),
        }
        summary::add_time(run, stage.name(), started.elapsed())
    }

    /// Students are trained with the weigher that the plan names, a fresh one for each.
    fn distill(&self, round: u32) -> Result<()> {
        let Kept { plan, run, .. } = &self.kept;
        let weigher = WeigherFactory::open(plan, self.progress)?;
        let start = |steps| weigher.as_ref().map(|weigher| weigher.start(steps)).transpose();
        distill::run(plan, run, self.progress, &self.device, self.teacher()?, &start, round)
    }

    fn eval(&self) -> Result<()> {
        let Kept { plan, run, .. } = &self.kept;
        if eval::done(plan, run)? {
            self.progress.note("eval: done before");
            return Ok(());
        }
        eval::run(plan, run, self.progress, &self.device, self.teacher.as_deref()).map(|_| ())
    }

    fn report(&self) -> Result<()> {
        let Kept { plan, run, .. } = &self.kept;
        let summary = summary::write(plan, run, &self.device_name.to_string())?;
        self.progress.note(summary.headline());
        report::run(run).map(|_| ())
    }

    fn teacher(&self) -> Result<&dyn Classifier> {
        self.teacher.as_deref().ok_or_else(|| Error::failed("the teacher is not open"))
    }
}
