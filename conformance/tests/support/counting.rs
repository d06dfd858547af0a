//! An allocator that counts, on one thread and only while it is told to, and remembers where.

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many places of allocations a failure shows.
const SHOWN: usize = 3;

thread_local! {
    static COUNTING: Cell<bool> = const { Cell::new(false) };
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static PLACES: RefCell<Vec<(usize, Backtrace)>> = const { RefCell::new(Vec::new()) };
}

fn note(size: usize) {
    // After a thread's end its locals are gone; nothing is counted there.
    let counts = COUNTING.try_with(Cell::get) == Ok(true) && INSIDE.try_with(Cell::get) == Ok(true);
    if counts {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // Taking a backtrace allocates.
        INSIDE.set(false);
        PLACES.with_borrow_mut(|places| {
            if places.len() < SHOWN {
                places.push((size, Backtrace::force_capture()));
            }
        });
        INSIDE.set(true);
    }
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(old, layout) }
    }
}

/// What happens in here counts.
pub(crate) fn inside<T>(call: impl FnOnce() -> T) -> T {
    INSIDE.set(true);
    let result = call();
    INSIDE.set(false);
    result
}

/// How many allocations `work` makes inside of [`inside`].
pub(crate) fn allocations(work: impl FnOnce()) -> u64 {
    ALLOCATIONS.set(0);
    PLACES.with_borrow_mut(Vec::clear);
    COUNTING.set(true);
    work();
    COUNTING.set(false);
    ALLOCATIONS.get()
}

/// Where the last allocations were counted, to be shown by a test that fails.
pub(crate) fn print_places() {
    for (size, place) in PLACES.take() {
        println!("{size} bytes:\n{place}");
    }
}
