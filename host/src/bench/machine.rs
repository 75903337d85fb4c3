//! What this machine can do at most, and what this process has taken of it.

use std::time::Instant;

use limbeck_models::ops::cpu::{self, View};

/// Side of the matrices whose product is the yardstick.
const SIDE: usize = 1024;

/// The best of a few products of 1024 × 1024 matrices on all threads, in floating-point operations a second.
pub fn matmul_peak() -> f64 {
    let (a, b, mut c) = (vec![0.5; SIDE * SIDE], vec![0.25; SIDE * SIDE], vec![0.0; SIDE * SIDE]);
    let mut product = || {
        let started = Instant::now();
        let view = View::rows(SIDE);
        cpu::matmul((SIDE, SIDE, SIDE), (&mut c, view), (&a, view), (&b, view), 1.0, false, cpu::threads());
        started.elapsed().as_secs_f64()
    };
    let fastest = (0..8).map(|_| product()).fold(f64::INFINITY, f64::min);
    2.0 * (SIDE * SIDE * SIDE) as f64 / fastest
}

/// The most memory that this process has held so far, in bytes. `None` where the system does not say.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
