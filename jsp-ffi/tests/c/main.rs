//! The C side: the headers, the tests and the examples in C, and what the libraries export.
//!
//! Without a C compiler these tests say so and pass, unless the environment has `CI`.
#![cfg(unix)]

mod examples;
mod greedy;
mod install;
mod interop;
mod layout;
mod programs;
mod symbols;
mod tools;
mod vectors;
