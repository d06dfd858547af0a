//! Keys, their ids, and randomness.

use std::ffi::c_char;

use jsp_proto::driver::system;
use jsp_proto::{KeyId, PublicKey, SecretKey};

use crate::guard::catch;
use crate::memory::{bytes, bytes_mut, copied, put_text, text};
use crate::status::{JSP_ERROR_INVALID_KEY, JSP_ERROR_INVALID_KEY_ID, JSP_ERROR_NULL, JSP_ERROR_SYSTEM, JspError};

/// Bytes of the seed that a secret key is made of.
pub const JSP_SEED_LEN: usize = 32;
/// Bytes of a public key.
pub const JSP_PUBLIC_KEY_LEN: usize = 1216;
/// Bytes of a key id as text, `jsp1-` and 52 letters and digits, with the zero byte at its end.
pub const JSP_KEY_ID_TEXT: usize = 58;

/// The number of this library's binary interface; a header with another one does not fit: `jsp_abi_check`.
pub const JSP_ABI_VERSION: u32 = 1;

/// The library's `JSP_ABI_VERSION`.
#[unsafe(no_mangle)]
pub extern "C" fn jsp_abi_version() -> u32 {
    JSP_ABI_VERSION
}

/// Whether a program compiled with a header of this number can use this library: `jsp_abi_check(JSP_ABI_VERSION)`.
///
/// Errors: `JSP_ERROR_ABI`.
#[unsafe(no_mangle)]
pub extern "C" fn jsp_abi_check(header: u32) -> JspError {
    if header == JSP_ABI_VERSION { crate::JSP_ERROR_OK } else { crate::JSP_ERROR_ABI }
}

/// The library's version, such as `0.1.0`. Lives as long as the library.
#[unsafe(no_mangle)]
pub extern "C" fn jsp_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Fills `out` with `len` bytes from the operating system's source of randomness, for seeds. May block at system start.
///
/// Errors: `JSP_ERROR_SYSTEM`.
///
/// # Safety
/// `out` may be written for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_random(out: *mut u8, len: usize) -> JspError {
    catch(|| {
        // SAFETY: the caller's promise.
        for chunk in unsafe { bytes_mut(out, len) }?.chunks_mut(32) {
            let seed = system::random_seed().map_err(|_| JSP_ERROR_SYSTEM)?;
            chunk.copy_from_slice(seed.get(..chunk.len()).unwrap_or_default());
        }
        Ok(())
    })
}

/// The public key of the secret key that `seed` (`JSP_SEED_LEN` bytes) stands for, into `out` (`JSP_PUBLIC_KEY_LEN`
/// bytes). Takes about 0.1 ms.
///
/// # Safety
/// `seed` may be read and `out` written for that many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_public_key(seed: *const u8, out: *mut u8) -> JspError {
    catch(|| {
        // SAFETY: the caller's promise.
        let seed = unsafe { copied(seed) }?;
        // SAFETY: the caller's promise.
        let out = unsafe { bytes_mut(out, JSP_PUBLIC_KEY_LEN) }?;
        out.copy_from_slice(SecretKey::from_seed(seed).public().as_bytes());
        Ok(())
    })
}

/// The id of a public key of `len` bytes, as text with a zero byte at its end, into `out` (`JSP_KEY_ID_TEXT` bytes).
///
/// Errors: `JSP_ERROR_INVALID_KEY`.
///
/// # Safety
/// `key` may be read for `len` bytes and `out` written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_key_id(key: *const u8, len: usize, out: *mut c_char) -> JspError {
    catch(|| {
        // SAFETY: the caller's promise.
        let key = public_key(unsafe { bytes(key, len) }?)?;
        // SAFETY: the caller's promise.
        unsafe { put_text(&key.key_id().to_string(), out, JSP_KEY_ID_TEXT) }
    })
}

/// Whether a text is a key id, so that a program can say so before it connects.
///
/// Errors: `JSP_ERROR_INVALID_KEY_ID`.
///
/// # Safety
/// `key_id` ends with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_key_id_check(key_id: *const c_char) -> JspError {
    // SAFETY: the caller's promise.
    catch(|| unsafe { parse_key_id(key_id) }.map(drop))
}

/// # Safety
/// `key_id` is `NULL` or ends with a zero byte.
pub(crate) unsafe fn parse_key_id(key_id: *const c_char) -> Result<KeyId, JspError> {
    // SAFETY: the caller's promise.
    match unsafe { text(key_id) } {
        Err(JSP_ERROR_NULL) => Err(JSP_ERROR_NULL),
        text => text.ok().and_then(|text| text.parse().ok()).ok_or(JSP_ERROR_INVALID_KEY_ID),
    }
}

pub(crate) fn public_key(bytes: &[u8]) -> Result<PublicKey, JspError> {
    PublicKey::from_bytes(bytes).map_err(|_| JSP_ERROR_INVALID_KEY)
}
