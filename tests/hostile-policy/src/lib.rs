//! A policy in Rust that does what its configuration says, for tests of what the standard library meets in the sandbox.

use std::collections::HashSet;

use limbeck_policy::{Batch, Env, Policy, Weigher, export_weigher};

pub struct Hostile {
    deed: Deed,
    counted: f32,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    Panic,
    Index,
    Exhaust,
    Exit,
    ReadFile,
    WriteFile,
    Connect,
    Spawn,
    /// Weighs by whether the world outside shows: 1 where nothing does.
    LookAround,
    Print,
    /// Weighs by how often it was called, and keeps the count.
    Count,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    deed: Deed,
}

impl Policy for Hostile {
    const NAME: &str = "hostile";
    const STATE_VERSION: u32 = 2;
    type Config = Config;

    fn new(config: Config, _: &Env) -> Result<Self, String> {
        Ok(Self { deed: config.deed, counted: 0.0 })
    }

    fn needs(&self) -> Vec<String> {
        Vec::new()
    }

    fn save(&self) -> Result<Vec<u8>, String> {
        Ok(self.counted.to_le_bytes().to_vec())
    }

    fn restore(&mut self, state_version: u32, state: &[u8]) -> Result<(), String> {
        if state_version != Self::STATE_VERSION {
            return Err(format!("state of version {state_version}, this policy reads {}", Self::STATE_VERSION));
        }
        let state = state.try_into().map_err(|_| format!("{} bytes of state, expected 4", state.len()))?;
        self.counted = f32::from_le_bytes(state);
        Ok(())
    }
}

impl Weigher for Hostile {
    fn weigh(&mut self, batch: &dyn Batch) -> Result<Vec<f32>, String> {
        let rows = batch.rows();
        let shown = |error: std::io::Error| error.to_string();
        let weight = match self.deed {
            Deed::Panic => panic!("step {} is too much", batch.step()),
            Deed::Index => f32::from(vec![1_u8; rows][rows + 7]),
            Deed::Exhaust => exhaust(),
            Deed::Exit => std::process::exit(3),
            Deed::ReadFile => std::fs::read("/etc/passwd").map_err(shown)?.len() as f32,
            Deed::WriteFile => std::fs::write("/tmp/limbeck-hostile", "here").map(|()| 1.0).map_err(shown)?,
            Deed::Connect => std::net::TcpStream::connect(("127.0.0.1", 80)).map(|_| 1.0).map_err(shown)?,
            Deed::Spawn => std::thread::Builder::new().spawn(|| ()).map(|_| 1.0).map_err(shown)?,
            Deed::LookAround => f32::from(u8::from(nothing_shows())),
            Deed::Print => {
                println!("to stdout\x1b[2J");
                eprintln!("to stderr");
                1.0
            }
            Deed::Count => {
                self.counted += 1.0;
                self.counted
            }
        };
        Ok(vec![weight; rows])
    }
}

fn exhaust() -> f32 {
    let mut blocks = Vec::new();
    while blocks.len() < 100_000 {
        blocks.push(vec![blocks.len() as u8; 1 << 20]);
    }
    blocks.iter().map(|block| f32::from(block[7])).sum()
}

fn nothing_shows() -> bool {
    let hashes: HashSet<u32> = (0..100).collect();
    let now = std::time::SystemTime::now();
    let began = std::time::Instant::now();
    std::env::vars_os().next().is_none()
        && std::env::args_os().next().is_none()
        && now.duration_since(std::time::UNIX_EPOCH).is_ok_and(|since| since.is_zero())
        && began.elapsed().is_zero()
        && std::fs::read_dir("/").is_err()
        && hashes.len() == 100
}

export_weigher!(Hostile);
