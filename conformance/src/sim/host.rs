//! One host of the simulation: an endpoint with its address.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use jsp_proto::{Config, Endpoint, Entropy, Instant};

use super::NodeId;
use super::rng::Rng;

/// What a host is made of; [`Sim::add_host`](super::Sim::add_host) puts it on the network.
#[derive(Debug)]
pub struct Host {
    config: Option<Arc<Config>>,
    address: Option<SocketAddr>,
    entropy: Option<[u8; 32]>,
    segments: usize,
    coalesce: bool,
    job_time: Duration,
    tick: Duration,
}

impl Host {
    /// A host that runs an endpoint with this configuration.
    pub fn new(config: impl Into<Arc<Config>>) -> Self {
        Self {
            config: Some(config.into()),
            address: None,
            entropy: None,
            segments: 10,
            coalesce: false,
            job_time: JOB_TIME,
            tick: Duration::ZERO,
        }
    }

    /// A host without an endpoint, for hostile peers: what it receives comes out as
    /// [`Happening::Datagram`](super::Happening::Datagram), and it sends with [`Sim::send_raw`](super::Sim::send_raw).
    pub fn raw() -> Self {
        Self {
            config: None,
            address: None,
            entropy: None,
            segments: 1,
            coalesce: false,
            job_time: JOB_TIME,
            tick: Duration::ZERO,
        }
    }

    /// Its address. Default: 10.0.0.1:4433 for the first host, 10.0.0.2:4433 for the second and so on.
    #[must_use]
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// The seed of its endpoint. Default: derived from the seed of the simulation.
    #[must_use]
    pub fn entropy(mut self, seed: [u8; 32]) -> Self {
        self.entropy = Some(seed);
        self
    }

    /// How many datagrams the endpoint may write at once (segmentation offload). Default: 10.
    #[must_use]
    pub fn segments(mut self, count: usize) -> Self {
        self.segments = count.max(1);
        self
    }

    /// Hands over datagrams that arrive at one time from one source as one batch, as receive offload does.
    /// Default: one by one.
    #[must_use]
    pub fn coalesce(mut self) -> Self {
        self.coalesce = true;
        self
    }

    /// How long a handed-out key exchange takes. Default: 0.4 ms.
    #[must_use]
    pub fn job_time(mut self, time: Duration) -> Self {
        self.job_time = time;
        self
    }

    /// Serves the endpoint only at multiples of this time, as the frames of a game do: its timers fire late, and what
    /// arrives is answered late. Default: at once.
    #[must_use]
    pub fn tick(mut self, tick: Duration) -> Self {
        self.tick = tick;
        self
    }

    pub(crate) fn build(self, id: NodeId, rng: &mut Rng) -> Node {
        let seed = rng.array();
        let entropy = Entropy::new(self.entropy.unwrap_or(seed));
        let address = self.address.unwrap_or_else(|| default_address(id));
        Node {
            endpoint: self.config.map(|config| Endpoint::new(config, entropy)),
            generation: Generation::default(),
            address,
            public: address,
            wake_at: None,
            dirty: false,
            buffer: vec![0; 1500 * self.segments],
            coalesce: self.coalesce,
            job_time: self.job_time,
            tick: Tick(self.tick),
        }
    }
}

const JOB_TIME: Duration = Duration::from_micros(400);

fn default_address(id: NodeId) -> SocketAddr {
    let [_, b, c, d] = (id.index() as u32 + 1).to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, b, c, d)), 4433)
}

/// How often a host was restarted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Generation(u32);

/// A host at work.
pub(crate) struct Node {
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) generation: Generation,
    /// What the host believes its address is.
    pub(crate) address: SocketAddr,
    /// What the others see: differs behind a NAT.
    pub(crate) public: SocketAddr,
    pub(crate) wake_at: Option<Instant>,
    /// Something was done to the endpoint since it was last polled until idle.
    pub(crate) dirty: bool,
    pub(crate) buffer: Vec<u8>,
    pub(crate) coalesce: bool,
    pub(crate) job_time: Duration,
    pub(crate) tick: Tick,
}

impl Node {
    /// Puts an endpoint that knows nothing in the place of the one there was.
    pub(crate) fn restart(&mut self, config: Arc<Config>, entropy: Entropy) {
        self.endpoint = Some(Endpoint::new(config, entropy));
        self.generation.0 += 1;
        self.wake_at = None;
        self.dirty = true;
    }
}

/// When a host serves its endpoint: at multiples of a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tick(Duration);

impl Tick {
    /// The first tick at or after `time`.
    pub(crate) fn after(self, time: Instant) -> Instant {
        let step = u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX).max(1);
        Instant::from_nanos(time.as_nanos().div_ceil(step).saturating_mul(step))
    }
}
