//! The way into a handle: no `NULL`, one thread, and no panic gets out.

use std::cell::UnsafeCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};

use crate::status::{
    JSP_ERROR_BUSY, JSP_ERROR_NULL, JSP_ERROR_OK, JSP_ERROR_PANIC, JSP_ERROR_POISONED, JspError, Outcome,
};

const FREE: u8 = 0;
const BUSY: u8 = 1;
const POISONED: u8 = 2;

/// What one thread at a time may use.
pub(crate) struct Guarded<T> {
    state: AtomicU8,
    value: UnsafeCell<T>,
}

// SAFETY: the state lets one thread at a time reach the value.
unsafe impl<T: Send> Sync for Guarded<T> {}

impl<T> fmt::Debug for Guarded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").field("state", &self.state).finish_non_exhaustive()
    }
}

impl<T> Guarded<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { state: AtomicU8::new(FREE), value: UnsafeCell::new(value) }
    }

    /// Works with the value. A panic makes it unusable.
    pub(crate) fn enter(&self, work: impl FnOnce(&mut T) -> Outcome) -> JspError {
        match self.state.compare_exchange(FREE, BUSY, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => {}
            Err(BUSY) => return JSP_ERROR_BUSY,
            Err(_) => return JSP_ERROR_POISONED,
        }
        // SAFETY: nobody else has set the state to BUSY.
        let value = unsafe { &mut *self.value.get() };
        let result = catch(|| work(value));
        self.state.store(if result == JSP_ERROR_PANIC { POISONED } else { FREE }, Ordering::Release);
        result
    }

    /// Whether a thread is inside.
    pub(crate) fn is_busy(&self) -> bool {
        self.state.load(Ordering::Acquire) == BUSY
    }
}

/// Runs what must not panic across the border.
pub(crate) fn catch(work: impl FnOnce() -> Outcome) -> JspError {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => JSP_ERROR_OK,
        Ok(Err(error)) => error,
        Err(_) => JSP_ERROR_PANIC,
    }
}

/// A handle of the program.
///
/// # Safety
/// `handle` is `NULL` or was given out by this library and not freed.
pub(crate) unsafe fn handle<'a, T>(handle: *const T) -> Result<&'a T, JspError> {
    // SAFETY: the caller's promise.
    unsafe { handle.as_ref() }.ok_or(JSP_ERROR_NULL)
}

/// Works with what a handle stands for that any number of threads may use.
///
/// # Safety
/// As [`handle`].
pub(crate) unsafe fn share<T>(of: *const T, work: impl FnOnce(&T) -> Outcome) -> JspError {
    // SAFETY: the caller's promise.
    catch(|| work(unsafe { handle(of) }?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::JSP_ERROR_WOULD_BLOCK;

    #[test]
    fn a_panic_is_a_status_and_poisons() {
        let guarded = Guarded::new(0);
        assert_eq!(
            guarded.enter(|value| {
                *value += 1;
                Ok(())
            }),
            JSP_ERROR_OK
        );
        assert_eq!(guarded.enter(|_| Err(JSP_ERROR_WOULD_BLOCK)), JSP_ERROR_WOULD_BLOCK);
        assert_eq!(guarded.enter(|_| panic!("on purpose")), JSP_ERROR_PANIC);
        assert_eq!(guarded.enter(|_| Ok(())), JSP_ERROR_POISONED);
        assert_eq!(catch(|| panic!("on purpose")), JSP_ERROR_PANIC);
    }

    #[test]
    fn whoever_comes_second_is_told() {
        let guarded = Guarded::new(());
        assert_eq!(
            guarded.enter(|()| {
                assert!(guarded.is_busy());
                assert_eq!(guarded.enter(|()| Ok(())), JSP_ERROR_BUSY);
                Ok(())
            }),
            JSP_ERROR_OK
        );
        assert!(!guarded.is_busy());
    }
}
