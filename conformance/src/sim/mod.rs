//! A deterministic simulator: endpoints, links between them, virtual time, and one seed from which everything follows.
//!
//! Nothing here reads a clock or a socket. Time jumps from one thing that happens to the next, so a minute of a slow
//! network takes milliseconds, and two runs with one seed are the same to the last byte ([`Sim::trace`]).
//!
//! ```
//! use jsp_conformance::sim::apps::{BulkReceiver, BulkSender};
//! use jsp_conformance::sim::{Link, Sim, seeds};
//! use jsp_proto::{ClientConfig, Config, SecretKey};
//! use std::time::Duration;
//!
//! seeds("bulk_over_a_bad_link", 0..3, |seed| {
//!     let key = SecretKey::from_seed([7; 32]);
//!     let trusted = ClientConfig::pinned(key.public().clone());
//!
//!     let mut sim = Sim::new(seed);
//!     let server = sim.add(Config::builder().server_key(key).build().unwrap());
//!     let client = sim.add(Config::default());
//!     sim.link(client, server, Link::with_delay(Duration::from_millis(20)).rate(10_000_000).loss(0.05));
//!
//!     let conn = sim.connect(client, server, &trusted).unwrap();
//!     let mut sender = BulkSender::new(client, conn, seed, 20_000);
//!     let mut receiver = BulkReceiver::new(server, seed, 20_000);
//!     assert!(sim.run(Duration::from_secs(60), &mut [&mut sender, &mut receiver]));
//! });
//! ```
//!
//! # The parts
//!
//! - [`Sim`] holds the hosts and the network. [`Sim::next`] gives what happens next; [`Sim::run`] hands it to
//!   [`App`]s until they are done; [`Sim::conn`] gives a connection to act on, at any time.
//! - [`Host`] is one endpoint with an address, or a raw host that has none and speaks in datagrams.
//! - [`Link`] is what one direction between two hosts does to datagrams: delay, rate and queue, policer, loss,
//!   bursts, reordering, duplicates, corruption, MTU, ECN marks, scripted drops. [`LinkStats`] counts what it did.
//! - [`Bottleneck`] is one rate and one queue that several links share: drop-tail, CoDel, ECN marks, wireless
//!   retransmission, a rate that changes. [`BottleneckStats`] knows how long datagrams waited.
//! - [`Sim::tap`] shows every datagram to a closure that may change, drop or replace it; [`Sim::inject`] lets one
//!   arrive out of nowhere; [`Sim::rebind`] gives a host a new public address, [`Sim::readdress`] one of its own;
//!   [`Sim::restart`] makes it forget all.
//! - [`seeds`] runs a check over many seeds on all cores and prints how to replay the one that fails.
//! - [`apps`] has senders, receivers and recorders for tests, and flows of other congestion controls
//!   ([`Rival`](apps::Rival)) to compete with.
//!
//! # A run that fails
//!
//! `JSP_SEED=7` repeats one seed. `JSP_SIM_LOG=-` prints every datagram and event to standard error; any other value
//! is the name of a file to append to. An endpoint that breaks its contract (it wants to be woken in the past, or works
//! for ever while time stands still) stops the run with a panic that names the seed.

pub mod apps;
mod bottleneck;
mod codel;
mod happening;
mod host;
mod link;
mod net;
mod rng;
mod seeds;
mod trace;
mod world;

pub use bottleneck::{Bottleneck, BottleneckId, BottleneckStats};
pub use happening::{App, Happening, NodeId, TimerId};
pub use host::Host;
pub use link::{Link, LinkStats};
pub use net::{Passing, Tapped};
pub use rng::Rng;
pub use seeds::seeds;
pub use trace::TraceHash;
pub use world::Sim;
