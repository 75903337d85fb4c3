//! `limbeck backend check`: a sound plugin passes, and each fault is found, named, and has its remedy.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use limbeck::backend::list;
use serde::Deserialize;

use crate::support::{Hostile, built_library, limbeck, root};

/// `hostile.c` answers like this in all of this file: the three first pixels of each image, and the right refusals.
const SOUND: [(&str, &str); 2] = [
    (
        "SHAPES",
        "if (op != LIMBECK_OP_CLASSIFY || in->ndim != 4 || in->shape[2] != 2 || in->shape[3] != 2) return LIMBECK_UNSUPPORTED",
    ),
    ("RAN", "for (int64_t i = 0; i < 3 * in->shape[0]; i++) logits[i] = ((const float *)in->data)[i / 3 * 4 + i % 3]"),
];

/// What the command tells in JSON.
#[derive(Debug, Deserialize)]
struct Told {
    findings: Vec<Finding>,
    speed: Vec<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Finding {
    test: String,
    verdict: String,
    found: String,
    remedy: String,
}

/// The self-test in a process of its own: it measures how much of the process's time a plugin takes.
fn check(arguments: &[&str]) -> Told {
    let (_, stdout, stderr) = said(&[&["backend", "check", "--json"], arguments].concat());
    serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout} {stderr}"))
}

/// The findings about a plugin whose run ends with `body`, and which has other bodies besides.
fn findings(body: &str, more: &[(&str, &str)]) -> Vec<Finding> {
    let ran = format!("{}; {body}", SOUND[1].1);
    let sound = [SOUND[0], ("RAN", ran.as_str())];
    let kept = sound.into_iter().filter(|(name, _)| more.iter().all(|(other, _)| other != name));
    let plugin = Hostile::new(&kept.chain(more.iter().copied()).collect::<Vec<_>>());
    check(&[&plugin.path().display().to_string()]).findings
}

/// The one failure is in this test, and says this.
#[track_caller]
fn fails(findings: &[Finding], test: &str, found: &str, remedy: &str) {
    let failed: Vec<_> = findings.iter().filter(|finding| finding.verdict == "failed").collect();
    let finding = failed.iter().find(|finding| finding.test == test);
    let finding = finding.unwrap_or_else(|| panic!("no failure of `{test}` in {findings:#?}"));
    assert!(finding.found.contains(found), "expected `{found}` in {finding:?}");
    assert!(finding.remedy.contains(remedy), "expected `{remedy}` in {finding:?}");
}

#[test]
fn a_sound_plugin_passes_everything() {
    let findings = findings("(void)0", &[]);
    let not_passed: Vec<_> = findings.iter().filter(|finding| finding.verdict == "failed").collect();
    assert!(not_passed.is_empty(), "{not_passed:#?}");
    assert_eq!(findings.len(), 9, "{findings:#?}");
}

#[test]
fn outputs() {
    fails(&findings("logits[3 * in->shape[0]] = 1", &[]), "shapes and values", "wrote beside", "exactly as many");
    fails(&findings("((float *)in->data)[0] = 1", &[]), "shapes and values", "changed its input", "on a copy");
    fails(
        &findings("logits[1] = __builtin_nanf(\"\")", &[]),
        "shapes and values",
        "NaN or infinity",
        "write every value",
    );
    let constant = "for (int64_t i = 0; i < 3 * in->shape[0]; i++) logits[i] = 1";
    fails(&findings(constant, &[]), "different images", "the same answer", "is the image read at all");
}

#[test]
fn probabilities_where_logits_belong() {
    let halved = "for (int64_t i = 0; i < in->shape[0]; i++) { float *row = logits + 3 * i; row[0] /= 4, row[1] /= 4, \
                  row[2] = 1 - row[0] - row[1]; }";
    let found = findings(halved, &[]);
    let finding = found.iter().find(|finding| finding.verdict == "remark").unwrap_or_else(|| panic!("{found:#?}"));
    assert!(finding.found.contains("as probabilities do") && finding.remedy.contains("softmax"), "{finding:?}");
    assert_eq!(found.len(), 9, "the other tests are done as well: {found:#?}");
}

#[test]
fn what_a_plugin_says_is_told_once() {
    let body = r#"host->log(host->ctx, LIMBECK_LOG_INFO, str("bright\033[1m")), host->log(host->ctx, LIMBECK_LOG_WARN, str("too bright"))"#;
    let plugin = Hostile::new(&[SOUND[0], SOUND[1], ("CREATE", body)]);
    let (code, _, stderr) = said(&["backend", "check", &plugin.path().display().to_string()]);
    assert_eq!((code, stderr.as_str()), (Some(0), "plugin says: bright [1m\nwarning: plugin says: too bright\n"));
}

#[test]
fn state_between_calls_and_rows() {
    let counter = "static float calls; for (int64_t i = 0; i < 3 * in->shape[0]; i++) logits[i] += calls; calls += 1";
    fails(&findings(counter, &[]), "the same twice", "other bits", "deterministic: false");
    let mean = "float sum = 0; for (int64_t i = 0; i < 4 * in->shape[0]; i++) sum += ((const float *)in->data)[i]; \
                for (int64_t i = 0; i < 3 * in->shape[0]; i++) logits[i] -= sum / in->shape[0]";
    fails(&findings(mean, &[]), "alone and in a batch", "images beside it", "evaluation mode");
    fails(&findings(mean, &[]), "NaN and infinity in an image", "images beside it", "rows must not be mixed");
}

#[test]
fn what_must_be_refused() {
    let plugin = findings("(void)0", &[("SHAPES", "(void)0")]);
    fails(&plugin, "what it does not have", "operation 99", "LIMBECK_UNSUPPORTED");
    fails(&plugin, "what it does not have", "three columns wider", "LIMBECK_UNSUPPORTED");
}

#[test]
fn threads() {
    let shared = "static volatile float kept[64]; for (int64_t i = 0; i < 3 * in->shape[0]; i++) kept[i] = logits[i]; \
                  usleep(2000); for (int64_t i = 0; i < 3 * in->shape[0]; i++) logits[i] = kept[i % 64]";
    let big = [("THREADS", r#""\"concurrent\"""#)];
    let found = findings(&shared.replace("3 * in->shape[0]", "(in->shape[0] < 10 ? 3 * in->shape[0] : 0)"), &big);
    fails(&found, "from four threads", "disturb each other", "threads: \"serial\"");
}

/// The sum lives in a variable that all threads share, for a microsecond a call.
#[test]
fn a_race_of_short_calls() {
    let sum = "static volatile float sum; for (int64_t i = 0; i < 3 * in->shape[0]; i++) { float pixel = logits[i]; sum = 0; \
               for (int k = 0; k < 200; k++) sum = sum + pixel; logits[i] = sum; }";
    let concurrent = [("THREADS", r#""\"concurrent\"""#)];
    fails(
        &findings(sum, &concurrent),
        "from four threads",
        "disturb each other",
        "keep what a call needs in that call",
    );
    let serial = findings(sum, &[("THREADS", r#""\"serial\"""#)]);
    let tried = serial.iter().find(|finding| finding.test == "from four threads").unwrap();
    assert!(tried.verdict == "passed" && tried.found.contains("calls with one of 8 images each"), "{tried:?}");
}

/// A function for what a thread of the plugin's own does, in the place of one that comes before `run`.
fn own_thread(body: &str) -> String {
    format!("}} static void *own(void *nothing) {{ {body}; return nothing")
}

/// Does `work` while four threads of others take the processors.
fn on_a_busy_machine<R>(work: impl FnOnce() -> R) -> R {
    let over = AtomicBool::new(false);
    let occupy = || {
        while !over.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    };
    std::thread::scope(|scope| {
        (0..4).for_each(|_| drop(scope.spawn(occupy)));
        let found = std::panic::catch_unwind(AssertUnwindSafe(work));
        over.store(true, Ordering::Relaxed);
        found.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[test]
fn more_threads_than_allowed_on_a_busy_machine() {
    let spin = own_thread("volatile double sum = 0; for (int k = 0; k < 1000000; k++) sum = sum + k");
    let four = "pthread_t own_threads[4]; for (int k = 0; k < 4; k++) pthread_create(own_threads + k, 0, own, 0); \
                for (int k = 0; k < 4; k++) pthread_join(own_threads[k], 0)";
    let found = on_a_busy_machine(|| findings(four, &[("DESTROY", &spin)]));
    fails(&found, "the thread budget", "threads busy where 1 is allowed", "max_threads");
}

/// Its calls are short, and handed over to a thread of its own.
#[test]
fn the_candle_teacher_keeps_to_its_budget_on_a_busy_machine() {
    let weights = root().join("assets/mnist/teacher-middle.safetensors").display().to_string();
    let candle = built_library("candle_classifier").display().to_string();
    let tested = on_a_busy_machine(|| check(&[&candle, "--weights", &weights]));
    let budgets: Vec<_> = tested.findings.iter().filter(|finding| finding.test == "the thread budget").collect();
    assert!(budgets.len() == 2 && budgets.iter().all(|budget| budget.verdict == "passed"), "{budgets:#?}");
}

#[test]
fn one_thread_is_within_the_budget_whatever_hands_it_the_calls() {
    for threads in [r#""\"single\"""#, r#""\"serial\"""#, r#""\"concurrent\"""#] {
        let found = findings("(void)0", &[("THREADS", threads)]);
        let budget = found.iter().find(|finding| finding.test == "the thread budget").unwrap();
        assert_ne!(budget.verdict, "failed", "{threads}: {budget:?}");
    }
}

/// Nothing is timed that gives no answers, or other ones.
#[test]
fn large_batches() {
    for (body, found) in [
        ("if (in->shape[0] > 8) logits[5] = __builtin_nanf(\"\")", "in a batch of 64 there is NaN or infinity"),
        ("if (in->shape[0] == 64) logits[190] += 1", "in a batch of 64 images get other answers than alone"),
        ("if (in->shape[0] > 8) return SAY(\"too many\"), 1", "failed in `run`: too many"),
    ] {
        let ran = format!("{}; {body}", SOUND[1].1);
        let plugin = Hostile::new(&[SOUND[0], ("RAN", &ran)]);
        let told = check(&[&plugin.path().display().to_string()]);
        fails(&told.findings, "speed", found, "");
        assert_eq!(
            (told.findings.len(), told.speed.len()),
            (10, 2),
            "one failure, and the speed of what is right: {told:#?}"
        );
    }
}

#[test]
fn the_candle_teacher_passes_and_the_panicking_one_does_not() {
    let weights = root().join("assets/mnist/teacher-middle.safetensors");
    let candle = built_library("candle_classifier").display().to_string();
    let tested = check(&[&candle, "--weights", &weights.display().to_string()]);
    let failed: Vec<_> = tested.findings.iter().filter(|finding| finding.verdict == "failed").collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(tested.findings.iter().any(|finding| finding.test == "against finite differences"));
    assert_eq!(tested.speed.len(), 6, "two operations, three sizes of batch");

    let hostile = built_library("hostile_backend").display().to_string();
    let tested = check(&[&hostile, "--config", "panic-in=classify"]);
    fails(&tested.findings, "shapes and values", "it panicked: in classify", "");
    assert_eq!((tested.findings.len(), tested.speed.len()), (1, 0), "nothing more can be said: {tested:#?}");
    let (code, _, stderr) = said(&["backend", "check", &hostile, "--config", "panic-in=create"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("can't be set up: it panicked"), "{stderr}");
}

#[test]
fn a_folder_is_listed_without_running_anything() {
    // Loading this one would end the process.
    let fatal = "abort(); } __attribute__((constructor)) static void first(void) { abort()";
    let plugin = Hostile::new(&[("DESTROY", fatal)]);
    let folder = plugin.path().parent().unwrap().to_owned();
    std::fs::write(folder.join("broken.so"), "nothing").unwrap();
    std::fs::write(folder.join("README"), "plugins").unwrap();
    let found = list(&folder).unwrap();
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].unfit.as_ref().unwrap().contains("is not a shared library"), "{found:#?}");
    assert_eq!((found[1].unfit.as_deref(), found[1].sha256.len()), (None, 64));
    assert_eq!(list(Path::new("/no/such/folder")).unwrap_err().exit_code(), 2);
}

/// The program with these arguments: exit code, stdout and stderr.
fn said(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = limbeck(arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_command_tells_in_words_and_in_json() {
    let plugin = Hostile::new(&SOUND);
    let path = plugin.path().display().to_string();
    let (code, stdout, stderr) = said(&["backend", "check", &path]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    assert!(stdout.contains("ok       classify, alone and in a batch: to the bit the same"), "{stdout}");
    assert!(stdout.contains("speed    classify, batch 64"), "{stdout}");

    let bad = Hostile::new(&[("VALUE", "2.0f")]);
    let (code, stdout, stderr) = said(&["backend", "check", "--json", &bad.path().display().to_string()]);
    assert_eq!(code, Some(1), "{stdout}");
    assert!(stderr.contains("libhostile.so` failed 2 of 9 tests"), "{stderr}");
    let told: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(told["findings"][0]["verdict"], "passed");

    let (code, _, stderr) = said(&["backend", "check", "/no/such.so"]);
    assert_eq!(code, Some(2), "{stderr}");
    let (code, stdout, _) =
        said(&["backend", "list", "--json", &plugin.path().parent().unwrap().display().to_string()]);
    let told: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &told["plugins"][0]["unfit"]), (Some(0), &serde_json::Value::Null));
    assert_eq!(told["linked"][0]["name"], "candle-classifier");
}
