//! Several endpoints behind one address, each with its own socket, task and lock: the way of a datagram that the system
//! gave to the wrong one.
//!
//! Shards share nothing but their mailboxes. Bringing a datagram to another shard takes the lock of its mailbox, which
//! is held for a copy and for no other lock, and wakes its driver; what finds no room is dropped and counted, as it
//! might be on the network. Nobody waits for anybody.

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::vec::Vec;

use super::clock::Clock;
use super::endpoint::Endpoint;
use super::error::too_many_shards;
use super::socket::Reactor;
use super::task::{Driver, drive};
use crate::entropy::Drbg;
use crate::{Config, Entropy, Instant, RecvMeta, Shard};

/// Datagrams that may wait for a shard. With the next bound, what a shard may have to do at once for the others.
const MAILBOX_DATAGRAMS: usize = 1024;
/// Bytes of them.
const MAILBOX_BYTES: usize = 2 << 20;

/// Makes one endpoint for each of `sockets`, which are bound to one address, and the futures that drive them. The
/// sockets come with the address they are bound to, as for [`endpoint`](super::endpoint).
///
/// Each connection lives at the shard where its first datagram arrived, for the bounds of `config` and for
/// [`Endpoint::accept`] alike: accept at all of them. Its later datagrams are brought there from wherever the system
/// delivers them. The key of the shards, and the secrets of tokens unless `config` has them, are drawn from `entropy`
/// and the same for all; a [`shard`](crate::ConfigBuilder::shard) in `config` is replaced.
///
/// # Errors
/// `InvalidInput` for more than [`Shard::MAX`] sockets.
pub fn shards<R: Reactor>(
    mut config: Config,
    entropy: Entropy,
    sockets: Vec<(SocketAddr, R)>,
) -> io::Result<Vec<(Endpoint, Driver<R>)>> {
    let count = u16::try_from(sockets.len()).ok().filter(|count| *count <= Shard::MAX).ok_or_else(too_many_shards)?;
    let mut rng = Drbg::new(&entropy);
    let key = rng.array();
    config.tokens.secret.get_or_insert_with(|| rng.array());
    // One key for all of them: a token is made from an id, and the id says which shard makes it.
    config.reset_key.get_or_insert_with(|| rng.array());
    let clock = Clock::new();
    let mailboxes: Arc<[Mailbox]> = sockets.iter().map(|_| Mailbox::default()).collect();
    let shard = |(index, (local, reactor))| {
        let mut config = config.clone();
        config.shard = Some(Shard::new(index, count, key));
        let place = Place::new(mailboxes.clone(), index);
        drive(clock, config, Entropy::new(rng.array()), local, reactor, Some(place))
    };
    Ok((0..=u8::MAX).zip(sockets).map(shard).collect())
}

/// The shards of an address as one of them sees them.
#[derive(Debug)]
pub(super) struct Place {
    mailboxes: Arc<[Mailbox]>,
    index: u8,
    /// What was taken out of the mailbox: its buffers take turns with those in use there.
    taken: Batch,
}

impl Place {
    fn new(mailboxes: Arc<[Mailbox]>, index: u8) -> Self {
        Self { mailboxes, index, taken: Batch::default() }
    }

    /// A view of the mailbox for handles.
    pub(super) fn counter(&self) -> HandoverCounter {
        HandoverCounter { mailboxes: self.mailboxes.clone(), index: self.index }
    }

    /// Takes what other shards have brought and gives it to the state machine. `waker` is woken when there is more.
    pub(super) fn receive(&mut self, endpoint: &mut crate::Endpoint, now: Instant, waker: &Waker) {
        let Some(mailbox) = self.mailboxes.get(usize::from(self.index)) else { return };
        mailbox.take(&mut self.taken, waker);
        self.taken.drain(|meta, datagram| {
            // Handed over once, whatever it is: what this shard does not know, none knows.
            endpoint.handle_datagram(now, meta, datagram);
        });
    }

    /// Brings a datagram to the shard whose it is. The waker is for the caller to wake, outside of its locks.
    pub(super) fn hand_over(&self, to: u8, meta: RecvMeta, datagram: &[u8]) -> Option<Waker> {
        self.mailboxes.get(usize::from(to))?.put(meta, datagram)
    }
}

impl Drop for Place {
    /// Nobody looks into the mailbox any more.
    fn drop(&mut self) {
        if let Some(mailbox) = self.mailboxes.get(usize::from(self.index)) {
            mailbox.close();
        }
    }
}

/// Tells how much was brought to a shard and found no room.
#[derive(Debug)]
pub(super) struct HandoverCounter {
    mailboxes: Arc<[Mailbox]>,
    index: u8,
}

impl HandoverCounter {
    pub(super) fn dropped(&self) -> u64 {
        self.mailboxes.get(usize::from(self.index)).map_or(0, |mailbox| mailbox.lock().dropped)
    }
}

/// Datagrams in the order in which they came.
#[derive(Debug, Default)]
struct Batch {
    /// Where each came from and its length.
    metas: Vec<(RecvMeta, usize)>,
    bytes: Vec<u8>,
}

impl Batch {
    fn push(&mut self, meta: RecvMeta, datagram: &[u8]) -> bool {
        let fits = self.metas.len() < MAILBOX_DATAGRAMS && self.bytes.len() + datagram.len() <= MAILBOX_BYTES;
        if fits {
            self.metas.push((meta, datagram.len()));
            self.bytes.extend_from_slice(datagram);
        }
        fits
    }

    /// Empties the batch and keeps its memory.
    fn drain(&mut self, mut take: impl FnMut(RecvMeta, &mut [u8])) {
        let mut rest = self.bytes.as_mut_slice();
        for (meta, len) in self.metas.drain(..) {
            let Some((datagram, behind)) = mem::take(&mut rest).split_at_mut_checked(len) else { break };
            take(meta, datagram);
            rest = behind;
        }
        self.bytes.clear();
    }
}

/// What other shards have brought for one.
#[derive(Debug, Default)]
struct Mailbox {
    letters: Mutex<Letters>,
}

#[derive(Debug, Default)]
struct Letters {
    waiting: Batch,
    /// The driver, from when it has looked until something comes.
    reader: Option<Waker>,
    dropped: u64,
    closed: bool,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, meta: RecvMeta, datagram: &[u8]) -> Option<Waker> {
        let mut letters = self.lock();
        if letters.closed || !letters.waiting.push(meta, datagram) {
            letters.dropped += 1;
        }
        letters.reader.take()
    }

    /// Exchanges what is there for `empty` and remembers whom to wake.
    fn take(&self, empty: &mut Batch, waker: &Waker) {
        // Dropped after the lock is given back: the last reference to a task may be in it.
        let mut _replaced = None;
        let mut letters = self.lock();
        mem::swap(&mut letters.waiting, empty);
        if !letters.reader.as_ref().is_some_and(|reader| reader.will_wake(waker)) {
            _replaced = letters.reader.replace(waker.clone());
        }
    }

    fn close(&self) {
        let mut letters = self.lock();
        letters.closed = true;
        letters.dropped += letters.waiting.metas.len() as u64;
        let left = (mem::take(&mut letters.waiting), letters.reader.take());
        drop(letters);
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
    use std::vec;

    use super::*;
    use crate::Path;

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn meta(port: u16) -> RecvMeta {
        RecvMeta::single(Path::to(SocketAddr::from(([192, 0, 2, 1], port))))
    }

    fn put(mailbox: &Mailbox, port: u16, datagram: &[u8]) {
        if let Some(waker) = mailbox.put(meta(port), datagram) {
            waker.wake();
        }
    }

    fn take(mailbox: &Mailbox, batch: &mut Batch, bell: &Arc<Bell>) -> Vec<(RecvMeta, Vec<u8>)> {
        mailbox.take(batch, &Waker::from(bell.clone()));
        let mut taken = Vec::new();
        batch.drain(|meta, datagram| taken.push((meta, datagram.to_vec())));
        taken
    }

    #[test]
    fn a_mailbox_keeps_order_and_rings_once() {
        let (mailbox, mut batch, bell) = (Mailbox::default(), Batch::default(), Arc::new(Bell::default()));
        put(&mailbox, 1, b"before anybody looked");
        assert_eq!(take(&mailbox, &mut batch, &bell), [(meta(1), b"before anybody looked".to_vec())]);
        for round in 1..=3 {
            put(&mailbox, 1, b"one");
            put(&mailbox, 2, b"");
            put(&mailbox, 3, b"three");
            assert_eq!(bell.0.load(Ordering::Relaxed), round, "who looks takes all");
            let expected = [(meta(1), b"one".to_vec()), (meta(2), vec![]), (meta(3), b"three".to_vec())];
            assert_eq!(take(&mailbox, &mut batch, &bell), expected);
        }
        assert_eq!(take(&mailbox, &mut batch, &bell), []);
    }

    #[test]
    fn a_full_mailbox_drops_and_counts() {
        let (mailbox, mut batch, bell) = (Mailbox::default(), Batch::default(), Arc::new(Bell::default()));
        for _ in 0..2 {
            let before = mailbox.lock().dropped;
            (0..MAILBOX_DATAGRAMS + 7).for_each(|_| put(&mailbox, 1, b"small"));
            assert_eq!(mailbox.lock().dropped - before, 7);
            assert_eq!(take(&mailbox, &mut batch, &bell).len(), MAILBOX_DATAGRAMS);
        }
        let large = vec![0; 60_000];
        let before = mailbox.lock().dropped;
        (0..100).for_each(|_| put(&mailbox, 1, &large));
        let taken = take(&mailbox, &mut batch, &bell).len();
        assert_eq!(taken, MAILBOX_BYTES / large.len());
        assert_eq!(mailbox.lock().dropped - before, 100 - taken as u64);
        // Both halves have been full: they have what they will ever have.
        let letters = mailbox.lock();
        for half in [&batch, &letters.waiting] {
            assert!(half.bytes.capacity() <= 2 * MAILBOX_BYTES && half.metas.capacity() <= 2 * MAILBOX_DATAGRAMS);
        }
    }

    #[test]
    fn a_closed_mailbox_takes_nothing_and_forgets_its_reader() {
        let mailboxes: Arc<[Mailbox]> = [Mailbox::default(), Mailbox::default()].into();
        let [zero, one] = [0, 1].map(|index| Place::new(mailboxes.clone(), index));
        let (counter, bell) = (one.counter(), Arc::new(Bell::default()));
        mailboxes[1].take(&mut Batch::default(), &Waker::from(bell.clone()));
        assert!(zero.hand_over(1, meta(1), b"early").is_some());
        mailboxes[1].lock().reader = Some(Waker::from(bell.clone()));
        drop(one);
        assert_eq!(Arc::strong_count(&bell), 1);
        assert!(zero.hand_over(1, meta(1), b"late").is_none());
        assert!(zero.hand_over(2, meta(1), b"nobody").is_none());
        assert_eq!(counter.dropped(), 2);
        assert_eq!(mailboxes[1].lock().waiting.bytes.capacity(), 0);
    }
}
