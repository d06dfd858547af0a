//! The thread around an endpoint, and what callers do while it waits.

use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::UdpSocket;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jsp_mio::mio::{Events, Poll, Registry, Token, Waker};
use jsp_mio::proto::{Event as On, Side};
use jsp_mio::{AppCode, Budget, Config, Conn, ConnId, Endpoint, Event};

use super::channel::Channel;
use crate::status::{JSP_ERROR_ENDPOINT_GONE, JSP_ERROR_POISONED, JSP_ERROR_TIMEOUT, JspError, of_end};

const SOCKET: Token = Token(0);
const CALLERS: Token = Token(1);

/// Datagrams that the thread moves before callers get the lock.
const TURN: usize = 128;

/// When a caller gives up; `None`: never.
pub(super) type Deadline = Option<Instant>;

/// A point in time `timeout` from now, if it can be told.
pub(super) fn deadline(timeout: Duration) -> Deadline {
    Instant::now().checked_add(timeout)
}

/// A thread with an endpoint, shared by the handles that use it. When the last handle is gone it delivers what was
/// accepted, takes leave, and ends.
#[derive(Debug)]
pub(super) struct Link {
    shared: Arc<Shared>,
    /// Until it is dropped.
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Signalled after every turn in which something happened, the last thing left to do included.
    changed: Condvar,
    waker: Waker,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) endpoint: Endpoint,
    /// Where the thread's poll watches the socket.
    registry: Registry,
    pub(super) channels: HashMap<ConnId, Channel>,
    /// Clients' connections that nobody has accepted yet.
    pub(super) arrived: VecDeque<ConnId>,
    /// Whether clients' connections are wanted.
    pub(super) listens: bool,
    /// Whether no handle is left.
    abandoned: bool,
    /// Why the thread ended before its time.
    failed: Option<JspError>,
}

impl Link {
    /// Starts the thread.
    pub(super) fn start(socket: UdpSocket, config: Config, listens: bool) -> io::Result<Arc<Self>> {
        let endpoint = Endpoint::from_socket(socket, config)?;
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), CALLERS)?;
        let registry = poll.registry().try_clone()?;
        let (channels, arrived) = (HashMap::new(), VecDeque::new());
        let mut state = State { endpoint, registry, channels, arrived, listens, abandoned: false, failed: None };
        state.watch()?;
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), waker });
        let of_thread = shared.clone();
        let thread = thread::Builder::new().name("jsp".to_owned()).spawn(move || {
            // A panic poisons the lock, which every caller sees.
            let ended = catch_unwind(AssertUnwindSafe(|| of_thread.serve(poll)));
            if let Ok(mut state) = of_thread.state.lock() {
                state.failed.get_or_insert(JSP_ERROR_ENDPOINT_GONE);
            }
            of_thread.changed.notify_all();
            drop(ended);
        })?;
        Ok(Arc::new(Self { shared, thread: Some(thread) }))
    }

    /// Works with what is shared, and lets the thread act on it.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut State) -> Result<T, JspError>) -> Result<T, JspError> {
        let mut state = self.shared.lock()?;
        let result = state.check().and_then(|()| work(&mut state));
        drop(state);
        self.shared.wake();
        result
    }

    /// Tries until `work` gives something, again after each turn of the thread, and not beyond the deadline.
    pub(super) fn wait<T>(
        &self,
        deadline: Deadline,
        mut work: impl FnMut(&mut State) -> Result<Option<T>, JspError>,
    ) -> Result<T, JspError> {
        let mut state = self.shared.lock()?;
        loop {
            if let Some(value) = work(&mut state)? {
                drop(state);
                self.shared.wake();
                return Ok(value);
            }
            state.check()?;
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            state = match left {
                Some(Duration::ZERO) => return Err(JSP_ERROR_TIMEOUT),
                Some(left) => self.shared.changed.wait_timeout(state, left).map_err(|_| JSP_ERROR_POISONED)?.0,
                None => self.shared.changed.wait(state).map_err(|_| JSP_ERROR_POISONED)?,
            };
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let mut is_over = true;
        if let Ok(mut state) = self.shared.state.lock() {
            state.abandoned = true;
            state.listens = false;
            state.endpoint.shutdown(AppCode::ZERO);
            is_over = state.failed.is_some() || state.endpoint.is_idle();
        }
        self.shared.wake();
        // A thread with nothing left to do ends at once, and with the last handle. Others take leave in the background.
        if let Some(thread) = self.thread.take().filter(|_| is_over) {
            let _ = thread.join();
        }
    }
}

impl State {
    fn check(&self) -> Result<(), JspError> {
        self.failed.map_or(Ok(()), Err)
    }

    /// Lets the thread watch the endpoint's socket.
    pub(super) fn watch(&mut self) -> io::Result<()> {
        self.endpoint.register(&self.registry, SOCKET)
    }

    /// Whether an endpoint that takes no clients has nothing left to do. Others are not asked: it takes a look at every
    /// connection.
    fn is_done(&self) -> bool {
        !self.listens && self.endpoint.is_idle()
    }

    /// A connection and its channel.
    pub(super) fn both(&mut self, id: ConnId) -> (Option<Conn<'_>>, Option<&mut Channel>) {
        (self.endpoint.conn(id), self.channels.get_mut(&id))
    }

    /// Forgets a connection that its program has freed; it is closed in good order if it is not over.
    pub(super) fn forget(&mut self, id: ConnId) {
        let Some(channel) = self.channels.remove(&id) else { return };
        match self.endpoint.conn(id) {
            Some(conn) if channel.end.is_some() => conn.discard(),
            Some(mut conn) => conn.close(AppCode::ZERO, b""),
            None => {}
        }
    }

    /// Wants no more clients, and none of those that nobody has accepted.
    pub(super) fn stop_listening(&mut self) {
        self.listens = false;
        while let Some(id) = self.arrived.pop_front() {
            self.forget(id);
        }
    }

    fn on_event(&mut self, event: Event) {
        let Event::Connection(id, event) = event else { return };
        let Some(mut conn) = self.endpoint.conn(id) else { return };
        if event == On::Connected && conn.side() == Side::Server {
            if !self.listens {
                conn.abort(AppCode::ZERO, b"");
                return;
            }
            self.arrived.push_back(id);
            self.channels.entry(id).or_default();
        }
        let Some(channel) = self.channels.get_mut(&id) else {
            // The program has freed it.
            if event == On::Closed {
                conn.discard();
            }
            return;
        };
        match event {
            On::Connected => channel.is_connected = true,
            On::StreamOpened(stream) => channel.on_opened(stream),
            On::StreamReadable(stream) | On::StreamReset(stream, _) => channel.pull(&mut conn, stream),
            On::StreamStopped(stream, _) => channel.on_stopped(stream),
            On::Closed => {
                let end = conn.close_reason().map(|reason| (of_end(reason).0, reason.to_string()));
                channel.end = end.or(Some((JSP_ERROR_ENDPOINT_GONE, String::new())));
            }
            _ => {}
        }
    }
}

impl Shared {
    fn lock(&self) -> Result<MutexGuard<'_, State>, JspError> {
        self.state.lock().map_err(|_| JSP_ERROR_POISONED)
    }

    fn wake(&self) {
        // Without a thread there is nobody to wake, and `failed` says so.
        let _ = self.waker.wake();
    }

    /// The thread's loop. Returns when no handle is left and everything is said.
    fn serve(&self, mut poll: Poll) -> io::Result<()> {
        let mut ready = Events::with_capacity(8);
        loop {
            let Ok(mut state) = self.state.lock() else { return Ok(()) };
            ready.iter().filter(|event| event.token() == SOCKET).for_each(|event| state.endpoint.on_ready(event));
            let mut turn = state.endpoint.turn(Budget::datagrams(TURN));
            let was_done = state.is_done();
            let mut happened = false;
            while let Some(event) = state.endpoint.next(&mut turn)? {
                state.on_event(event);
                happened = true;
            }
            let is_done = state.is_done();
            if state.abandoned && is_done {
                return Ok(());
            }
            let timeout = state.endpoint.timeout();
            drop(state);
            if happened || is_done != was_done {
                self.changed.notify_all();
            }
            match poll.poll(&mut ready, timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
