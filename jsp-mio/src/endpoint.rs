//! The endpoint in a blocking loop: readiness in, events out.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jsp_proto::driver::{BATCH, Clock, Pump, Step as Wants, TokenStore, state_machine, system};
use jsp_proto::{
    Accept, AppCode, ClientConfig, Config, Conn, ConnId, ConnectError, EndpointStats, Entropy, Incoming, IncomingGone,
    IncomingId, Job, JobDone, Path,
};
use mio::{Interest, Registry, Token};

use crate::socket::{Loss, MioSocket};
use crate::turn::{Budget, Costs, Step, Turn};

/// Batches to send before looking whether something arrived: acknowledgements must not wait behind a bulk transfer.
const SENDS: usize = 8;
/// Datagrams of one step of a turn with a limit of time: few enough for a fine budget, enough to pay for reading the
/// clock.
const FINE: usize = 4;
/// Datagrams of a batch that such a turn sends if it fits.
const COARSE: usize = 16;

/// What happened, for the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Something happened on a connection; [`Endpoint::conn`] gives it.
    Connection(ConnId, jsp_proto::Event),
    /// A client asks to be let in, with [`AcceptPolicy::Ask`](crate::AcceptPolicy): [`Endpoint::accept`],
    /// [`refuse`](Endpoint::refuse) or [`ignore`](Endpoint::ignore) it within five seconds.
    Incoming(IncomingId),
}

/// One UDP socket with all its connections, as client, server or both, in the program's own loop. No thread, no waker,
/// no lock; nothing moves but inside [`next`](Self::next).
///
/// ```no_run
/// # fn main() -> std::io::Result<()> {
/// # let mut endpoint = jsp_mio::Endpoint::bind(([127, 0, 0, 1], 0).into(), jsp_mio::Config::default())?;
/// use jsp_mio::Budget;
/// const JSP: mio::Token = mio::Token(0);
///
/// let mut poll = mio::Poll::new()?;
/// let mut ready = mio::Events::with_capacity(64);
/// endpoint.register(poll.registry(), JSP)?;
/// loop {
///     poll.poll(&mut ready, endpoint.timeout())?;
///     for event in ready.iter().filter(|event| event.token() == JSP) {
///         endpoint.on_ready(event);
///     }
///     let mut turn = endpoint.turn(Budget::UNLIMITED);
///     while let Some(event) = endpoint.next(&mut turn)? {
///         println!("{event:?}");
///     }
/// }
/// # }
/// ```
///
/// A loop that runs at a fixed rate anyway, as a game's, needs no [`mio::Poll`]: an endpoint that is not registered
/// asks its socket in every turn.
///
/// Dropping an endpoint sends nothing. Call [`shutdown`](Self::shutdown) and go on until it [is
/// idle](Self::is_idle) to deliver what was accepted for sending and to take leave of the peers.
#[derive(Debug)]
pub struct Endpoint {
    proto: jsp_proto::Endpoint,
    pump: Pump,
    socket: MioSocket,
    local: SocketAddr,
    clock: Clock,
    costs: Costs,
    registered: bool,
    /// Whether the socket may have something to read, or room for something to send.
    readable: bool,
    writable: bool,
    /// When the state machine wants to be asked again; `None`: at once.
    asleep: Option<Sleep>,
    /// Batches sent since the socket was last asked for arrivals.
    sends: usize,
    done: VecDeque<JobDone>,
    /// Events that came up while nobody asked for them.
    held: VecDeque<Event>,
    /// Address tokens for later connections.
    tokens: TokenStore,
}

#[derive(Clone, Copy, Debug)]
enum Sleep {
    Until(Instant),
    UntilReady,
}

/// What came of a step.
enum Came {
    Event(Event),
    /// Something was done, and so many datagrams moved from or to the state machine.
    Moved(usize),
    Nothing,
}

impl Endpoint {
    /// Binds a UDP socket. A [`Config`] with a server key makes a server; every endpoint can connect.
    ///
    /// The unspecified IPv6 address serves IPv4 too. Port 0 lets the system choose:
    /// [`local_address`](Self::local_address) tells.
    ///
    /// # Errors
    /// What the system says.
    pub fn bind(address: SocketAddr, config: Config) -> io::Result<Self> {
        Self::from_socket(system::bind(address)?, config)
    }

    /// Serves a socket that is bound already.
    ///
    /// If `config` leaves [`unix_time_at_origin`](crate::ConfigBuilder::unix_time_at_origin) at 0 it is set from the
    /// system's clock.
    ///
    /// # Errors
    /// When the socket's options cannot be set.
    pub fn from_socket(socket: std::net::UdpSocket, config: Config) -> io::Result<Self> {
        let clock = Clock::new();
        let config = clock.complete(config);
        let (socket, local) = MioSocket::new(socket)?;
        let pump = Pump::new(local, config.max_udp_payload());
        let entropy = Entropy::new(system::random_seed()?);
        let proto = state_machine(Arc::new(config), entropy);
        Ok(Self {
            proto,
            pump,
            socket,
            local,
            clock,
            costs: Costs::new(),
            registered: false,
            readable: true,
            writable: true,
            asleep: None,
            sends: 0,
            done: VecDeque::new(),
            held: VecDeque::new(),
            tokens: TokenStore::default(),
        })
    }

    /// The address the socket is bound to.
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// Lets the program's [`mio::Poll`] watch the socket under a token of the program's choice.
    ///
    /// # Errors
    /// What the system says.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.socket.socket, token, Interest::READABLE | Interest::WRITABLE)?;
        self.registered = true;
        Ok(())
    }

    /// Ends [`register`](Self::register).
    ///
    /// # Errors
    /// What the system says.
    pub fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.registered = false;
        registry.deregister(&mut self.socket.socket)
    }

    /// Goes on with another UDP socket, bound to `address`: for a device that has changed its network, or whose socket
    /// has failed. The connections that this endpoint has made go over it from now on and lose nothing; those it has
    /// accepted are lost, because their clients know the old address only.
    ///
    /// The new socket is not registered: call [`register`](Self::register) again.
    ///
    /// # Errors
    /// What the system says; the endpoint goes on with the old socket then.
    pub fn rebind(&mut self, address: SocketAddr) -> io::Result<()> {
        let (mut socket, local) = MioSocket::new(system::bind(address)?)?;
        socket.loss = self.socket.loss.take();
        self.socket = socket;
        self.local = local;
        self.pump.set_local(local);
        (self.registered, self.readable, self.writable, self.asleep) = (false, true, true, None);
        let now = self.clock.now();
        self.proto.rebind(now, Some(local).filter(|local| !local.ip().is_unspecified()));
        Ok(())
    }

    /// Takes note of what mio says about the socket. Nothing moves before the next turn.
    pub fn on_ready(&mut self, event: &mio::event::Event) {
        self.readable |= event.is_readable() || event.is_error();
        self.writable |= event.is_writable() || event.is_error();
    }

    /// When the next turn is due, if the socket does not become ready before; in the past if there is work left.
    /// `None`: only when the socket is ready or the program has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        match self.asleep {
            _ if self.has_work() => Some(self.clock.to_std(jsp_proto::Instant::ZERO)),
            Some(Sleep::Until(at)) => Some(at),
            Some(Sleep::UntilReady) | None => None,
        }
    }

    /// How long [`mio::Poll::poll`] may wait: until the [deadline](Self::deadline).
    pub fn timeout(&self) -> Option<Duration> {
        self.deadline().map(|at| at.saturating_duration_since(Instant::now()))
    }

    fn has_work(&self) -> bool {
        let blocked = self.pump.unsent() > 0 && !self.writable;
        let readable = self.registered && self.readable;
        !self.held.is_empty()
            || !self.done.is_empty()
            || !blocked && (self.asleep.is_none() || self.pump.has_received() || readable)
    }

    /// Begins a turn: what the endpoint may do until the program goes on with something else.
    pub fn turn(&mut self, budget: Budget) -> Turn {
        // Without mio nobody tells; the socket is asked.
        self.readable |= !self.registered;
        self.writable |= !self.registered;
        Turn::new(budget)
    }

    /// Moves datagrams until something happens that the program should know. `None`: nothing is left to do, or the
    /// budget is used up and the next turn goes on where this one ended ([`deadline`](Self::deadline) tells which).
    ///
    /// Arrivals, sending, and the connections take turns, whatever the budget: nothing starves.
    ///
    /// # Errors
    /// When the socket is of no more use. Errors that only speak of one peer or one datagram are none.
    pub fn next(&mut self, turn: &mut Turn) -> io::Result<Option<Event>> {
        if let Some(event) = self.held.pop_front() {
            return Ok(Some(event));
        }
        let mut began = Instant::now();
        loop {
            let Some(step) = self.choose(turn, began) else { return Ok(None) };
            if !turn.fits(self.costs.expect(turn, step)) {
                self.costs.put_off(turn, step);
                return Ok(None);
            }
            let came = self.take(step, turn, began);
            let ended = Instant::now();
            let took = ended.saturating_duration_since(began);
            began = ended;
            match came? {
                Came::Event(event) => {
                    turn.spend(step, took, 0);
                    return Ok(Some(event));
                }
                Came::Moved(datagrams) => {
                    if turn.is_timed() {
                        self.costs.note(turn, step, took);
                    }
                    turn.spend(step, took, datagrams);
                }
                // Says nothing about what the step takes when there is something to do.
                Came::Nothing => turn.spend(step, took, 0),
            }
        }
    }

    /// What to do next: what was received first, so that the state machine knows all there is to know, then what it
    /// wants, then what arrived since. `None` if there is nothing.
    fn choose(&mut self, turn: &Turn, now: Instant) -> Option<Step> {
        if self.pump.has_received() {
            return Some(if self.pump.has_received_handshake() { Step::Handshake } else { Step::Deliver });
        }
        if !self.done.is_empty() {
            return Some(Step::Job);
        }
        if let Some(Sleep::Until(at)) = self.asleep
            && at <= now
        {
            self.asleep = None;
        }
        let wants = self.asleep.is_none() && (self.writable || self.pump.unsent() == 0);
        if wants && self.sends < SENDS {
            let batch =
                turn.is_timed() && turn.fits(self.costs.expect(turn, Step::PollBatch)) && turn.datagrams_left() >= FINE;
            return Some(if batch { Step::PollBatch } else { Step::Poll });
        }
        // After so many batches mio may have had no chance to tell.
        (wants || self.readable).then_some(Step::Receive)
    }

    fn take(&mut self, step: Step, turn: &Turn, now: Instant) -> io::Result<Came> {
        let left = turn.datagrams_left().max(1);
        let instant = self.clock.at(now);
        match step {
            Step::Receive => {
                self.sends = 0;
                let slots = if turn.is_timed() && self.pump.receives_in_bulk() { 1 } else { BATCH };
                match self.pump.receive(&mut self.socket, slots) {
                    Ok(()) => Ok(Came::Moved(0)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        self.readable = false;
                        Ok(Came::Nothing)
                    }
                    Err(error) => Err(error),
                }
            }
            Step::Deliver | Step::Handshake => {
                let limit = match step {
                    Step::Handshake => 1,
                    _ if turn.is_timed() => FINE.min(left),
                    _ => left,
                };
                self.asleep = None;
                Ok(Came::Moved(self.pump.deliver(&mut self.proto, instant, limit)))
            }
            Step::Job => {
                if let Some(done) = self.done.pop_front() {
                    self.asleep = None;
                    self.proto.job_done(instant, done);
                }
                Ok(Came::Moved(0))
            }
            Step::Poll | Step::PollBatch => {
                let segments = match step {
                    Step::PollBatch => COARSE,
                    _ if turn.is_timed() => 1,
                    _ => usize::MAX,
                };
                self.poll(instant, segments.min(left).min(self.socket_segments()))
            }
        }
    }

    fn socket_segments(&self) -> usize {
        jsp_proto::driver::Socket::max_segments(&self.socket)
    }

    /// Asks the state machine what it wants, and sends that.
    fn poll(&mut self, now: jsp_proto::Instant, max_segments: usize) -> io::Result<Came> {
        match self.pump.step(&mut self.proto, now, max_segments) {
            Wants::Event(id, jsp_proto::Event::NewToken) => {
                self.tokens.collect(self.proto.conn(now, id));
                return Ok(Came::Moved(0));
            }
            Wants::Event(id, event) => return Ok(Came::Event(Event::Connection(id, event))),
            Wants::Incoming(id) => return Ok(Came::Event(Event::Incoming(id))),
            Wants::Idle { wake_at } => {
                self.asleep = Some(wake_at.map_or(Sleep::UntilReady, |at| Sleep::Until(self.clock.to_std(at))));
                return Ok(Came::Nothing);
            }
            Wants::Send => self.sends += 1,
        }
        let datagrams = self.pump.unsent();
        match self.pump.flush(&mut self.socket) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
            Err(error) => return Err(error),
        }
        Ok(Came::Moved(datagrams - self.pump.unsent()))
    }

    /// Sends all that is ready to be sent and that the socket takes, without waiting for the next turn. Events that
    /// come up wait for [`next`](Self::next).
    ///
    /// # Errors
    /// When the socket is of no more use.
    pub fn flush(&mut self) -> io::Result<()> {
        self.asleep = None;
        while self.asleep.is_none() && (self.writable || self.pump.unsent() == 0) {
            let now = self.clock.now();
            if let Came::Event(event) = self.poll(now, self.socket_segments())? {
                self.held.push_back(event);
            }
        }
        Ok(())
    }

    /// Begins to connect to the server at `remote`. How that ends is an event:
    /// [`Connected`](jsp_proto::Event::Connected), or [`Closed`](jsp_proto::Event::Closed) with the reason in
    /// [`Conn::close_reason`].
    ///
    /// Address tokens that servers send are kept by the endpoint, four for each of 64 servers, and used for the next
    /// connection to the same pinned key and address. There is no event of them.
    ///
    /// # Errors
    /// When it cannot begin, for example without trust in a server that is not on the loopback address.
    pub fn connect(&mut self, remote: SocketAddr, client: &ClientConfig) -> Result<ConnId, ConnectError> {
        self.asleep = None;
        let equipped = self.tokens.equip(remote, client);
        let client = equipped.as_ref().unwrap_or(client);
        self.proto.connect(self.clock.now(), Path { local: None, remote }, client)
    }

    /// A connection, to work with; `None` when it is over and read empty. What is given to it for sending leaves in the
    /// next turn or [`flush`](Self::flush).
    pub fn conn(&mut self, id: ConnId) -> Option<Conn<'_>> {
        self.asleep = None;
        self.proto.conn(self.clock.now(), id)
    }

    /// What a client that asks to be let in has told; `None` when it is too late.
    pub fn incoming(&self, id: IncomingId) -> Option<Incoming<'_>> {
        self.proto.incoming(id)
    }

    /// Lets a client in. [`Connected`](jsp_proto::Event::Connected) says that it is.
    ///
    /// # Errors
    /// [`IncomingGone`] when the answer comes too late.
    pub fn accept(&mut self, id: IncomingId, accept: Accept) -> Result<(), IncomingGone> {
        self.asleep = None;
        self.proto.accept(self.clock.now(), id, accept)
    }

    /// Tells a client that it is not wanted, with a code of the application.
    ///
    /// # Errors
    /// [`IncomingGone`] when the answer comes too late.
    pub fn refuse(&mut self, id: IncomingId, code: AppCode) -> Result<(), IncomingGone> {
        self.asleep = None;
        self.proto.refuse(self.clock.now(), id, code)
    }

    /// Stays silent to a client, which then runs into its timeout.
    pub fn ignore(&mut self, id: IncomingId) {
        self.proto.ignore(id);
    }

    /// Public-key work of a handshake, to be run wherever and whenever the program likes, with
    /// [`KemJobs::HandedOut`](crate::KemJobs): on a thread of its own, or in what is left of a frame. About 0.2 ms each.
    pub fn take_job(&mut self) -> Option<Job> {
        self.proto.take_job()
    }

    /// Takes back the result of a job; the handshake goes on in the next turn.
    pub fn job_done(&mut self, done: JobDone) {
        self.done.push_back(done);
    }

    /// Takes no more connections and closes all with `code` after delivering what was accepted for sending. Done when
    /// the endpoint [is idle](Self::is_idle).
    pub fn shutdown(&mut self, code: AppCode) {
        self.asleep = None;
        self.proto.shutdown(self.clock.now(), code);
    }

    /// Whether no connection is left, except such as are over and wait to be read empty, and everything was sent.
    pub fn is_idle(&self) -> bool {
        self.pump.unsent() == 0 && self.proto.is_idle()
    }

    /// Shows what happens on connections that begin from now on to `observer`, and no more to `tracing`; `None` ends
    /// that.
    pub fn set_observer(&mut self, observer: Option<Box<dyn jsp_proto::Observer>>) {
        self.proto.set_observer(observer);
    }

    /// The endpoint's counters, dropped datagrams by reason among them.
    pub fn stats(&self) -> &EndpointStats {
        self.proto.stats()
    }

    /// Connections that are not over yet, on their way in or out included.
    pub fn connections(&self) -> usize {
        self.proto.connections()
    }

    /// From now on loses some of the datagrams that are sent, or none of them any more.
    pub fn set_loss(&mut self, loss: Option<Loss>) {
        self.socket.loss = loss;
    }
}
