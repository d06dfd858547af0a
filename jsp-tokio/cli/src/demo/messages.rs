//! Small urgent messages beside the file, in three ways of delivery, and what became of each.
//!
//! A message is: how it is delivered, 1 byte; when it was sent, 8 bytes, in nanoseconds of the process's clock; padding.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jsp_tokio::{Connection, Delivery, MessageOptions, MessageOutcome, MessageReceiver, StreamOptions};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::failure::Result;
use crate::stats::Times;

/// By when a message is wanted.
pub(super) const DEADLINE: Duration = Duration::from_millis(150);
/// One message of each mode this often.
pub(super) const EVERY: Duration = Duration::from_millis(40);
pub(super) const SIZE: usize = 200;
/// More urgent than the file.
const PRIORITY: u8 = 200;
/// Rounds that are sent at least, however short the file is.
const ROUNDS: usize = 50;

/// The modes, in the order of their numbers in the messages.
pub(super) const MODES: [(&str, Delivery); 3] = [
    ("reliable", Delivery::Reliable),
    ("partially reliable", Delivery::PartiallyReliable { ttl: DEADLINE }),
    ("best effort", Delivery::BestEffort),
];

/// What became of the messages of one mode.
#[derive(Debug, Default)]
pub(super) struct Mode {
    pub(super) sent: u64,
    pub(super) acked: u64,
    pub(super) lost: u64,
    pub(super) expired: u64,
    pub(super) in_time: u64,
    /// One-way times of those that were delivered.
    pub(super) times: Times,
}

/// Counts on both ends; they share the process's clock.
#[derive(Debug)]
pub(super) struct Tally {
    origin: Instant,
    modes: Mutex<[Mode; 3]>,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self { origin: Instant::now(), modes: Mutex::default() }
    }

    pub(super) fn modes(&self) -> MutexGuard<'_, [Mode; 3]> {
        self.modes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, mode: usize, outcome: MessageOutcome) {
        let mode = &mut self.modes()[mode];
        match outcome {
            MessageOutcome::Acked => mode.acked += 1,
            MessageOutcome::Expired => mode.expired += 1,
            _ => mode.lost += 1,
        }
    }

    fn arrived(&self, message: &[u8]) {
        let (Some((&mode, rest)), now) = (message.split_first(), self.origin.elapsed()) else { return };
        let Some(sent) = rest.first_chunk().map(|sent| Duration::from_nanos(u64::from_be_bytes(*sent))) else { return };
        if let Some(mode) = self.modes().get_mut(usize::from(mode)) {
            let time = now.saturating_sub(sent);
            mode.in_time += u64::from(time <= DEADLINE);
            mode.times.add(time);
        }
    }
}

/// The client: sends until told to stop, then waits until each message has its outcome.
pub(super) async fn talk(connection: Connection, tally: Arc<Tally>, stop: Arc<Notify>) -> Result<()> {
    let mut senders = Vec::new();
    for (_, delivery) in MODES {
        let options = StreamOptions::unordered_messages().uni().delivery(delivery).priority(PRIORITY);
        senders.push(connection.open_messages_uni(options).await?);
    }
    let mut outcomes = JoinSet::new();
    let mut message = [0; SIZE];
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stopped = false;
    for round in 0.. {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.notified(), if !stopped => {
                stopped = true;
                tick.tick().await;
            }
        }
        if stopped && round >= ROUNDS {
            break;
        }
        for (mode, sender) in senders.iter_mut().enumerate() {
            message[0] = mode as u8;
            message[1..9].copy_from_slice(&(tally.origin.elapsed().as_nanos() as u64).to_be_bytes());
            let outcome = sender.send_with(&message, MessageOptions::new()).await?;
            tally.modes()[mode].sent += 1;
            let tally = tally.clone();
            outcomes.spawn(async move { tally.settle(mode, outcome.await) });
        }
        while outcomes.try_join_next().is_some() {}
    }
    for sender in &mut senders {
        sender.finish()?;
    }
    outcomes.join_all().await;
    Ok(())
}

/// The server: notes what arrives.
pub(super) async fn listen(mut from: MessageReceiver, tally: Arc<Tally>) {
    let mut message = Vec::new();
    while let Ok(Some(_)) = from.recv_into(&mut message).await {
        tally.arrived(&message);
    }
}
