//! Public-key work that the program runs where it likes.

use jsp_proto::{Instant, Job, JobDone};

use crate::endpoint::{Inner, JspEndpoint, with};
use crate::guard::{Guarded, handle};
use crate::memory::{check, put};
use crate::status::{JSP_ERROR_NULL, JSP_ERROR_WOULD_BLOCK, JSP_ERROR_WRONG_STATE, JspError};

/// A piece of public-key work of a handshake, about 0.2 ms. May be run on any thread.
#[derive(Debug)]
pub struct JspJob(Guarded<Work>);

#[derive(Debug)]
enum Work {
    ToDo(Job),
    Done(JobDone),
    Taken,
}

/// The next piece of public-key work of an endpoint with `JSP_KEM_HANDED_OUT`, into `*job`: to be run by `jsp_job_run`
/// and given back by `jsp_endpoint_job_done`, or freed by `jsp_job_free`, which ends that handshake.
///
/// Errors: `JSP_ERROR_WOULD_BLOCK` if there is none.
///
/// # Safety
/// `job` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_endpoint_take_job(endpoint: *mut JspEndpoint, job: *mut *mut JspJob) -> JspError {
    let work = |endpoint: &mut Inner| {
        check(job)?;
        let taken = endpoint.proto.take_job().ok_or(JSP_ERROR_WOULD_BLOCK)?;
        // SAFETY: the caller's promise.
        unsafe { put(job, Box::into_raw(Box::new(JspJob(Guarded::new(Work::ToDo(taken)))))) }
    };
    // SAFETY: the caller's promise.
    unsafe { with(endpoint, work) }
}

/// Runs a piece of work. Any thread may, and it needs no endpoint. Running it again does nothing.
///
/// # Safety
/// `job` is a handle that was not freed or given back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_job_run(job: *mut JspJob) -> JspError {
    // SAFETY: the caller's promise.
    match unsafe { handle(job) } {
        Ok(job) => job.0.enter(|work| {
            *work = match std::mem::replace(work, Work::Taken) {
                Work::ToDo(job) => Work::Done(job.run()),
                done => done,
            };
            Ok(())
        }),
        Err(error) => error,
    }
}

/// Gives a piece of work back that was run. Frees it, unless it returns an error.
///
/// Errors: `JSP_ERROR_WRONG_STATE` if it was not run.
///
/// # Safety
/// `job` is a handle that was not freed or given back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_endpoint_job_done(endpoint: *mut JspEndpoint, now_ns: u64, job: *mut JspJob) -> JspError {
    let work = |endpoint: &mut Inner| {
        // SAFETY: the caller's promise.
        let job = unsafe { handle(job) }?;
        let mut done = None;
        let taken = job.0.enter(|work| match std::mem::replace(work, Work::Taken) {
            Work::Done(result) => {
                done = Some(result);
                Ok(())
            }
            other => {
                *work = other;
                Err(JSP_ERROR_WRONG_STATE)
            }
        });
        match done {
            Some(done) => {
                endpoint.proto.job_done(Instant::from_nanos(now_ns), done);
                Ok(())
            }
            None => Err(taken),
        }
    };
    // SAFETY: the caller's promise.
    let result = unsafe { with(endpoint, work) };
    if result == crate::JSP_ERROR_OK {
        // SAFETY: the caller's promise; its content was taken.
        unsafe { jsp_job_free(job) };
    }
    result
}

/// Frees a piece of work that was not given back; `NULL` does nothing.
///
/// # Safety
/// `job` is `NULL` or a handle that was not freed or given back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jsp_job_free(job: *mut JspJob) {
    crate::guard::catch(|| {
        if job.is_null() {
            return Err(JSP_ERROR_NULL);
        }
        // SAFETY: it was made by `Box::into_raw`.
        drop(unsafe { Box::from_raw(job) });
        Ok(())
    });
}
