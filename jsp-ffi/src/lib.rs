//! JetStreamProto (JSP) for C, and for every language that can call C.
//!
//! Two interfaces, one header (`include/jsp.h`, generated from this crate and committed):
//!
//! * **Polling.** [`JspEndpoint`] is the protocol's state machine and nothing else. It takes datagrams and the time, and
//!   gives datagrams and events. It calls nothing back, starts no thread, opens no socket, keeps no global state, and no
//!   function blocks. For programs with an event loop, and for the bindings of other languages.
//! * **Blocking.** [`JspConnection`] and [`JspListener`] bring their own socket and one thread for it. For
//!   programs that want ten lines.
//!
//! # Rules
//!
//! * Every function returns a [`JspError`], 0 if it worked, or says in its description what else it returns.
//! * A handle belongs to the program until it gives it to the function named `..._free`. Freeing `NULL` does nothing.
//! * A [`JspEndpoint`] is used by one thread at a time, whichever; a second one gets [`JSP_ERROR_BUSY`]. Blocking
//!   handles may be used by any number of threads at once.
//! * Memory given to a function is read or written during the call only.
//! * Structures that begin with `size` are filled with zeros by the program, which then sets `size` to the `sizeof` of
//!   the structure. Zero is every other field's default. Larger structures of later versions stay compatible.
//! * A buffer that is too small is [`JSP_ERROR_BUFFER_TOO_SMALL`]: the length that is needed is reported and nothing is
//!   consumed.
//! * Ids carry a generation. One that outlived what it stood for is an error, never a stranger.
//! * A defect in this library is [`JSP_ERROR_PANIC`], and every later call on that handle [`JSP_ERROR_POISONED`].
#![warn(clippy::multiple_unsafe_ops_per_block)]

mod address;
mod alive;
mod blocking;
mod config;
mod conn;
mod endpoint;
mod guard;
mod incoming;
mod job;
mod keys;
mod memory;
mod path;
mod policy;
mod poll;
mod secrets;
mod stats;
mod status;
mod stream;
mod time;

pub use address::*;
pub use alive::*;
pub use blocking::*;
pub use config::*;
pub use conn::*;
pub use endpoint::*;
pub use incoming::*;
pub use job::*;
pub use keys::*;
pub use path::*;
pub use policy::*;
pub use poll::*;
pub use secrets::*;
pub use stats::*;
pub use status::*;
pub use stream::*;
