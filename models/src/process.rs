//! What a program that computes tells its process once, at the very start.

/// Makes the C allocator keep what is freed, and takes candle's own thread pool out of the way. To be called first in
/// `main`, before any thread.
///
/// A training step frees hundreds of megabytes and takes them again at once; giving them back to the system in between
/// costs a page fault every 4 KiB (measured: a DiT trains at 237 images/s without them, at 119 with them). Candle's pool
/// waits by spinning, on cores that the matrix products need: measured, half of all time.
pub fn prepare() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` only changes tunables of the allocator; a value it does not take is refused without effect.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
    if std::env::var_os("CANDLE_NUM_THREADS").is_none() {
        // SAFETY: no other thread runs yet, as the caller promises; nobody reads the environment meanwhile.
        unsafe { std::env::set_var("CANDLE_NUM_THREADS", "1") };
    }
}
