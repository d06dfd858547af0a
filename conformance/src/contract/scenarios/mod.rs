//! The scenarios, by what they are about. The server listens before the client starts; at its end each side shuts its
//! endpoint down, which delivers what was accepted for sending.

mod connecting;
mod echo;
mod ending;
mod flow;
mod network;
mod reading;

pub use connecting::*;
pub use echo::*;
pub use ending::*;
pub use flow::*;
pub use network::*;
pub use reading::*;
