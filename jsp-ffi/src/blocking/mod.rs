//! The blocking interface: connections and listeners with a socket and a thread of their own.
//!
//! A [`Link`] is the thread, in a blocking loop around an endpoint of `jsp-mio`, and what it shares with the callers: a
//! [`Channel`] per connection under one lock. Callers work on the endpoint under that lock, wake the thread, and wait
//! for its next turn.

mod channel;
mod connection;
mod link;
mod listener;
mod rebind;
mod settings;
mod target;

pub use connection::*;
pub use listener::*;
pub use rebind::*;
pub use settings::*;
