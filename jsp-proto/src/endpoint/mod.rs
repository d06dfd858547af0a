//! The endpoint: all connections of one socket behind two verbs, datagrams in and outputs out.
//!
//! Owns the tables that find a connection, the queue of those with something to do, and the order of their deadlines.
//! What a datagram means is for [`accept`] (clients that are not connections yet) and the connections to say.

mod accept;
mod attempt;
mod budgets;
mod cids;
mod deadlines;
mod decision;
mod demux;
mod handle;
mod incoming;
mod job;
mod memory;
mod observer;
mod prefix;
mod repairs;
mod reset;
mod stateless;
#[cfg(test)]
mod tests;
mod token_keys;
mod tokens;
mod used;
mod versions;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::num::NonZeroU16;
use core::time::Duration;

pub use handle::{Conn, ExportError};
pub use incoming::{Accept, Incoming, IncomingGone, IncomingId};
pub use job::{Job, JobDone};
pub use observer::Observer;

use attempt::Attempts;
use budgets::Budgets;
use deadlines::Deadlines;
use prefix::{HalfOpen, PerPrefix, Prefix};
use repairs::Repairs;
use reset::Resets;
use token_keys::TokenKeys;
use used::UsedTokens;

use crate::config::{ClientConfig, Config, Fec};
use crate::conn::{ConnectError, Connection, Path, Sent, Wake};
use crate::crypto::token::ResetKey;
use crate::ecn::Ecn;
use crate::entropy::{Drbg, Entropy};
use crate::error::AppCode;
use crate::event::Event;
use crate::fec;
use crate::map::{KeyedHash, Map};
use crate::slab::{Key, Slab};
use crate::stats::EndpointStats;
use crate::time::{Instant, earliest};
use crate::wire::{Cid, Side};

/// Connections that one poll looks at when none of them has anything to say. Then the program gets a chance to do
/// something else: thousands may come due at once.
const VISITS: usize = 64;

/// How long after a datagram of the endpoint PINGs that keep other connections alive go along: radio and processor are
/// awake anyway.
const AWAKE: Duration = Duration::from_millis(10);

/// Names a connection of one endpoint. It carries a generation: an id that outlived its connection finds nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(Key);

impl ConnId {
    /// The id as a number, for programs in other languages.
    pub const fn as_u64(self) -> u64 {
        (self.0.generation as u64) << 32 | self.0.index as u64
    }

    /// The id that [`as_u64`](Self::as_u64) gave. Any other number is an id of no connection.
    pub const fn from_u64(id: u64) -> Self {
        Self(Key { index: id as u32, generation: (id >> 32) as u32 })
    }
}

impl core::fmt::Debug for ConnId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "ConnId({}.{})", self.0.index, self.0.generation)
    }
}

/// Where datagrams came from, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecvMeta {
    /// The addresses.
    pub path: Path,
    /// The ECN field of the IP header.
    pub ecn: Ecn,
    /// For a batch of equal datagrams in one buffer (GRO): the size of each; the last may be shorter. `None` for a
    /// single datagram.
    pub stride: Option<NonZeroU16>,
}

impl RecvMeta {
    /// A single datagram over `path`, without ECN.
    pub const fn single(path: Path) -> Self {
        Self { path, ecn: Ecn::NotEct, stride: None }
    }
}

/// What became of the datagrams handed in. The reasons for drops are in [`EndpointStats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Taken by a connection or a handshake.
    pub accepted: u16,
    /// Answered without keeping anything.
    pub replied: u16,
    /// Dropped and counted.
    pub dropped: u16,
    /// Of another shard, and left as they were for it: [`Endpoint::owner`] names it. 0 without
    /// [`ConfigBuilder::shard`](crate::ConfigBuilder::shard).
    pub foreign: u16,
}

/// Datagrams to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit<'b> {
    /// From where to where.
    pub path: Path,
    /// The ECN field to put in the IP header.
    pub ecn: Ecn,
    /// Bytes of each datagram; the last may be shorter. A payload no longer than this is one datagram.
    pub segment: usize,
    /// The bytes, at the start of the buffer given to [`Endpoint::poll`].
    pub payload: &'b [u8],
}

/// What the endpoint wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output<'b> {
    /// Something happened on a connection.
    Event(ConnId, Event),
    /// A client waits for a decision: [`Endpoint::accept`], [`refuse`](Endpoint::refuse) or
    /// [`ignore`](Endpoint::ignore) within five seconds.
    Incoming(IncomingId),
    /// Datagrams to send.
    Transmit(Transmit<'b>),
    /// The next datagram needs a buffer of at least `len` bytes. Nothing is lost; poll again with one.
    NeedBuffer {
        /// Bytes needed.
        len: usize,
    },
    /// Nothing to do until a datagram comes in or `wake_at` is reached.
    Idle {
        /// When to poll again, always later than the `now` of this poll; `None`: only when something happens. A
        /// nanosecond later if this poll has looked at so many connections that it left some for the next.
        wake_at: Option<Instant>,
        /// By how much the wake-up may be late without harm, so that a program can align it with others.
        slack: Duration,
        /// Why.
        why: Wake,
    },
}

struct Entry {
    connection: Connection,
    queued: bool,
    half_open: bool,
    /// While half-open without a token: the network it counts for.
    prefix: Option<Prefix>,
    /// Of a client: the network it came from.
    origin: Option<Prefix>,
    confirmed: bool,
    /// Counted as closed.
    closed: bool,
    memory: u64,
    /// Listed in `Endpoint::holding_credit`.
    holds_credit: bool,
    /// Listed in `Endpoint::repairs`.
    waits_for_repair: bool,
    /// Listed in `Endpoint::resets`.
    reset_token: Option<[u8; 16]>,
}

/// All connections of one socket, as a client, a server or both. See the [crate's documentation](crate).
pub struct Endpoint {
    config: Arc<Config>,
    now: Instant,
    rng: Drbg,
    hash: KeyedHash,
    /// Boxed: the slab grows by doubling, and an entry has several kilobytes.
    connections: Slab<Box<Entry>>,
    cids: Map<Cid, Key>,
    ready: VecDeque<Key>,
    deadlines: Deadlines,
    /// When connections that are kept alive want to send a PING at the latest.
    pings: Deadlines,
    attempts: Attempts,
    incoming: Vec<incoming::Waiting>,
    announcements: VecDeque<IncomingId>,
    next_incoming: u64,
    jobs: VecDeque<Job>,
    /// One reference, and one more for each job that is waiting or handed out.
    jobs_under_way: Arc<()>,
    answers: VecDeque<(Path, Vec<u8>)>,
    token_keys: TokenKeys,
    used_tokens: UsedTokens,
    reset_key: ResetKey,
    resets: Resets,
    budgets: Budgets,
    half_open: HalfOpen,
    /// Connections of clients.
    per_prefix: PerPrefix,
    /// Bytes held for received data, over all connections.
    memory: u64,
    /// Connections that were told to grant no credit for want of memory.
    holding_credit: Vec<Key>,
    repairs: Repairs,
    shutdown: bool,
    /// When a datagram of a connection was given out last.
    sent_at: Instant,
    /// The tables of error correction are there.
    corrects: bool,
    stats: EndpointStats,
    observer: Option<Box<dyn Observer>>,
}

impl core::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Endpoint")
            .field("connections", &self.connections.len())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// An endpoint without connections. `entropy` seeds everything random in it.
    pub fn new(config: Arc<Config>, entropy: Entropy) -> Self {
        let mut rng = Drbg::new(&entropy);
        let hash = KeyedHash::new(&mut rng);
        let bounds = &config.bounds;
        Self {
            now: Instant::ZERO,
            hash,
            connections: Slab::new(),
            cids: Map::with_hasher(hash),
            ready: VecDeque::new(),
            deadlines: Deadlines::default(),
            pings: Deadlines::default(),
            attempts: Attempts::new(hash),
            incoming: Vec::new(),
            announcements: VecDeque::new(),
            next_incoming: 0,
            jobs: VecDeque::new(),
            jobs_under_way: Arc::new(()),
            answers: VecDeque::new(),
            token_keys: TokenKeys::new(&config.tokens, config.unix_time_at_origin, &mut rng),
            used_tokens: UsedTokens::new(config.tokens.lifetime_seconds()),
            reset_key: ResetKey::new(config.reset_key.unwrap_or_else(|| rng.array())),
            resets: Resets::new(bounds, hash),
            budgets: Budgets::new(bounds, hash),
            half_open: HalfOpen::new(hash),
            per_prefix: PerPrefix::new(hash),
            memory: 0,
            holding_credit: Vec::new(),
            repairs: Repairs::new(bounds),
            shutdown: false,
            sent_at: Instant::ZERO,
            corrects: false,
            stats: EndpointStats::default(),
            observer: None,
            config,
            rng,
        }
    }

    /// The settings.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Counters since the start.
    pub fn stats(&self) -> &EndpointStats {
        &self.stats
    }

    /// Connections in any state, closed ones with unread data included.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Clients on their way to become connections: their first messages are being put together or opened, or the program
    /// decides about them. What is remembered of those whose attempt is over does not count.
    pub fn pending_clients(&self) -> usize {
        self.attempts.pending()
    }

    /// Whether nothing is left to do but wait for strangers: no answers to send and no connections, except such as will
    /// never send again: the peer has closed them or is gone, or they wait for the program to read what they received.
    /// Looks at every connection.
    pub fn is_idle(&self) -> bool {
        self.answers.is_empty() && self.connections.iter().all(|(_, entry)| entry.connection.is_silent())
    }

    /// Time never goes back: an earlier `now` counts as the latest seen.
    fn advance(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }

    /// Begins a connection to the server at `path.remote`.
    ///
    /// The outcome is an event: [`Event::Connected`], or [`Event::Closed`] with the reason in
    /// [`Conn::close_reason`].
    ///
    /// # Errors
    /// [`ConnectError`] if the attempt cannot even begin; nothing is sent then.
    pub fn connect(&mut self, now: Instant, path: Path, client: &ClientConfig) -> Result<ConnId, ConnectError> {
        let now = self.advance(now);
        if self.shutdown {
            return Err(ConnectError::ShuttingDown);
        }
        if self.connections.len() >= self.config.bounds.connections {
            return Err(ConnectError::TooManyConnections);
        }
        // The connection draws from the endpoint's generator, so that a handshake is a function of the seed alone.
        let rng = self.rng.fork();
        let mut connection = Connection::client(now, &self.config, client, path, rng, self.hash)?;
        connection.start_trace(self.attention());
        Ok(ConnId(self.insert(connection, None)))
    }

    /// The connection named `id`, to work with at time `now`; `None` once it is over and read empty.
    pub fn conn(&mut self, now: Instant, id: ConnId) -> Option<Conn<'_>> {
        self.advance(now);
        self.connections.get(id.0).is_some_and(|entry| !entry.connection.is_discarded()).then_some(())?;
        Some(Conn::new(self, id))
    }

    /// The socket was replaced by another one, bound to `local` as far as it is known: all connections of which this
    /// endpoint is the client go over the new one. Connections of which it is the server are lost, because their clients
    /// know the old address only.
    ///
    /// Call it when the network of the device has changed, or when the socket failed.
    pub fn rebind(&mut self, now: Instant, local: Option<SocketAddr>) {
        let now = self.advance(now);
        let keys: Vec<Key> = self.connections.iter().map(|(key, _)| key).collect();
        for key in keys {
            if let Some(entry) = self.connections.get_mut(key) {
                // Those that are not established yet repeat themselves from the new socket.
                let _ = entry.connection.migrate(now, local, true);
            }
            self.touch(key);
        }
    }

    /// Closes all connections as [`Conn::close`] does and takes no new ones. Done when [`is_idle`](Self::is_idle).
    pub fn shutdown(&mut self, now: Instant, code: AppCode) {
        let now = self.advance(now);
        self.shutdown = true;
        // Clients that are not connections yet are left without an answer; results of their jobs find nobody.
        self.incoming.clear();
        self.announcements.clear();
        self.jobs.clear();
        let keys: Vec<Key> = self.connections.iter().map(|(key, _)| key).collect();
        for key in keys {
            if let Some(entry) = self.connections.get_mut(key) {
                entry.connection.close(now, code, b"");
            }
            self.touch(key);
        }
    }

    /// Work to run elsewhere, with [`KemJobs::HandedOut`](crate::KemJobs).
    pub fn take_job(&mut self) -> Option<Job> {
        self.jobs.pop_front()
    }

    /// Takes back the result of a job.
    pub fn job_done(&mut self, now: Instant, done: JobDone) {
        let now = self.advance(now);
        self.on_job(now, done);
    }

    /// Error correction is in sight: its tables are built now and not in the middle of a transfer.
    fn expect_correction(&mut self, fec: Fec) {
        if fec != Fec::Off && !core::mem::replace(&mut self.corrects, true) {
            fec::warm_up();
        }
    }

    fn insert(&mut self, connection: Connection, prefix: Option<Prefix>) -> Key {
        self.expect_correction(self.config.transport.policy.fec);
        let half_open = connection.is_half_open();
        if half_open {
            self.half_open.add(prefix);
        }
        let origin = (connection.side() == Side::Server).then(|| Prefix::of(connection.path().remote));
        if let Some(origin) = origin {
            self.per_prefix.add(origin);
        }
        let entry = Entry {
            connection,
            queued: false,
            half_open,
            prefix,
            origin,
            confirmed: false,
            closed: false,
            memory: 0,
            holds_credit: false,
            waits_for_repair: false,
            reset_token: None,
        };
        let key = self.connections.insert(Box::new(entry));
        if let Some(entry) = self.connections.get(key) {
            self.cids.extend(entry.connection.local_cids().map(|cid| (cid, key)));
        }
        self.touch(key);
        key
    }

    /// Queues a connection that may have something to do, and brings the books up to date.
    fn touch(&mut self, key: Key) {
        let Some(entry) = self.connections.get_mut(key) else { return };
        observer::report(&mut self.observer, self.now, key, &mut entry.connection);
        if entry.half_open && !entry.connection.is_half_open() {
            entry.half_open = false;
            self.half_open.remove(entry.prefix);
        }
        if !entry.confirmed && entry.connection.is_confirmed() {
            entry.confirmed = true;
            self.stats.connections_confirmed += 1;
        }
        if entry.connection.is_closed() && !core::mem::replace(&mut entry.closed, true) {
            self.stats.connections_closed += 1;
        }
        self.keep_cids(key);
        self.follow_reset_token(key);
        self.queue(key);
        self.account_memory(key);
        self.queue_repair(key);
        self.issue_token(key);
    }

    /// Gives a connection its turn in one of the next polls.
    fn queue(&mut self, key: Key) {
        if let Some(entry) = self.connections.get_mut(key)
            && !core::mem::replace(&mut entry.queued, true)
        {
            self.ready.push_back(key);
        }
    }

    fn remove(&mut self, key: Key) {
        if let Some(mut entry) = self.connections.remove(key) {
            observer::report_end(&mut self.observer, self.now, key, &mut entry.connection);
            for cid in entry.connection.local_cids() {
                self.cids.remove(&cid);
            }
            self.resets.forget(entry.reset_token, key);
            self.deadlines.set(key.index, None);
            self.pings.set(key.index, None);
            if entry.half_open {
                self.half_open.remove(entry.prefix);
            }
            if let Some(origin) = entry.origin {
                self.per_prefix.remove(origin);
            }
            self.memory -= entry.memory;
            self.stats.connections_closed += u64::from(!entry.closed);
            self.release_credit();
        }
    }

    /// The next thing to do. Call it until it gives [`Output::Idle`]; stopping earlier only adds delay.
    ///
    /// Datagrams are written to the start of `out`. A buffer of several times
    /// [`Config::max_udp_payload`](crate::Config::max_udp_payload) lets one output carry a batch.
    ///
    /// Needs about 128 KiB of stack if peers protect what they send by parity (error correction).
    pub fn poll<'b>(&mut self, now: Instant, out: &'b mut [u8]) -> Output<'b> {
        self.poll_batch(now, out, usize::MAX)
    }

    /// As [`poll`](Self::poll), with at most `limit` datagrams in one output, whatever room there is; 0 is taken as 1.
    pub fn poll_batch<'b>(&mut self, now: Instant, out: &'b mut [u8], limit: usize) -> Output<'b> {
        let now = self.advance(now);
        self.attempts.expire(now, &self.config.bounds);
        self.expire_undecided(now);
        self.repair(now);
        if let Some((path, len)) = self.next_answer(out) {
            return match out.get(..len) {
                Some(payload) => self.transmit(path, Ecn::NotEct, len, payload),
                None => Output::NeedBuffer { len },
            };
        }
        if let Some(id) = self.announcements.pop_front() {
            return Output::Incoming(id);
        }
        for _ in 0..VISITS {
            self.queue_due(now);
            let Some(&key) = self.ready.front() else { return self.idle(now) };
            match self.serve(now, key, out, limit) {
                Served::Event(event) => return Output::Event(ConnId(key), event),
                Served::NeedBuffer(len) => return Output::NeedBuffer { len },
                Served::Datagrams { path, ecn, len, segment } => {
                    // The others get their turn between two batches of this one.
                    self.ready.rotate_left(1);
                    return match out.get(..len) {
                        Some(payload) => self.transmit(path, ecn, segment, payload),
                        None => Output::NeedBuffer { len },
                    };
                }
                Served::Done => {}
            }
        }
        Output::Idle { wake_at: Some(now.plus_nanos(1)), slack: Duration::ZERO, why: Wake::Endpoint }
    }

    fn transmit<'b>(&mut self, path: Path, ecn: Ecn, segment: usize, payload: &'b [u8]) -> Output<'b> {
        self.sent_at = self.now;
        self.stats.datagrams_sent += payload.len().div_ceil(segment.max(1)) as u64;
        self.stats.bytes_sent += payload.len() as u64;
        Output::Transmit(Transmit { path, ecn, segment, payload })
    }

    /// Copies out an answer that belongs to no connection. Too small a buffer leaves it where it is.
    fn next_answer(&mut self, out: &mut [u8]) -> Option<(Path, usize)> {
        let (path, datagram) = self.answers.front()?;
        let (path, len) = (*path, datagram.len());
        if let Some(slot) = out.get_mut(..len) {
            slot.copy_from_slice(datagram);
            self.answers.pop_front();
        }
        Some((path, len))
    }

    /// Gives a connection whose deadline has come its turn, if there is one.
    fn queue_due(&mut self, now: Instant) {
        if let Some((_, _, index)) = self.deadlines.next().filter(|&(at, ..)| at <= now) {
            self.deadlines.set(index, None);
            if let Some(key) = self.connections.key_at(index) {
                self.queue(key);
            }
        } else if self.sent_at > Instant::ZERO && now - self.sent_at <= AWAKE {
            self.queue_early(now);
        }
    }

    /// While the endpoint sends, a PING that could wait a little goes along: connections that are kept alive wake the
    /// device together.
    fn queue_early(&mut self, now: Instant) {
        let Some((_, _, index)) = self.pings.next() else { return };
        let Some(key) = self.connections.key_at(index) else { return };
        if self.connections.get_mut(key).is_some_and(|entry| entry.connection.keep_alive_early(now)) {
            self.pings.set(index, None);
            self.queue(key);
        }
    }

    /// Gives the front of the ready queue its turn.
    fn serve(&mut self, now: Instant, key: Key, out: &mut [u8], limit: usize) -> Served {
        let Some(entry) = self.connections.get_mut(key) else {
            self.ready.pop_front();
            return Served::Done;
        };
        // A connection may come due while it waits in this queue: its deadline is not set until it leaves.
        if entry.connection.wake().is_some_and(|(at, _)| at <= now) {
            entry.connection.on_timeout(now);
            self.touch(key);
        }
        let Some(entry) = self.connections.get_mut(key) else { return Served::Done };
        let connection = &mut entry.connection;
        if !connection.is_discarded()
            && let Some(event) = connection.poll_event()
        {
            return Served::Event(event);
        }
        let sent = connection.poll_transmit(now, out, limit);
        observer::report(&mut self.observer, now, key, connection);
        match sent {
            Sent::Datagrams { path, len, segment, ecn } => {
                return Served::Datagrams { path, ecn, len, segment };
            }
            Sent::NeedBuffer(len) => return Served::NeedBuffer(len),
            Sent::Nothing => {}
        }
        // Sending may have caused an event, as a farewell does.
        if connection.has_events() && !connection.is_discarded() {
            return Served::Done;
        }
        let wake = connection.wake();
        let ping = connection.keep_alive_at().map(|at| (at, Wake::Keepalive));
        let gone = connection.is_gone();
        entry.queued = false;
        self.ready.pop_front();
        if gone {
            self.remove(key);
        } else {
            self.deadlines.set(key.index, wake);
            self.pings.set(key.index, ping);
        }
        Served::Done
    }

    fn keep_alive_slack(&self, index: u32) -> Duration {
        let entry = self.connections.key_at(index).and_then(|key| self.connections.get(key));
        entry.map_or(Duration::ZERO, |entry| entry.connection.keep_alive_slack())
    }

    fn idle(&mut self, now: Instant) -> Output<'static> {
        let connection = self.deadlines.next();
        let expiry = self.attempts.next_expiry();
        let repair = self.repairs.deadline(now);
        let wake_at = earliest(earliest(connection.map(|(at, ..)| at), expiry), repair);
        let why = match connection {
            Some((at, why, _)) if Some(at) == wake_at => why,
            _ if repair.is_some() && repair == wake_at => Wake::Repair,
            _ if expiry.is_some() => Wake::Endpoint,
            _ => Wake::Never,
        };
        let slack = match why {
            Wake::Idle | Wake::Rest | Wake::Close | Wake::Endpoint => Duration::from_millis(100),
            Wake::Keepalive => connection.map_or(Duration::ZERO, |(_, _, index)| self.keep_alive_slack(index)),
            _ => Duration::ZERO,
        };
        debug_assert!(wake_at.is_none_or(|at| at > now), "a deadline that was due was not served: {why:?}");
        // A deadline in the past would make callers spin.
        let wake_at = wake_at.map(|at| at.max(now.plus_nanos(1)));
        Output::Idle { wake_at, slack, why }
    }
}

/// What a connection's turn came to.
enum Served {
    Event(Event),
    Datagrams { path: Path, ecn: Ecn, len: usize, segment: usize },
    NeedBuffer(usize),
    Done,
}
