//! The driver: the one task that moves datagrams between a socket and an endpoint.

use std::boxed::Box;
use std::format;
use std::io::{self, ErrorKind};
use std::mem;
use std::net::SocketAddr;
use std::pin::Pin;
use std::string::{String, ToString};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::vec::Vec;

use super::clock::Clock;
use super::endpoint::Endpoint;
use super::logging::state_machine;
use super::pump::{BATCH, Pump, Step};
use super::rebind::{Rebinder, Replacement};
use super::shards::Place;
use super::socket::Reactor;
use super::state::Shared;
use crate::{Config, Entropy, Instant, Job};

/// Batches to send before looking whether something arrived: acknowledgements must not wait behind a bulk transfer.
const SENDS: usize = 8;
/// Turns before other tasks of the runtime get their chance.
const TURNS: usize = 32;

/// The task behind an [`Endpoint`]: a future that an adapter spawns on its runtime. It ends when the endpoint was shut
/// down, or when no handle is left, and all connections are closed.
///
/// Dropping it early, as a runtime that shuts down does, ends all connections with
/// [`ConnectionError::EndpointGone`](crate::ConnectionError::EndpointGone).
#[derive(Debug)]
#[must_use = "nothing moves until the driver is spawned"]
pub struct Driver<R: Reactor> {
    /// Until the end.
    running: Option<Running<R>>,
    rebinder: Rebinder<R>,
}

#[derive(Debug)]
struct Running<R> {
    shared: Arc<Shared>,
    reactor: R,
    /// A socket to go on with instead.
    replacement: Replacement<R>,
    pump: Pump,
    /// Where other shards are, if there are any.
    place: Option<Place>,
    wake: Vec<Waker>,
    late: Vec<Waker>,
    jobs: Vec<Job>,
    /// What the reactor's timer is set to.
    alarm: Option<Instant>,
}

/// Makes an endpoint on a socket bound to `local`, and the future that drives it.
///
/// If `config` leaves [`unix_time_at_origin`](crate::ConfigBuilder::unix_time_at_origin) at 0 it is set from the
/// system's clock.
pub fn endpoint<R: Reactor>(config: Config, entropy: Entropy, local: SocketAddr, reactor: R) -> (Endpoint, Driver<R>) {
    drive(Clock::new(), config, entropy, local, reactor, None)
}

pub(super) fn drive<R: Reactor>(
    clock: Clock,
    config: Config,
    entropy: Entropy,
    local: SocketAddr,
    reactor: R,
    place: Option<Place>,
) -> (Endpoint, Driver<R>) {
    let config = clock.complete(config);
    let pump = Pump::new(local, config.max_udp_payload());
    let shared = Arc::new(Shared::new(clock, local, state_machine(Arc::new(config), entropy)));
    let handovers = place.as_ref().map(Place::counter);
    let rebinder = Rebinder { replacement: Replacement::default(), shared: shared.clone() };
    let running = Running {
        shared: shared.clone(),
        reactor,
        replacement: rebinder.replacement.clone(),
        pump,
        place,
        wake: Vec::new(),
        late: Vec::new(),
        jobs: Vec::new(),
        alarm: None,
    };
    (Endpoint::new(shared, handovers), Driver { running: Some(running), rebinder })
}

/// What the endpoint waits for after it was advanced.
enum Next {
    /// Nothing: there is more to do at once.
    More,
    /// The socket to take more.
    Writable,
    /// An arrival, a handle, or this time.
    Idle(Option<Instant>),
    /// All is done.
    End,
}

impl<R: Reactor + Unpin> Future for Driver<R> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if let Some(running) = &mut this.running {
            let reason = ready!(running.turn(cx)).err().map(|error| format!("the socket failed: {error}"));
            this.end(reason);
        }
        Poll::Ready(())
    }
}

impl<R: Reactor> Driver<R> {
    /// A way to put another socket under this driver while it runs.
    pub fn rebinder(&self) -> Rebinder<R> {
        self.rebinder.clone()
    }

    /// Tells everybody that nothing moves any more. The socket is closed by then: its address may be bound again.
    fn end(&mut self, reason: Option<String>) {
        let Some(Running { shared, reactor, mut wake, mut late, .. }) = self.running.take() else { return };
        drop(reactor);
        shared.lock().on_end(reason.map(String::into_boxed_str), &mut wake);
        wake.append(&mut late);
        wake.into_iter().for_each(Waker::wake);
    }
}

impl<R: Reactor> Drop for Driver<R> {
    fn drop(&mut self) {
        self.end(Some("the runtime dropped the endpoint's task".to_string()));
    }
}

impl<R: Reactor> Running<R> {
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        for _ in 0..TURNS {
            let next = self.advance(cx)?;
            let received = self.receive(cx)?;
            match next {
                Next::End => return Poll::Ready(Ok(())),
                Next::More => {}
                _ if received => {}
                Next::Writable | Next::Idle(None) => return Poll::Pending,
                // Timers of runtimes are too coarse for what is due already.
                Next::Idle(Some(at)) if at <= self.shared.clock.now() => {}
                Next::Idle(Some(at)) if self.poll_timer(cx, at).is_pending() => return Poll::Pending,
                Next::Idle(Some(_)) => {}
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Hands on what arrived and lets the endpoint do what it wants, until it is idle or for a number of batches.
    fn advance(&mut self, cx: &mut Context<'_>) -> io::Result<Next> {
        for _ in 0..SENDS {
            let next = self.step(cx);
            self.wake.drain(..).for_each(Waker::wake);
            for job in self.jobs.drain(..) {
                let shared = self.shared.clone();
                let work = move || {
                    let done = job.run();
                    shared.act(|state, now| state.endpoint.job_done(now, done));
                };
                self.reactor.offload(Box::new(work));
            }
            if !matches!(next, Next::More) {
                self.late.drain(..).for_each(Waker::wake);
                return Ok(next);
            }
            while let Err(error) = self.pump.flush(&mut self.reactor) {
                if error.kind() != ErrorKind::WouldBlock {
                    return Err(error);
                }
                match self.reactor.poll_writable(cx) {
                    Poll::Ready(ready) => ready?,
                    Poll::Pending => return Ok(Next::Writable),
                }
            }
        }
        Ok(Next::More)
    }

    /// The part under the lock: gives `More` when datagrams lie in the pump.
    fn step(&mut self, cx: &Context<'_>) -> Next {
        let now = self.shared.clock.now();
        let max_segments = self.reactor.max_segments();
        let replacement = self.replacement.take();
        let mut state = self.shared.lock();
        let mut _replaced = None;
        if let Some((local, reactor)) = replacement {
            // Dropped after the lock is given back, as its runtime may have something to do then.
            _replaced = Some(mem::replace(&mut self.reactor, reactor));
            self.alarm = None;
            self.pump.set_local(local);
            state.rebind(now, local);
        }
        if let Some(place) = &mut self.place {
            place.receive(&mut state.endpoint, now, cx.waker());
            let mut hand_over = |to, meta, datagram: &[u8]| self.wake.extend(place.hand_over(to, meta, datagram));
            self.pump.deliver_sharded(&mut state.endpoint, now, usize::MAX, &mut hand_over);
        } else {
            self.pump.deliver(&mut state.endpoint, now, usize::MAX);
        }
        let next = loop {
            match self.pump.step(&mut state.endpoint, now, max_segments) {
                Step::Event(id, event) => state.on_event(now, id, event, &mut self.wake, &mut self.late),
                Step::Incoming(id) => state.on_incoming(id, &mut self.wake),
                Step::Send => break Next::More,
                Step::Idle { .. } if state.ending && state.endpoint.is_idle() => break Next::End,
                Step::Idle { wake_at } => {
                    if !state.driver.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                        state.driver = Some(cx.waker().clone());
                    }
                    break Next::Idle(wake_at);
                }
            }
        };
        while let Some(job) = state.endpoint.take_job() {
            self.jobs.push(job);
        }
        next
    }

    /// Ready when `at` has passed. The timer is left to ring too early rather than set anew each time that a timeout
    /// moves away, as most do with every datagram.
    fn poll_timer(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        loop {
            let alarm = self.alarm.map_or(at, |alarm| alarm.min(at));
            self.alarm = Some(alarm);
            if self.reactor.poll_timer(cx, self.shared.clock.to_std(alarm)).is_pending() {
                return Poll::Pending;
            }
            self.alarm = None;
            if alarm == at {
                return Poll::Ready(());
            }
        }
    }

    /// Receives a batch into the pump. `false`: nothing is there, and the task will be woken.
    fn receive(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        loop {
            match self.pump.receive(&mut self.reactor, BATCH) {
                Ok(()) => return Ok(true),
                Err(error) if error.kind() == ErrorKind::WouldBlock => match self.reactor.poll_readable(cx) {
                    Poll::Ready(ready) => ready?,
                    Poll::Pending => return Ok(false),
                },
                Err(error) => return Err(error),
            }
        }
    }
}
