//! Keeping freed memory: a training step frees hundreds of megabytes and takes them again at once, and giving them back to
//! the system in between costs a page fault every 4 KiB. Measured on two Zen 5 cores: a DiT trains at 237 images/s with
//! this, at 119 without.

/// Tells the C allocator to keep what is freed. Worth a call at the start of a program that trains; does nothing where the
/// allocator is not glibc's.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` only changes tunables of the allocator; a value it does not take is refused without effect.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
    }
}
