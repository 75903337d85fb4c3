//! Builds guests that mean harm from `shell.wat`, and runs them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use limbeck::policy::{
    Columns, Env, Level, Limits, LogSink, Policy, PolicyError, PolicyInstance, Sandbox, Source, When, compute,
};

const SHELL: &str = include_str!("shell.wat");

const EXPORTS: &str = r#"
  (export "limbeck:policy/lifecycle@0.1.0" (instance $lifecycle))
  (export "limbeck:policy/scorer@0.1.0" (instance $scorer))
  (export "limbeck:policy/selector@0.1.0" (instance $selector))
  (export "limbeck:policy/weigher@0.1.0" (instance $weigher))
  (export "limbeck:policy/planner@0.1.0" (instance $planner))"#;

/// Ends the loan and replies with what is at 1024.
pub const REPLY: &str = "(call $drop (local.get $batch)) (i32.const 1024)";

/// A guest that behaves, with some parts replaced.
pub struct Guest {
    parts: Vec<(&'static str, String)>,
}

impl Guest {
    /// Weighs, scores, selects and plans nothing: right for a batch of no rows.
    pub fn new() -> Self {
        let quiet = "(call $drop (local.get $batch)) (i32.const 0)";
        let parts = [
            ("memory", "4"),
            ("memories", ""),
            ("imports", ""),
            ("lowered", ""),
            ("given", ""),
            ("realloc", ""),
            ("main", ""),
            ("describe", "(i32.const 0)"),
            ("init", "(i32.const 0)"),
            ("save", "(i32.const 0)"),
            ("restore", "(i32.const 0)"),
            ("score", quiet),
            ("select", quiet),
            ("weigh", quiet),
            ("plan", "(i32.const 0)"),
            ("post", ""),
            ("exports", EXPORTS),
        ];
        Self { parts: parts.map(|(name, text)| (name, text.to_owned())).into() }
    }

    /// Replaces a part of the shell.
    #[track_caller]
    pub fn with(mut self, part: &str, text: &str) -> Self {
        let found = self.parts.iter_mut().find(|(name, _)| *name == part).expect("a part of the shell");
        found.1 = text.to_owned();
        self
    }

    /// A guest whose `weigh` replies with these bytes at 1024, of which the first is 0 for ok; further data at 4096.
    pub fn weighing(reply: &[u32], data: &[f32]) -> Self {
        Self::new().with("main", &memory(reply, data)).with("weigh", REPLY)
    }

    pub fn text(&self) -> String {
        self.parts.iter().fold(SHELL.to_owned(), |text, (name, part)| text.replace(&format!("{{{name}}}"), part))
    }

    #[track_caller]
    pub fn bytes(&self) -> Vec<u8> {
        wat::parse_str(self.text()).unwrap_or_else(|error| panic!("the guest is wrong: {error}"))
    }

    #[track_caller]
    pub fn open(&self) -> Result<Policy, PolicyError> {
        open(&self.bytes())
    }

    /// Opens and starts it under [`limits`].
    #[track_caller]
    pub fn start(&self) -> Result<PolicyInstance, PolicyError> {
        self.open()?.start(&env(), 7, &limits(), quiet())
    }

    /// What `weigh` says of a batch of two rows.
    #[track_caller]
    pub fn weigh(&self) -> Result<Vec<f32>, PolicyError> {
        self.start()?.weigh(batch(2), When::default())
    }
}

/// A data segment for a reply of words at 1024, and numbers at 4096.
pub fn memory(reply: &[u32], data: &[f32]) -> String {
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("\\{byte:02x}")).collect::<String>();
    let reply = hex(reply.iter().flat_map(|word| word.to_le_bytes()).collect());
    let data = hex(data.iter().flat_map(|number| number.to_le_bytes()).collect());
    format!("(data (i32.const 1024) \"{reply}\") (data (i32.const 4096) \"{data}\")")
}

/// Opens bytes as a policy's file.
pub fn open(bytes: &[u8]) -> Result<Policy, PolicyError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path: PathBuf = folder.path().join("guest.wasm");
    std::fs::write(&path, bytes).expect("a temporary file");
    Policy::open(&Sandbox::new().expect("an engine"), &path)
}

/// Small enough for quick tests.
pub fn limits() -> Limits {
    Limits { fuel: 50_000_000, memory: 8 << 20, time: Duration::from_secs(300) }
}

pub fn env() -> Env {
    Env { config_json: "{}".into(), classes: 3, feature_dim: 0, total_steps: 0 }
}

/// A log that nobody reads.
pub fn quiet() -> LogSink {
    Arc::new(|_, _| {})
}

/// The lines that a sink was given.
pub type Lines = Arc<Mutex<Vec<(Level, String)>>>;

/// A log to look at.
pub fn kept() -> (LogSink, Lines) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let into = lines.clone();
    (Arc::new(move |level, line: &str| into.lock().expect("no panic").push((level, line.to_owned()))), lines)
}

/// `rows` rows with the column `teacher.max-prob`.
pub fn batch(rows: usize) -> Columns {
    let (class, id) = (vec![0; rows], (0..rows as u64).collect::<Vec<_>>());
    let logits = vec![0.0; 3 * rows];
    let source = Source { classes: 3, class: &class, id: &id, teacher: Some(&logits), ..Source::default() };
    compute(&source, &["teacher.max-prob".to_owned()]).expect("a sound batch")
}
