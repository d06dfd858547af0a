//! A loop for programs that have none.

use std::io::{self, ErrorKind};
use std::ops::ControlFlow;

use mio::{Events, Poll, Token};

use crate::endpoint::{Endpoint, Event};
use crate::turn::Budget;

const JSP: Token = Token(0);

/// Serves the endpoint and hands each event to `handle` until that breaks with a value. What the last events gave it to
/// send is sent before it returns, as far as the socket takes it.
///
/// # Errors
/// What the system says about the socket or about waiting for it.
pub fn run<T>(
    endpoint: &mut Endpoint,
    mut handle: impl FnMut(&mut Endpoint, Event) -> ControlFlow<T>,
) -> io::Result<T> {
    let mut poll = Poll::new()?;
    let mut ready = Events::with_capacity(8);
    endpoint.register(poll.registry(), JSP)?;
    let ended = loop {
        let mut turn = endpoint.turn(Budget::UNLIMITED);
        match drain(endpoint, &mut turn, &mut handle) {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(value)) => break endpoint.flush().map(|()| value),
            Err(error) => break Err(error),
        }
        match poll.poll(&mut ready, endpoint.timeout()) {
            Ok(()) => ready.iter().for_each(|event| endpoint.on_ready(event)),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    let deregistered = endpoint.deregister(poll.registry());
    ended.and_then(|value| deregistered.map(|()| value))
}

fn drain<T>(
    endpoint: &mut Endpoint,
    turn: &mut crate::Turn,
    handle: &mut impl FnMut(&mut Endpoint, Event) -> ControlFlow<T>,
) -> io::Result<ControlFlow<T>> {
    while let Some(event) = endpoint.next(turn)? {
        if let ControlFlow::Break(value) = handle(endpoint, event) {
            return Ok(ControlFlow::Break(value));
        }
    }
    Ok(ControlFlow::Continue(()))
}
