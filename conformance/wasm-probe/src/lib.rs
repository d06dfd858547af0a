//! A WebAssembly module around one endpoint, to be looked at rather than run: `jsp-conformance wasm-imports` shows that
//! the protocol needs nothing from its host, no clock, no randomness and no socket.
//!
//! It is complete all the same. A host writes a datagram to [`jsp_probe_buffer`] and calls [`jsp_probe_datagram`], and
//! takes datagrams from the same buffer while [`jsp_probe_poll`] gives lengths.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;

use jsp_proto::{ClientConfig, Config, Endpoint, Entropy, Instant, Output, Path, RecvMeta, SecretKey};

/// The largest datagram, in bytes.
const BUFFER: usize = 1472;

struct Probe {
    endpoint: Endpoint,
    buffer: [u8; BUFFER],
}

thread_local! {
    static PROBE: RefCell<Option<Probe>> = const { RefCell::new(None) };
}

fn with<T>(missing: T, work: impl FnOnce(&mut Probe) -> T) -> T {
    PROBE.with_borrow_mut(|probe| probe.as_mut().map_or(missing, work))
}

fn peer() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 4433))
}

/// Makes a server's endpoint, or a client's that connects to the server of the same module elsewhere. A real program
/// fills the seed with randomness.
#[unsafe(no_mangle)]
pub extern "C" fn jsp_probe_new(seed: u8, server: bool) -> bool {
    let key = SecretKey::from_seed([1; 32]);
    let client = ClientConfig::pinned(key.public().clone());
    let config = if server { Config::builder().server_key(key).build() } else { Config::builder().build() };
    let Ok(config) = config else { return false };
    let mut endpoint = Endpoint::new(Arc::new(config), Entropy::new([seed; 32]));
    if !server && endpoint.connect(Instant::ZERO, Path::to(peer()), &client).is_err() {
        return false;
    }
    PROBE.set(Some(Probe { endpoint, buffer: [0; BUFFER] }));
    true
}

/// Where datagrams go in and out; null before [`jsp_probe_new`].
#[unsafe(no_mangle)]
pub extern "C" fn jsp_probe_buffer() -> *mut u8 {
    with(std::ptr::null_mut(), |probe| probe.buffer.as_mut_ptr())
}

/// Hands in a datagram of `len` bytes. Returns whether it was accepted or answered.
#[unsafe(no_mangle)]
pub extern "C" fn jsp_probe_datagram(now_ns: u64, len: usize) -> bool {
    with(false, |probe| {
        let Some(datagram) = probe.buffer.get_mut(..len) else { return false };
        let meta = RecvMeta::single(Path::to(peer()));
        let received = probe.endpoint.handle_datagram(Instant::from_nanos(now_ns), meta, datagram);
        received.accepted + received.replied > 0
    })
}

/// The length of the datagram to send, 0 if there is nothing to do, -1 for anything else; then poll again.
#[unsafe(no_mangle)]
pub extern "C" fn jsp_probe_poll(now_ns: u64) -> i32 {
    with(0, |probe| match probe.endpoint.poll(Instant::from_nanos(now_ns), &mut probe.buffer) {
        Output::Transmit(transmit) => transmit.payload.len() as i32,
        Output::Idle { .. } => 0,
        Output::Event(..) | Output::Incoming(_) | Output::NeedBuffer { .. } => -1,
    })
}
