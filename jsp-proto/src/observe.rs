//! What happens inside connections, for logs and viewers; see [`Observer`](crate::Observer).
//!
//! Nothing here acts: an endpoint does the same whether it is observed or not.

use core::time::Duration;

use crate::Ecn;
use crate::conn::Path;
use crate::event::ConnectionError;
use crate::stats::DropReason;
use crate::wire::cursor::Reader;
use crate::wire::header::LongType;
use crate::wire::{Cid, Frame, Params, Side, StreamId, StreamKind, StreamType};

/// Something that happened to a connection. Small and `Copy`; what it borrows lives as long as the call it is shown in.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Observation<'a> {
    /// The connection begins: a client's first datagram is ready, or a server has opened a client's first message.
    Started {
        /// This side.
        side: Side,
        /// The addresses.
        path: Path,
        /// The connection id under which this side receives.
        local_cid: Cid,
        /// The one under which the peer receives; empty for a client, which does not know it yet.
        remote_cid: Cid,
    },
    /// One side's parameters are known.
    Parameters {
        /// Whose they are.
        owner: Owner,
        /// The parameters.
        params: Parameters,
    },
    /// The handshake has come this far.
    Milestone(Milestone),
    /// A datagram of the handshake was given out to be sent.
    HandshakeSent(HandshakePacket),
    /// A datagram of the handshake came in. Whether it opens is not known yet; a drop follows if it does not.
    HandshakeReceived(HandshakePacket),
    /// A packet was sealed to be sent.
    PacketSent(Packet<'a>),
    /// An authentic packet came in, for the first time. If a drop with [`DropReason::Refused`] follows, it counts as not
    /// received.
    PacketReceived(Packet<'a>),
    /// A datagram was dropped.
    DatagramDropped {
        /// Bytes of UDP payload.
        bytes: usize,
        /// Why.
        reason: DropReason,
    },
    /// The peer has these packets.
    PacketsAcked {
        /// The number of the first.
        first: u64,
        /// The number of the last.
        last: u64,
    },
    /// A packet was declared lost. It may be acknowledged later all the same.
    PacketLost {
        /// Its number.
        number: u64,
        /// Bytes of UDP payload.
        bytes: u64,
        /// What spoke against it.
        cause: LossCause,
    },
    /// The state of recovery changed, as far as it stands in [`Metrics`]. At most once per call into the endpoint.
    MetricsUpdated(Metrics),
    /// The congestion controller does something else from now on.
    CongestionStateUpdated {
        /// What it did; empty at the beginning.
        old: &'static str,
        /// What it does.
        new: &'static str,
    },
    /// A timer of loss recovery has run out.
    TimerExpired(Timer),
    /// A stream exists now.
    StreamOpened(StreamId),
    /// A stream is over in all directions and forgotten.
    StreamClosed(StreamId),
    /// The packet protection keys were replaced (specification section 3.6).
    KeysUpdated {
        /// How often, this time included.
        generation: u64,
        /// Who began.
        initiator: Owner,
    },
    /// Datagrams take another way from now on.
    PathUpdated {
        /// The way until now.
        old: Path,
        /// The new one.
        new: Path,
    },
    /// The peer has proven that it receives at this address.
    PathValidated(Path),
    /// The largest datagram of the path changed.
    MtuUpdated {
        /// Bytes of UDP payload until now.
        old: u16,
        /// And from now on.
        new: u16,
    },
    /// Lost packets of the peer were computed from parity.
    Repaired {
        /// How many.
        packets: u64,
    },
    /// The peer has computed lost packets of this side from parity.
    RepairedByPeer {
        /// How many.
        packets: u64,
    },
    /// The connection is closing or over. Packets may follow that say so.
    Closed(&'a ConnectionError),
    /// A secret that opens recorded packets. Shown only if
    /// [`danger_export_secrets_to_observer`](crate::ConfigBuilder::danger_export_secrets_to_observer) allows it.
    Secret {
        /// What the secret is for.
        label: SecretLabel,
        /// The connection id of the client, which stands in clear in the packets of the handshake. Never empty.
        id: Cid,
        /// The secret.
        secret: ExportedSecret<'a>,
    },
    /// More happened in one call than is remembered.
    Missed {
        /// How many observations are missing.
        count: u64,
    },
    /// Nothing more happens to the connection; its id finds nothing any more.
    Forgotten,
}

/// How much of a connection is observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attention {
    /// Nothing.
    None,
    /// What happens now and then.
    Connections,
    /// Each packet, too.
    Packets,
}

/// What a secret is for (key log format, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SecretLabel {
    /// The key id of the server, from which the seals of long headers follow (specification section 2.4).
    ServerKeyId,
    /// What the client sends under short headers, phase 0 of the keys (specification section 2.7). Later ones follow.
    ClientSecret,
    /// What the server sends under short headers, as above.
    ServerSecret,
}

impl SecretLabel {
    /// The word that stands for it in key logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ServerKeyId => "JSP_SERVER_KEY_ID",
            Self::ClientSecret => "JSP_CLIENT_SECRET_0",
            Self::ServerSecret => "JSP_SERVER_SECRET_0",
        }
    }
}

/// 32 bytes that are nobody's business. Prints nothing of them.
#[derive(Clone, Copy)]
pub struct ExportedSecret<'a>(&'a [u8; 32]);

impl<'a> ExportedSecret<'a> {
    pub(crate) const fn new(bytes: &'a [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes; copies of them are the caller's to wipe.
    pub const fn as_bytes(&self) -> &'a [u8; 32] {
        self.0
    }
}

impl core::fmt::Debug for ExportedSecret<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("ExportedSecret(..)")
    }
}

/// One of the two ends, as seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// This end.
    Local,
    /// The peer.
    Remote,
}

/// How far a handshake has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Milestone {
    /// There are keys for packets.
    Secured,
    /// Data passes in both directions; see [`Event::Connected`](crate::Event).
    Connected,
    /// Both sides know that the handshake is complete.
    Confirmed,
}

/// What spoke against a packet that is called lost (specification section 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LossCause {
    /// Packets sent later were acknowledged.
    Reordering,
    /// The time in which it should have been acknowledged has passed.
    Time,
}

/// A timer of loss recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Timer {
    /// Packets were declared lost because of their age.
    Loss,
    /// Nothing was heard: probes are sent.
    Probe,
}

/// A packet of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandshakePacket {
    /// Its type.
    pub ty: LongType,
    /// Which of the packets of its message this is, from 0.
    pub index: u8,
    /// How many there are.
    pub count: u8,
    /// Bytes of UDP payload.
    pub bytes: usize,
}

impl HandshakePacket {
    pub(crate) const fn new(ty: LongType, index: u8, count: u8, bytes: usize) -> Self {
        Self { ty, index, count, bytes }
    }
}

/// A packet with frames.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Packet<'a> {
    /// Its number.
    pub number: u64,
    /// Bytes of UDP payload.
    pub bytes: usize,
    /// The ECN field of its IP header.
    pub ecn: Ecn,
    /// The key phase bit.
    pub key_phase: bool,
    /// Whether parity protects it, or may.
    pub coded: bool,
    /// What it carries.
    pub frames: Frames<'a>,
}

impl Packet<'_> {
    pub(crate) const fn new(number: u64, bytes: usize, ecn: Ecn, key_phase: bool, coded: bool) -> Packet<'static> {
        Packet { number, bytes, ecn, key_phase, coded, frames: Frames { payload: &[] } }
    }

    pub(crate) const fn with_frames<'b>(self, payload: &'b [u8]) -> Packet<'b> {
        let Self { number, bytes, ecn, key_phase, coded, .. } = self;
        Packet { number, bytes, ecn, key_phase, coded, frames: Frames { payload } }
    }
}

/// The frames of a packet.
#[derive(Clone, Copy)]
pub struct Frames<'a> {
    payload: &'a [u8],
}

impl<'a> Frames<'a> {
    /// The frames in their order, up to the first that cannot be parsed.
    pub fn iter(&self) -> impl Iterator<Item = Frame<'a>> + use<'a> {
        let mut reader = Reader::new(self.payload);
        core::iter::from_fn(move || if reader.is_empty() { None } else { Frame::decode(&mut reader).ok() })
    }

    /// Whether the receiver has to acknowledge them.
    pub fn is_ack_eliciting(&self) -> bool {
        self.iter().any(|frame| frame.is_ack_eliciting())
    }

    /// Their bytes.
    pub const fn len(&self) -> usize {
        self.payload.len()
    }

    /// Whether there are none, which no honest peer sends.
    pub const fn is_empty(&self) -> bool {
        self.payload.is_empty()
    }
}

impl core::fmt::Debug for Frames<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter().map(|frame| frame.type_code())).finish()
    }
}

/// What one side allows, from its transport parameters (specification section 4.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parameters {
    /// Silence after which the connection ends; zero means never.
    pub max_idle_timeout: Duration,
    /// The largest UDP payload it takes, in bytes.
    pub max_udp_payload: u64,
    /// How long it may keep an acknowledgement back.
    pub max_ack_delay: Duration,
    /// Bytes it takes on all streams together at first.
    pub max_data: u64,
    /// Bytes it takes on each stream at first.
    pub max_stream_data: u64,
    /// How many streams of bytes in both directions the other side may open at first.
    pub max_streams_bidi: u64,
    /// And in one direction.
    pub max_streams_uni: u64,
}

impl Parameters {
    /// Those that `sender` sent.
    pub(crate) fn of(params: &Params, sender: Side) -> Self {
        let streams = |uni| {
            let ty = StreamType::of(StreamKind::Bytes, uni, sender.peer());
            params.initial_max_streams.get(ty.as_usize()).copied().unwrap_or_default()
        };
        Self {
            max_idle_timeout: Duration::from_millis(params.max_idle_timeout_ms),
            max_udp_payload: params.max_udp_payload,
            max_ack_delay: Duration::from_millis(params.max_ack_delay_ms),
            max_data: params.initial_max_data,
            max_stream_data: params.initial_max_stream_data,
            max_streams_bidi: streams(false),
            max_streams_uni: streams(true),
        }
    }
}

/// The state of loss recovery and congestion control in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Smoothed round-trip time; the assumed one before the first sample.
    pub smoothed_rtt: Duration,
    /// How much samples differ from it.
    pub rtt_variation: Duration,
    /// The smallest sample of the last minutes; `None` before the first one.
    pub min_rtt: Option<Duration>,
    /// The last sample.
    pub latest_rtt: Option<Duration>,
    /// The congestion window in bytes.
    pub congestion_window: u64,
    /// Bytes sent and neither acknowledged nor lost.
    pub bytes_in_flight: u64,
    /// Bytes per second.
    pub pacing_rate: u64,
    /// Probe timeouts since the last acknowledgement.
    pub probe_timeouts: u32,
}
