//! An allocator that counts allocations, for tests.
#![expect(unsafe_code, reason = "a global allocator is unsafe to write")]
#![allow(dead_code, reason = "each test uses a part")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Counts of this thread only: other threads start and print at any time.
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: forwards to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Returns the number of allocations of `body` on this thread, and the largest growth in bytes held by
/// all threads.
pub(crate) fn count<T>(body: impl FnOnce() -> T) -> (T, usize, usize) {
    let (calls, now) = (CALLS.get(), NOW.load(Ordering::Relaxed));
    MOST.store(now, Ordering::Relaxed);
    let result = body();
    let (calls, most) = (
        CALLS.get() - calls,
        MOST.load(Ordering::Relaxed).saturating_sub(now),
    );
    (result, calls, most)
}
