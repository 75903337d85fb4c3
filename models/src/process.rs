//! What a program that computes tells its process once, at the very start, and where its memory comes from.

use std::alloc::{GlobalAlloc, Layout, System};

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

/// Bytes of a cache line, and of the shortest memory that begins with one.
const LINE: usize = 64;
const LONG: usize = 4096;

/// The system's allocator, but memory of a page or more begins with a cache line: a vector of 64 bytes that lies across two
/// lines takes twice the time (measured: convolutions are 8 % faster). For `#[global_allocator]` of programs and
/// of dynamic libraries that compute: a library's memory does not come from its program's allocator.
pub struct Aligned;

/// `layout` as the system is asked for it.
fn widened(layout: Layout) -> Layout {
    let align = if layout.size() >= LONG { LINE } else { 1 };
    layout.align_to(align).unwrap_or(layout)
}

// SAFETY: every call goes to the system's allocator, with a layout that follows from the caller's alone.
unsafe impl GlobalAlloc for Aligned {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises for a layout of the same size.
        unsafe { System.alloc(widened(layout)) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(widened(layout)) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: it was allocated with the same layout, widened alike.
        unsafe { System.dealloc(memory, widened(layout)) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that `size`, rounded up to the alignment, is a valid size.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        if widened(new).align() == layout.align() && widened(layout).align() == layout.align() {
            // SAFETY: both are the system's own layouts.
            return unsafe { System.realloc(memory, layout, size) };
        }
        // SAFETY: the new memory is apart from the old, both are as long as what is copied, and the old is given up.
        unsafe {
            let to = self.alloc(new);
            if !to.is_null() {
                to.copy_from_nonoverlapping(memory, layout.size().min(size));
                self.dealloc(memory, layout);
            }
            to
        }
    }
}
