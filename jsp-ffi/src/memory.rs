//! Memory of the program: checked pointers, and structures that begin with their size.

use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;
use std::slice;

use crate::status::{
    JSP_ERROR_BUFFER_TOO_SMALL, JSP_ERROR_INVALID_ARGUMENT, JSP_ERROR_NULL, JSP_ERROR_STRUCT_SIZE, JspError, Outcome,
};

/// Some bytes of the program. `data` may be `NULL` if `len` is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct JspBytes {
    /// The first byte.
    pub data: *const u8,
    /// How many there are.
    pub len: usize,
}

/// The bytes at `data`; none at `NULL` if `len` is 0.
///
/// # Safety
/// `data` is `NULL` or points to `len` bytes that nobody changes during the call.
pub(crate) unsafe fn bytes<'a>(data: *const u8, len: usize) -> Result<&'a [u8], JspError> {
    array(data, len)?;
    if len == 0 {
        return Ok(&[]);
    }
    // SAFETY: the caller's promise; length and pointer were checked.
    Ok(unsafe { slice::from_raw_parts(data, len) })
}

/// The elements at `data`, as [`bytes`].
///
/// # Safety
/// `data` is `NULL` or points to `len` elements that nobody changes during the call.
pub(crate) unsafe fn elements<'a, T>(data: *const T, len: usize) -> Result<&'a [T], JspError> {
    array(data, len)?;
    if len == 0 {
        return Ok(&[]);
    }
    // SAFETY: the caller's promise; length and pointer were checked.
    Ok(unsafe { slice::from_raw_parts(data, len) })
}

/// The bytes at `data`, to be written.
///
/// # Safety
/// `data` is `NULL` or points to `len` bytes that nobody else uses during the call.
pub(crate) unsafe fn bytes_mut<'a>(data: *mut u8, len: usize) -> Result<&'a mut [u8], JspError> {
    array(data, len)?;
    if len == 0 {
        return Ok(&mut []);
    }
    // SAFETY: the caller's promise; length and pointer were checked.
    Ok(unsafe { slice::from_raw_parts_mut(data, len) })
}

/// Checks what can be checked of an array.
pub(crate) fn array<T>(data: *const T, len: usize) -> Outcome {
    match len {
        0 => Ok(()),
        _ if data.is_null() => Err(JSP_ERROR_NULL),
        _ if !data.is_aligned() => Err(JSP_ERROR_INVALID_ARGUMENT),
        _ if len > isize::MAX as usize / size_of::<T>().max(1) => Err(JSP_ERROR_INVALID_ARGUMENT),
        _ => Ok(()),
    }
}

/// Exactly `N` bytes, copied.
///
/// # Safety
/// `data` is `NULL` or points to `N` bytes.
pub(crate) unsafe fn copied<const N: usize>(data: *const u8) -> Result<[u8; N], JspError> {
    if data.is_null() {
        return Err(JSP_ERROR_NULL);
    }
    // SAFETY: the caller's promise; bytes have no alignment.
    Ok(unsafe { data.cast::<[u8; N]>().read_unaligned() })
}

/// As [`copied`], where `NULL` means that there is none.
///
/// # Safety
/// `data` is `NULL` or points to `N` bytes.
pub(crate) unsafe fn copied_if_any<const N: usize>(data: *const u8) -> Option<[u8; N]> {
    // SAFETY: the caller's promise.
    unsafe { copied(data) }.ok()
}

/// A text that ends with a zero byte. What is no UTF-8 is an invalid argument.
///
/// # Safety
/// `text` is `NULL` or points to a text that ends with a zero byte.
pub(crate) unsafe fn text<'a>(text: *const c_char) -> Result<&'a str, JspError> {
    if text.is_null() {
        return Err(JSP_ERROR_NULL);
    }
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|_| JSP_ERROR_INVALID_ARGUMENT)
}

/// A plain structure of the program, copied.
///
/// # Safety
/// `from` is `NULL` or points to one.
pub(crate) unsafe fn read_only<T: Copy>(from: *const T) -> Result<T, JspError> {
    check(from)?;
    // SAFETY: the caller's promise; the pointer was checked.
    Ok(unsafe { from.read() })
}

/// Where a value goes that the program wants.
///
/// # Safety
/// `out` is `NULL` or may be written.
pub(crate) unsafe fn put<T>(out: *mut T, value: T) -> Outcome {
    check(out)?;
    // SAFETY: the caller's promise; the pointer was checked.
    unsafe { out.write(value) };
    Ok(())
}

/// Whether a value can be put there, for functions that must know before they act.
pub(crate) fn check<T>(out: *const T) -> Outcome {
    if out.is_null() {
        Err(JSP_ERROR_NULL)
    } else if !out.is_aligned() {
        Err(JSP_ERROR_INVALID_ARGUMENT)
    } else {
        Ok(())
    }
}

/// Copies `parts`, one after the other, into a buffer of the program, and always tells the whole length.
///
/// # Safety
/// `len` may be written, and `out` is `NULL` or points to `capacity` bytes.
pub(crate) unsafe fn copy_out(parts: [&[u8]; 2], out: *mut u8, capacity: usize, len: *mut usize) -> Outcome {
    let [first, second] = parts;
    let total = first.len() + second.len();
    // SAFETY: the caller's promise.
    unsafe { put(len, total) }?;
    if total > capacity {
        return Err(JSP_ERROR_BUFFER_TOO_SMALL);
    }
    // SAFETY: the caller's promise; `total` bytes are not more than there are.
    let out = unsafe { bytes_mut(out, total) }?;
    let (head, tail) = out.split_at_mut(first.len());
    head.copy_from_slice(first);
    tail.copy_from_slice(second);
    Ok(())
}

/// Copies a text and a zero byte.
///
/// # Safety
/// `out` is `NULL` or points to `capacity` bytes.
pub(crate) unsafe fn put_text(text: &str, out: *mut c_char, capacity: usize) -> Outcome {
    if text.len() >= capacity {
        return Err(JSP_ERROR_BUFFER_TOO_SMALL);
    }
    check(out)?;
    // SAFETY: the caller's promise; there is room for the text and one byte more.
    let out = unsafe { bytes_mut(out.cast(), text.len() + 1) }?;
    let (head, end) = out.split_at_mut(text.len());
    head.copy_from_slice(text.as_bytes());
    end.fill(0);
    Ok(())
}

/// A structure that begins with a `u32` named `size`, and that is valid when it is all zeros.
///
/// # Safety
/// `repr(C)`, first field `u32`, every pattern of bits is a value.
pub(crate) unsafe trait Sized32: Copy {
    /// The size in the first version that had the structure.
    const FIRST: usize;
}

/// Reads a structure that may be shorter or longer than this library's. What the program's has less is zero; what it
/// has more must be zero, because it would be ignored.
///
/// # Safety
/// `from` is `NULL` or points to as many bytes as its first field says.
pub(crate) unsafe fn read<T: Sized32>(from: *const T) -> Result<T, JspError> {
    check(from)?;
    let data = from.cast::<u8>();
    // SAFETY: every such structure begins with its size.
    let size = unsafe { from.cast::<u32>().read() } as usize;
    if !(T::FIRST..=4096).contains(&size) {
        return Err(JSP_ERROR_STRUCT_SIZE);
    }
    let mut value = MaybeUninit::<T>::zeroed();
    let known = size.min(size_of::<T>());
    // SAFETY: the caller's promise.
    let given = unsafe { slice::from_raw_parts(data, size) };
    if given.get(known..).is_some_and(|unknown| unknown.iter().any(|&byte| byte != 0)) {
        return Err(JSP_ERROR_STRUCT_SIZE);
    }
    // SAFETY: not more than either has.
    unsafe { data.copy_to_nonoverlapping(value.as_mut_ptr().cast(), known) };
    // SAFETY: every pattern of bits is a value.
    Ok(unsafe { value.assume_init() })
}

/// Writes as much of a structure as the program's has room for, and leaves its `size` as it is.
///
/// # Safety
/// `out` is `NULL` or may be written for as many bytes as its first field says.
pub(crate) unsafe fn write<T: Sized32>(out: *mut T, value: &T) -> Outcome {
    check(out)?;
    // SAFETY: every such structure begins with its size.
    let size = unsafe { out.cast::<u32>().read() } as usize;
    if size < T::FIRST {
        return Err(JSP_ERROR_STRUCT_SIZE);
    }
    let known = size.min(size_of::<T>()) - size_of::<u32>();
    // SAFETY: the structure is longer than its size.
    let from = unsafe { std::ptr::from_ref(value).cast::<u8>().add(size_of::<u32>()) };
    // SAFETY: as above.
    let to = unsafe { out.cast::<u8>().add(size_of::<u32>()) };
    // SAFETY: not more than either has; the value is this library's own.
    unsafe { from.copy_to_nonoverlapping(to, known) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Known {
        size: u32,
        first: u32,
        second: u64,
    }

    // SAFETY: as required.
    unsafe impl Sized32 for Known {
        const FIRST: usize = 8;
    }

    #[repr(C)]
    struct Later {
        known: Known,
        third: u64,
    }

    #[test]
    fn structures_of_other_versions_are_read_and_written_as_far_as_both_know_them() {
        let mut later = Later { known: Known { size: 24, first: 1, second: 2 }, third: 0 };
        // SAFETY: it is as long as it says.
        let read_later = |later: &Later| unsafe { read(std::ptr::from_ref(later).cast::<Known>()) };
        assert!(matches!(read_later(&later), Ok(Known { first: 1, second: 2, .. })));
        later.third = 3;
        assert!(matches!(read_later(&later), Err(JSP_ERROR_STRUCT_SIZE)), "an option that would be ignored");

        let mut earlier = Known { size: 8, first: 1, second: 2 };
        // SAFETY: it is longer than it says.
        assert!(matches!(unsafe { read(&earlier) }, Ok(Known { first: 1, second: 0, .. })));
        // SAFETY: as above.
        assert_eq!(unsafe { write(&mut earlier, &Known { size: 16, first: 7, second: 8 }) }, Ok(()));
        assert_eq!((earlier.size, earlier.first, earlier.second), (8, 7, 2));
        let out = std::ptr::from_mut(&mut later).cast();
        // SAFETY: it is as long as it says.
        assert_eq!(unsafe { write(out, &Known { size: 16, first: 7, second: 8 }) }, Ok(()));
        assert_eq!((later.known.size, later.known.first, later.known.second, later.third), (24, 7, 8, 3));

        for size in [0, 7, 4097, u32::MAX] {
            earlier.size = size;
            // SAFETY: such sizes are refused before anything else is read.
            assert!(matches!(unsafe { read(&earlier) }, Err(JSP_ERROR_STRUCT_SIZE)), "{size}");
        }
        // SAFETY: NULL is allowed.
        assert!(matches!(unsafe { read::<Known>(std::ptr::null()) }, Err(JSP_ERROR_NULL)));
    }

    #[test]
    fn arrays_are_checked_as_far_as_possible() {
        assert_eq!(array::<u64>(std::ptr::null(), 0), Ok(()));
        assert_eq!(array::<u64>(std::ptr::null(), 1), Err(JSP_ERROR_NULL));
        assert_eq!(array(&1u64, usize::MAX / 8), Err(JSP_ERROR_INVALID_ARGUMENT));
        assert_eq!(array(std::ptr::without_provenance::<u64>(3), 1), Err(JSP_ERROR_INVALID_ARGUMENT));
    }

    #[test]
    fn a_short_buffer_gets_the_length_and_nothing_else() {
        let (mut out, mut len) = ([9; 4], 0);
        // SAFETY: both are there.
        let result = unsafe { copy_out([b"abc", b"de"], out.as_mut_ptr(), 4, &mut len) };
        assert_eq!((result, len, out), (Err(JSP_ERROR_BUFFER_TOO_SMALL), 5, [9; 4]));
        // SAFETY: both are there.
        let result = unsafe { copy_out([b"abc", b"d"], out.as_mut_ptr(), 4, &mut len) };
        assert_eq!((result, len, &out), (Ok(()), 4, b"abcd"));
    }
}
