//! The templates of `limbeck policy new`: each builds with the tools of its language, and all give the same decisions, bit
//! for bit. A language whose tools are missing is skipped, loudly; `.ci/policy-tools` installs them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use limbeck::policy::{Checked, Env, Limits, Policy, Role, Sandbox, When, check};
use limbeck::policy_project::{Language, build, create};

use super::pool::Pool;

const ROWS: usize = 300;
const CLASSES: usize = 10;

/// The folder that `.ci/policy-tools` fills.
fn tools() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("host/ is in the workspace");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    target.join("policy-tools")
}

/// Gives a new policy the tools that were installed for all; whether there are any.
fn equip(language: Language, folder: &Path) -> bool {
    let works = |program: &str, argument: &str| Command::new(program).arg(argument).output();
    match language {
        Language::Rust => true,
        Language::C => {
            let targets = works("clang", "--print-targets").map(|output| output.stdout).unwrap_or_default();
            String::from_utf8_lossy(&targets).contains("wasm32")
        }
        Language::JavaScript => link(&tools().join("js/node_modules"), &folder.join("node_modules")),
        Language::Python => link(&tools().join("python/.venv"), &folder.join(".venv")),
    }
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) -> bool {
    from.is_dir() && std::os::unix::fs::symlink(from, to).is_ok()
}

#[cfg(not(unix))]
fn link(_: &Path, _: &Path) -> bool {
    false
}

/// A new policy, built; `None` where the tools are missing.
fn built(language: Language, dir: &Path) -> Option<PathBuf> {
    let folder = dir.join(format!("clear-{language}"));
    create(language, &folder).unwrap();
    if !equip(language, &folder) {
        // Past the capture of the test harness: a language that is not tested must not look tested.
        let _ = writeln!(std::io::stderr(), "SKIPPED: policies in {language}: no tools; see .ci/policy-tools");
        return None;
    }
    if language == Language::Rust {
        // The dependencies are built already, for the policies of the library.
        std::fs::create_dir(folder.join(".cargo")).unwrap();
        let target = tools().with_file_name("");
        let config = format!("[build]\ntarget-dir = {:?}\n", target.join("policy-template"));
        std::fs::write(folder.join(".cargo/config.toml"), config).unwrap();
    }
    Some(build(&folder, &dir.join("dist")).unwrap_or_else(|error| panic!("{language}: {error}")))
}

fn needs() -> [String; 2] {
    ["teacher.p-class", "teacher.margin"].map(str::to_owned)
}

/// What the example of the templates is to say, written down once more.
fn expected(pool: &Pool, floor: f64) -> (Vec<f32>, Vec<u32>, Vec<f32>) {
    let columns = pool.columns(&needs());
    let column = |name: &str| columns.f32_range(name, 0, ROWS as u32).unwrap();
    let (p, margin) = (column("teacher.p-class"), column("teacher.margin"));
    let above = |share: f32| floor + (1.0 - floor) * f64::from(share);
    let scores = p.iter().zip(margin).map(|(&p, &margin)| (f64::from(p) * above(margin)) as f32).collect();
    let vetoed = (0..ROWS as u32).filter(|&row| f64::from(p[row as usize]) < floor).collect();
    (scores, vetoed, p.iter().map(|&p| above(p).max(1e-6) as f32).collect())
}

fn check_language(language: Language) {
    let dir = tempfile::tempdir().unwrap();
    let Some(component) = built(language, dir.path()) else { return };
    let limits = Limits::default();
    let Checked { inspection, parameters, trial } =
        check(&component, "{}", &limits, Arc::new(|_, _| {})).unwrap_or_else(|error| panic!("{language}: {error}"));
    assert_eq!((inspection.name, inspection.version), (format!("clear-{language}"), "0.1.0".to_owned()));
    assert_eq!(inspection.roles, ["scorer", "weigher"]);
    assert_eq!(inspection.needs, ["teacher.p-class", "teacher.margin"]);
    assert!(parameters.is_some_and(|text| text.contains("unknown field") && text.contains('?')), "{language}");
    assert_eq!(trial.lines.len(), 2);

    let policy = Policy::open(&Sandbox::shared().unwrap(), &component).unwrap();
    policy.role(&[Role::Scorer]).unwrap();
    let pool = Pool::random(ROWS, CLASSES);
    for (config, floor) in
        [("{}", 0.1), (r#"{"floor": 0.25}"#, 0.25), (r#"{ "floor" : 1e-2 }"#, 0.01), (r#"{"floor":0}"#, 0.0)]
    {
        let env = Env { config_json: config.into(), classes: CLASSES as u32, feature_dim: 0, total_steps: 10 };
        let mut instance = policy.start(&env, 0, &limits, Arc::new(|_, _| {})).unwrap();
        let columns = pool.columns(&needs());
        let scores = instance.score(columns.clone(), When::default()).unwrap();
        let weights = instance.weigh(columns, When::default()).unwrap();
        let vetoed: Vec<u32> = scores.vetoes.iter().map(|veto| veto.row).collect();
        let bits = |numbers: &[f32]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
        let (wanted_scores, wanted_vetoes, wanted_weights) = expected(&pool, floor);
        assert_eq!(bits(&scores.values), bits(&wanted_scores), "{language} {config}");
        assert_eq!(vetoed, wanted_vetoes, "{language} {config}");
        assert_eq!(bits(&weights), bits(&wanted_weights), "{language} {config}");
    }
    for bad in [r#"{"floor": 2}"#, r#"{"flor": 0.1}"#, r#"{"floor": "high"}"#] {
        let env = Env { config_json: bad.into(), classes: CLASSES as u32, feature_dim: 0, total_steps: 10 };
        let error = policy.start(&env, 0, &limits, Arc::new(|_, _| {})).map(drop).unwrap_err();
        assert!(error.is_input(), "{language} {bad}: {error}");
    }
}

#[test]
fn a_policy_in_rust() {
    check_language(Language::Rust);
}

#[test]
fn a_policy_in_c() {
    check_language(Language::C);
}

#[test]
fn a_policy_in_javascript() {
    check_language(Language::JavaScript);
}

#[test]
fn a_policy_in_python() {
    check_language(Language::Python);
}

#[test]
fn missing_tools_are_named_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("mine");
    create(Language::JavaScript, &folder).unwrap();
    let error = build(&folder, dir.path()).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("run `npm install` in"), "{error}");
}

#[test]
fn a_world_that_the_module_does_not_fit_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("mine");
    create(Language::C, &folder).unwrap();
    if !equip(Language::C, &folder) {
        return;
    }
    let world = folder.join("wit/world.wit");
    let text = std::fs::read_to_string(&world).unwrap().replace("weigher-policy", "planner-policy");
    std::fs::write(&world, text).unwrap();
    let error = build(&folder, dir.path()).unwrap_err();
    assert!(error.to_string().contains("compare `wit/world.wit`"), "{error}");
    std::fs::write(folder.join("policy.c"), "int x = ;").unwrap();
    let error = build(&folder, dir.path()).unwrap_err();
    assert!(error.to_string().contains("`clang` failed"), "{error}");
}
