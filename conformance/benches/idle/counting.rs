//! An allocator that knows how many bytes each of two parties holds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Whose calls are running; everything else is nobody's.
static PARTY: AtomicUsize = AtomicUsize::new(0);
static HELD: [AtomicI64; 3] = [const { AtomicI64::new(0) }; 3];

fn note(bytes: i64) {
    if let Some(held) = HELD.get(PARTY.load(Ordering::Relaxed)) {
        held.fetch_add(bytes, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size() as i64);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size as i64 - layout.size() as i64);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        note(-(layout.size() as i64));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(old, layout) }
    }
}

/// What `call` allocates and frees is `party`'s, 1 or 2.
pub(crate) fn for_party<T>(party: usize, call: impl FnOnce() -> T) -> T {
    PARTY.store(party, Ordering::Relaxed);
    let result = call();
    PARTY.store(0, Ordering::Relaxed);
    result
}

/// Bytes that `party` holds.
pub(crate) fn held(party: usize) -> i64 {
    HELD[party].load(Ordering::Relaxed)
}
