//! What a command begins with: a recipe, which is planned now, or the `plan.toml` of an earlier run, which is done again.

use std::path::Path;

use limbeck::plan::{Document, is_plan, verify_inputs};
use limbeck::{Error, Result, recipe};
use serde::de::DeserializeOwned;

use super::kept::read;
use crate::cli::RecipeArgs;

/// The plan of what was typed. Of a plan that is there already every file must still be what it was.
pub fn planned<C: DeserializeOwned, P: Document>(args: &RecipeArgs, plan: fn(C, &Path) -> Result<P>) -> Result<P> {
    if std::fs::read_to_string(&args.file).is_ok_and(|text| is_plan(&text)) {
        return again(args);
    }
    let config = recipe::load(&args.file, &args.set)?;
    plan(config, args.file.parent().unwrap_or(Path::new(""))).map_err(|error| placed(error, args))
}

/// Says where the key of an error stands.
pub fn placed(error: Error, args: &RecipeArgs) -> Error {
    recipe::locate(error, &args.file, &args.set)
}

fn again<P: Document>(args: &RecipeArgs) -> Result<P> {
    let shown = args.file.display();
    if let Some(set) = args.set.first() {
        return Err(Error::input(format!(
            "--set {set}: `{shown}` is a plan, which is done again as it is: set it with the recipe"
        )));
    }
    let plan: Option<P> = read(&args.file, "`limbeck run` does a run again, and `limbeck train` a training")?;
    let plan = plan.ok_or_else(|| Error::input(format!("can't read `{shown}`: it has gone")))?;
    plan.check_inputs().map_err(|error| error.context(format_args!("`{shown}`")))?;
    verify_inputs(plan.inputs())?;
    Ok(plan)
}
