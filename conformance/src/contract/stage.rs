//! Where a scenario is played: a thread for each side, and a watchdog.

use std::any::Any;
use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use jsp_proto::driver::ReadError;
use jsp_proto::{AppCode, ClientConfig, Config, ConfigBuilder, ConnectionError, SecretKey, StreamOptions};

use super::peer::{ConnKey, Peer, StreamKey};

/// No scenario may take longer: far more than any needs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Keys by number; the server's is 1.
pub(super) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

/// Trust in the server that every stage has.
pub(super) fn trust() -> ClientConfig {
    ClientConfig::pinned(key(1).public().clone())
}

/// A scenario's name, the adapters that play it, and their configurations.
#[derive(Debug)]
pub struct Stage<C, S> {
    scenario: &'static str,
    client: ConfigBuilder,
    server: ConfigBuilder,
    peers: PhantomData<fn() -> (C, S)>,
}

impl<C: Peer + 'static, S: Peer + 'static> Stage<C, S> {
    /// A stage for the scenario of this name.
    pub fn new(scenario: &'static str) -> Self {
        let server = Config::builder().server_key(key(1));
        Self { scenario, client: Config::builder(), server, peers: PhantomData }
    }

    /// Changes the configuration of the client.
    pub(super) fn client(mut self, set: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Self {
        self.client = set(self.client);
        self
    }

    /// Changes the configuration of the server.
    pub(super) fn server(mut self, set: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Self {
        self.server = set(self.server);
        self
    }

    /// Changes both configurations.
    pub(super) fn both(self, set: impl Fn(ConfigBuilder) -> ConfigBuilder) -> Self {
        self.client(&set).server(&set)
    }

    /// Runs both sides to their ends, shuts their endpoints down, and gives what they returned.
    ///
    /// Panics with the scenario, the pair, and the step at which each side is when one of them panics or when time
    /// runs out.
    pub(super) fn play<A: Send + 'static, B: Send + 'static>(
        self,
        client: impl FnOnce(&mut Side<C>, SocketAddr) -> A + Send + 'static,
        server: impl FnOnce(&mut Side<S>) -> B + Send + 'static,
    ) -> (A, B) {
        let [client_config, server_config] =
            [self.client, self.server].map(|config| config.build().expect("a valid configuration"));
        let (client_step, server_step) = (Step::default(), Step::default());
        let deadline = Instant::now() + PATIENCE;
        let (report, reports) = mpsc::channel();
        let (address, bound) = mpsc::channel();
        spawn(server_config, &server_step, &report, End::Server, move |side: &mut Side<S>| {
            let _ = address.send(side.peer.local_address());
            server(side)
        });
        // Without an address the server's report says why.
        if let Ok(address) = bound.recv() {
            spawn(client_config, &client_step, &report, End::Client, move |side: &mut Side<C>| client(side, address));
        }
        let (mut client_end, mut server_end) = (None, None);
        let failure = loop {
            match (client_end, server_end) {
                (Some(client), Some(server)) => return (client, server),
                waiting => (client_end, server_end) = waiting,
            }
            match reports.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(End::Client(Ok(value))) => client_end = Some(value),
                Ok(End::Server(Ok(value))) => server_end = Some(value),
                Ok(End::Client(Err(panic))) => break format!("the client failed: {}", text(&*panic)),
                Ok(End::Server(Err(panic))) => break format!("the server failed: {}", text(&*panic)),
                Err(_) => break format!("not done after {PATIENCE:?}"),
            }
        };
        panic!(
            "{}, {} to {}: {failure}\n  the client was at {client_step}\n  the server was at {server_step}",
            self.scenario,
            C::NAME,
            S::NAME
        );
    }
}

/// How the thread of a side ended.
enum End<A, B> {
    Client(thread::Result<A>),
    Server(thread::Result<B>),
}

/// Plays one side on a thread of its own. A thread that hangs is left behind: the watchdog reports it.
fn spawn<P: Peer + 'static, T: Send + 'static, E: Send + 'static>(
    config: Config,
    step: &Step,
    report: &mpsc::Sender<E>,
    end: fn(thread::Result<T>) -> E,
    play: impl FnOnce(&mut Side<P>) -> T + Send + 'static,
) {
    let (step, report) = (step.clone(), report.clone());
    thread::spawn(move || {
        let result = catch_unwind(AssertUnwindSafe(|| {
            let mut side = Side { peer: P::bind(config), step };
            let result = play(&mut side);
            side.at("shutting down").shutdown();
            result
        }));
        let _ = report.send(end(result));
    });
}

/// What a panic said.
fn text(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref().copied()).unwrap_or("a panic without a text")
}

/// Where in its scenario a side is.
#[derive(Clone, Default)]
struct Step(Arc<Mutex<Option<(&'static str, &'static Location<'static>)>>>);

impl Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((what, place)) => write!(f, "`{what}` ({place})"),
            None => f.write_str("its start"),
        }
    }
}

/// One side of a scenario: the peer, and short ways to do what must succeed.
pub(super) struct Side<P> {
    peer: P,
    step: Step,
}

#[track_caller]
fn must<T, E: Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

impl<P: Peer> Side<P> {
    /// The peer, for the step of this name.
    #[track_caller]
    pub(super) fn at(&mut self, step: &'static str) -> &mut P {
        *self.step.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((step, Location::caller()));
        &mut self.peer
    }

    #[track_caller]
    pub(super) fn connect(&mut self, server: SocketAddr) -> ConnKey {
        must(self.at("connecting").connect(server, &trust()))
    }

    #[track_caller]
    pub(super) fn accept(&mut self) -> ConnKey {
        self.at("accepting a connection").accept().expect("the endpoint is open")
    }

    #[track_caller]
    pub(super) fn open(&mut self, conn: ConnKey, options: StreamOptions) -> StreamKey {
        must(self.at("opening a stream").open(conn, options))
    }

    #[track_caller]
    pub(super) fn accept_stream(&mut self, conn: ConnKey) -> StreamKey {
        must(self.at("accepting a stream").accept_stream(conn)).expect("one more stream")
    }

    #[track_caller]
    pub(super) fn write_all(&mut self, stream: StreamKey, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let written = must(self.at("writing").write(stream, bytes));
            assert!((1..=bytes.len()).contains(&written), "{written} of {} bytes written", bytes.len());
            bytes = &bytes[written..];
        }
    }

    /// Reads to the end of the stream.
    #[track_caller]
    pub(super) fn read_to_end(&mut self, stream: StreamKey) -> Vec<u8> {
        let mut bytes = Vec::new();
        must(self.read_until(stream, &mut bytes));
        bytes
    }

    /// Reads to the end of the stream, regular or not, and keeps what came before.
    #[track_caller]
    pub(super) fn read_until(&mut self, stream: StreamKey, bytes: &mut Vec<u8>) -> Result<(), ReadError> {
        let mut buffer = vec![0; 32 << 10];
        loop {
            match self.at("reading").read(stream, &mut buffer)? {
                0 => return Ok(()),
                read => bytes.extend_from_slice(&buffer[..read]),
            }
        }
    }

    #[track_caller]
    pub(super) fn send(&mut self, stream: StreamKey, message: &[u8]) {
        must(self.at("sending a message").send_message(stream, message));
    }

    #[track_caller]
    pub(super) fn recv(&mut self, stream: StreamKey) -> Option<Vec<u8>> {
        must(self.at("receiving a message").recv_message(stream))
    }

    #[track_caller]
    pub(super) fn finish(&mut self, stream: StreamKey) {
        must(self.at("finishing a stream").finish(stream));
    }

    #[track_caller]
    pub(super) fn close(&mut self, conn: ConnKey) {
        must(self.at("closing").close(conn, AppCode::ZERO, b""));
    }

    /// Waits for the other side's ordinary close.
    #[track_caller]
    pub(super) fn closed(&mut self, conn: ConnKey) {
        self.closed_with(conn, AppCode::ZERO, b"");
    }

    /// Waits for the other side's close, which must bring this code and reason.
    #[track_caller]
    pub(super) fn closed_with(&mut self, conn: ConnKey, code: AppCode, reason: &[u8]) {
        let found = self.at("waiting for the close").closed(conn);
        assert_eq!(found, ConnectionError::PeerClosed { code, reason: reason.into() });
    }
}
