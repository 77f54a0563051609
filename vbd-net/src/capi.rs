//! The C interface, `include/vbd.h`: loads a file, runs it, and reads the outputs.
//!
//! Build it as a C library with `cargo rustc --release -p vbd-net --lib --features capi
//! --crate-type cdylib` (or `staticlib`).
#![expect(unsafe_code, reason = "C passes pointers")]

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::ptr;

use crate::runtime::{Pixel, Plan, Session};
use crate::spec::Loss;

/// The outputs are logits, one per class. The class is that of the largest logit; the softmax gives
/// probabilities.
pub const VBD_CROSS_ENTROPY: i32 = 0;
/// The outputs are values, as many as inputs, on the scale of the normalised input: those of an
/// autoencoder. They are not logits and have no softmax.
pub const VBD_MSE: i32 = 1;

/// A loaded net with its buffers. Only one thread at a time may use it; load the file again for
/// another thread.
pub struct VbdSession(Session);

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

/// Runs `body`. An error or panic becomes the thread's last error.
fn guarded<T>(body: impl FnOnce() -> Result<T, String>) -> Option<T> {
    let result = catch_unwind(AssertUnwindSafe(body));
    let message = match result {
        Ok(Ok(value)) => return Some(value),
        Ok(Err(message)) => message,
        Err(_) => "internal error: the library panicked".to_owned(),
    };
    let message = CString::new(message.replace('\0', " ")).unwrap_or_default();
    LAST_ERROR.with(|last| last.replace(message));
    None
}

/// Opens a pruned file.
///
/// `path` is UTF-8 and ends in a zero byte. Returns `NULL` if the file cannot be opened or run;
/// `vbd_last_error` then returns the reason. Free the session with `vbd_free`.
///
/// # Safety
/// `path` is `NULL` or points to a string that ends in a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vbd_load(path: *const c_char) -> *mut VbdSession {
    let load = || {
        if path.is_null() {
            return Err("path is NULL".to_owned());
        }
        // SAFETY: not null, and a string by the caller's promise.
        let path = unsafe { CStr::from_ptr(path) };
        let path = path.to_str().map_err(|_| "path is not UTF-8".to_owned())?;
        let plan = Plan::load(Path::new(path)).map_err(|error| error.to_string())?;
        Ok(Box::into_raw(Box::new(VbdSession(plan.session()))))
    };
    guarded(load).unwrap_or(ptr::null_mut())
}

/// Frees a session. `NULL` is allowed.
///
/// # Safety
/// `session` is `NULL` or was returned by `vbd_load`, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vbd_free(session: *mut VbdSession) {
    if !session.is_null() {
        // SAFETY: it comes from `Box::into_raw` and is dropped once, by the caller's promise.
        drop(unsafe { Box::from_raw(session) });
    }
}

/// Returns the number of values of one input sample: channels times height times width. 0 for
/// `NULL`.
///
/// # Safety
/// `session` is `NULL` or was returned by `vbd_load`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vbd_input_len(session: *const VbdSession) -> usize {
    // SAFETY: null, or a live session by the caller's promise.
    unsafe { session.as_ref() }.map_or(0, |session| session.0.plan().input_len())
}

/// Returns the number of outputs per sample. 0 for `NULL`.
///
/// # Safety
/// `session` is `NULL` or was returned by `vbd_load`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vbd_output_len(session: *const VbdSession) -> usize {
    // SAFETY: null, or a live session by the caller's promise.
    unsafe { session.as_ref() }.map_or(0, |session| session.0.plan().output_len())
}

/// Returns the kind of outputs: `VBD_CROSS_ENTROPY` or `VBD_MSE`. -1 for `NULL`.
///
/// # Safety
/// `session` is `NULL` or was returned by `vbd_load`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vbd_loss(session: *const VbdSession) -> i32 {
    // SAFETY: null, or a live session by the caller's promise.
    unsafe { session.as_ref() }.map_or(-1, |session| match session.0.plan().loss() {
        Loss::CrossEntropy => VBD_CROSS_ENTROPY,
        Loss::Mse => VBD_MSE,
    })
}

/// Former name of `vbd_output_len`. The outputs are logits only if `vbd_loss` returns
/// `VBD_CROSS_ENTROPY`.
///
/// # Safety
/// `session` is `NULL` or was returned by `vbd_load`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vbd_classes(session: *const VbdSession) -> usize {
    // SAFETY: the caller's promise.
    unsafe { vbd_output_len(session) }
}

/// Runs `samples` samples of raw inputs, row-major, channels first: pixels of 0 to 255, or whatever
/// the net was trained on. The net normalises them.
///
/// Reads `samples * vbd_input_len` values and writes `samples * vbd_output_len`. Returns 0, or -1
/// on failure; `vbd_last_error` then returns the reason.
///
/// # Safety
/// `session` was returned by `vbd_load` and is not used by another thread. `pixels` and `outputs`
/// point to as many values as are read and written, and do not overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vbd_run_f32(
    session: *mut VbdSession,
    pixels: *const f32,
    samples: usize,
    outputs: *mut f32,
) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { run(session, pixels, samples, outputs) }
}

/// Like `vbd_run_f32`, for pixels stored as bytes.
///
/// # Safety
/// As for `vbd_run_f32`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vbd_run_u8(
    session: *mut VbdSession,
    pixels: *const u8,
    samples: usize,
    outputs: *mut f32,
) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { run(session, pixels, samples, outputs) }
}

/// Returns the message of the last failed call on this thread, or an empty string. The pointer is
/// valid until the next failure on this thread.
#[unsafe(no_mangle)]
pub extern "C" fn vbd_last_error() -> *const c_char {
    LAST_ERROR.with(|last| last.borrow().as_ptr())
}

/// # Safety
/// As for [`vbd_run_f32`].
unsafe fn run<T: Pixel>(
    session: *mut VbdSession,
    pixels: *const T,
    samples: usize,
    outputs: *mut f32,
) -> i32 {
    let run = || {
        if session.is_null() || ((pixels.is_null() || outputs.is_null()) && samples > 0) {
            return Err("input or output pointer is NULL".to_owned());
        }
        // SAFETY: not null, and by the caller's promise a session that nobody else uses.
        let session = unsafe { &mut (*session).0 };
        if samples == 0 {
            return Ok(());
        }
        let plan = session.plan();
        let lens = [plan.input_len(), plan.output_len()].map(|len| len.checked_mul(samples));
        let [Some(pixel_count), Some(output_count)] = lens else {
            return Err(format!("too many samples: {samples}"));
        };
        // SAFETY: not null, and by the caller's promise that many values.
        let pixels = unsafe { std::slice::from_raw_parts(pixels, pixel_count) };
        let found = session.run(pixels).map_err(|error| error.to_string())?;
        // SAFETY: not null, by the caller's promise that many values, and `found` lies elsewhere.
        let outputs = unsafe { std::slice::from_raw_parts_mut(outputs, output_count) };
        outputs.copy_from_slice(found);
        Ok(())
    };
    guarded(run).map_or(-1, |()| 0)
}
