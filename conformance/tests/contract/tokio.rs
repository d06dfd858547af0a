//! The contract on jsp-tokio.

use std::future::Future;

pub(crate) use jsp_tokio as adapter;
use tokio::runtime::{Builder, Runtime};

#[path = "asynchronous.rs"]
mod asynchronous;

/// An endpoint of jsp-tokio.
pub(crate) type Tokio = asynchronous::Asynchronous;

const NAME: &str = "tokio";

/// A runtime for one endpoint, whose task runs on a thread of its own.
struct Executor(Runtime);

impl Executor {
    fn new() -> Self {
        Self(Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime"))
    }

    fn run<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }
}
