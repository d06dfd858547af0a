//! Raw datagrams from several addresses to a server, over time. Some begin as what honest clients send.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jsp_proto::internals::wire::{Side, header};
use jsp_proto::{Config, Ecn, Endpoint, Entropy, Instant, KeyFetch, Output, Path, Received, RecvMeta, RetryPolicy};

use crate::input::Input;
use crate::sealed::{beginning, recipe, server_key};

/// Servers with other policies.
fn configs() -> &'static [Arc<Config>; 3] {
    static CONFIGS: OnceLock<[Arc<Config>; 3]> = OnceLock::new();
    CONFIGS.get_or_init(|| {
        let server = || Config::builder().server_key(server_key().clone());
        [server(), server().retry(RetryPolicy::Always), server().key_fetch(KeyFetch::Open)]
            .map(|builder| Arc::new(builder.build().expect("valid")))
    })
}

/// What an address sent, and what it was sent.
#[derive(Default)]
struct Account {
    got: usize,
    said: usize,
}

struct World {
    endpoint: Endpoint,
    now: Instant,
    accounts: BTreeMap<SocketAddr, Account>,
    /// The last answer, so that tokens and ids of the endpoint can come back.
    answer: Vec<u8>,
}

impl World {
    fn hand(&mut self, from: SocketAddr, datagram: &mut [u8], stride: Option<NonZeroU16>, ecn: Ecn) {
        self.accounts.entry(from).or_default().got += datagram.len();
        let meta = RecvMeta { path: Path::to(from), ecn, stride };
        let Received { accepted, replied, dropped, foreign, .. } =
            self.endpoint.handle_datagram(self.now, meta, datagram);
        let pieces = stride.map_or(1, |stride| datagram.len().div_ceil(stride.get().into()).max(1));
        let counted = [accepted, replied, dropped, foreign].map(usize::from).iter().sum::<usize>();
        assert!(counted == pieces || (datagram.is_empty() && counted <= 1), "{counted} of {pieces}");
        self.drain();
    }

    fn drain(&mut self) -> Option<Instant> {
        let mut buffer = [0; 16_000];
        loop {
            match self.endpoint.poll(self.now, &mut buffer) {
                Output::Transmit(transmit) => {
                    let account = self.accounts.get_mut(&transmit.path.remote).expect("nobody who is silent is told");
                    account.said += transmit.payload.len();
                    // Nobody here proves an address, so that no one gets more than three times what it sent.
                    assert!(account.said <= 3 * account.got, "{} bytes for {}", account.said, account.got);
                    self.answer = transmit.payload[..transmit.segment.min(transmit.payload.len())].to_vec();
                }
                Output::Event(..) => {}
                Output::Idle { wake_at, .. } => {
                    assert!(wake_at.is_none_or(|at| at > self.now));
                    return wake_at;
                }
                output => panic!("{output:?}"),
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(wake) = self.drain().filter(|wake| *wake < end) {
            self.now = wake;
        }
        self.now = end;
        self.drain();
    }
}

/// A datagram: one of an honest client with changes, the endpoint's own last answer, or anything.
fn datagram(world: &World, input: &mut Input<'_>) -> Vec<u8> {
    let honest = &recipe(Side::Server).datagrams;
    let mut datagram = match input.below(4) {
        0 => honest[input.below(honest.len())].clone(),
        1 => world.answer.clone(),
        2 => {
            let mut padded = input.chunk(64).to_vec();
            padded.resize(padded.len().max(input.below(1500)), 0);
            if padded.len() > 5 && header::is_long(&padded) && input.flag() {
                padded[1..5].copy_from_slice(&header::VERSION.to_be_bytes());
            }
            padded
        }
        _ => input.chunk(1500).to_vec(),
    };
    for _ in 0..input.below(4) {
        let (at, byte) = (input.u16(), input.u8());
        if let Some(place) = datagram.get_mut(usize::from(at) % 1500) {
            *place = byte;
        }
    }
    datagram
}

/// Plays the input's script.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let config = configs()[input.below(3)].clone();
    let endpoint = Endpoint::new(config, Entropy::new([5; 32]));
    let mut world = World { endpoint, now: beginning(), accounts: BTreeMap::new(), answer: Vec::new() };
    for _ in 0..100 {
        if input.is_empty() {
            break;
        }
        match input.u8() {
            control @ 0xe0.. => world.pass(Duration::from_millis(1 << (control & 15))),
            from => {
                let from = SocketAddr::from(([192, 0, from & 1, 7 + (from >> 1 & 3)], 777));
                let mut bytes = datagram(&world, &mut input);
                let how = input.u8();
                let stride = NonZeroU16::new(input.u16() % 1500).filter(|_| how & 3 == 3);
                world.hand(from, &mut bytes, stride, Ecn::from_bits(how >> 2));
            }
        }
        assert!(world.endpoint.connections() <= 100 && world.endpoint.pending_clients() <= 100);
    }
    world.pass(Duration::from_secs(3600));
    assert_eq!(world.drain(), None, "everything that was begun ends");
    assert!(world.endpoint.is_idle() && world.endpoint.connections() == 0);
    assert_eq!(world.endpoint.pending_clients(), 0);
}
