package jetstream

/*
#include "shim.h"
*/
import "C"

import "time"

// policy is what is done to data beside delivering it. Zero is the default of each.
type policy struct {
	profile     Profile
	accept      C.uint32_t
	compression Compression
	fec         FEC
	maxOverhead C.uint32_t
	maxSymbols  C.uint32_t
	target      float64
	maxDelay    time.Duration
	keepAlive   C.uint32_t
	interval    time.Duration
}

func (p *policy) apply(config *C.JspConfig) {
	config.profile = C.uint32_t(p.profile)
	config.accept_compressed = p.accept
	config.compression = C.uint32_t(p.compression)
	config.fec = p.fec.kind
	config.fec_sources, config.fec_parity = p.fec.sources, p.fec.parity
	config.fec_max_overhead = p.maxOverhead
	config.fec_max_symbols = p.maxSymbols
	config.fec_target = C.double(p.target)
	config.fec_max_delay_ns = nanos(p.maxDelay)
	config.keep_alive, config.keep_alive_interval_ns = p.keepAlive, nanos(p.interval)
}

// A Profile is a place to start from: settings that go together. Other options count before it.
type Profile uint32

const (
	// Mobile is for phones and other devices on networks that lose packets, change and are metered: FECAuto with an
	// overhead of up to 100 %, Adaptive compression in both directions, KeepAliveAdaptive, an idle timeout of 15 minutes.
	Mobile Profile = C.JSP_PROFILE_MOBILE
	// LowLatency is for games, calls and control, where a late message is worth nothing: FECAuto with an overhead of up
	// to 100 %, acknowledgements within 10 ms, and best-effort messages that wait to be sent for 50 ms at most.
	LowLatency Profile = C.JSP_PROFILE_LOW_LATENCY
	// Bulk is for large transfers, where only the rate counts: large windows and buffers.
	Bulk Profile = C.JSP_PROFILE_BULK
)

// WithProfile starts from a profile instead of the defaults.
func WithProfile(profile Profile) Option { return func(o *options) { o.policy.profile = profile } }

// Compression says whether what this side sends is compressed. It needs the peer's consent, WithAcceptCompressed; without
// it data is sent as it is. The peer reads the same either way.
//
// Encryption does not hide lengths, and the length of compressed data depends on what it says. Never compress data in
// which a secret stands beside text that an attacker chooses: from the lengths of many such messages the secret can be
// guessed.
type Compression uint32

const (
	// Uncompressed sends data as it is. It is the default without a profile.
	Uncompressed Compression = C.JSP_COMPRESSION_OFF
	// Adaptive sends messages, and streams of bytes in blocks of up to 16 KiB, as LZ4 blocks where that pays. Nothing
	// waits for a block to fill.
	Adaptive Compression = C.JSP_COMPRESSION_ADAPTIVE
	// AdaptivePadded does the same, and pads what is compressed to a multiple of 64 bytes, so that its length tells
	// less.
	AdaptivePadded Compression = C.JSP_COMPRESSION_ADAPTIVE_PADDED
)

// WithCompression sets the compression of what this side sends on streams that have none of their own.
func WithCompression(compression Compression) Option {
	return func(o *options) { o.policy.compression = compression }
}

// WithAcceptCompressed says whether the peer may send compressed data. At most 255 bytes come of each byte received: a
// peer can make this side do that much more work. The default without a profile is no.
func WithAcceptCompressed(accept bool) Option {
	return func(o *options) {
		o.policy.accept = C.JSP_SWITCH_OFF
		if accept {
			o.policy.accept = C.JSP_SWITCH_ON
		}
	}
}

// FEC is forward error correction of what this side sends: packets are gathered in blocks, parity packets follow each
// block, and the peer repairs lost packets without a round trip. Parity is extra traffic.
type FEC struct{ kind, sources, parity C.uint32_t }

var (
	// FECOff adds no parity: what is lost is sent again, or not at all. It is the default without a profile.
	FECOff = FEC{kind: C.JSP_FEC_OFF}
	// FECAuto adds as much parity as the loss that is measured asks for, and none on a clean path.
	FECAuto = FEC{kind: C.JSP_FEC_AUTO}
)

// FECOn always adds so many parity packets, 1 to 32, to so many packets, 1 to 64.
func FECOn(sources, parity uint8) FEC {
	return FEC{kind: C.JSP_FEC_ON, sources: C.uint32_t(sources), parity: C.uint32_t(parity)}
}

// WithFEC sets the error correction of what this side sends on streams that have none of their own.
func WithFEC(fec FEC) Option { return func(o *options) { o.policy.fec = fec } }

// WithFECMaxOverhead sets the most parity that FECAuto adds, in percent of what it protects, from 1 to 400. The default
// is 50.
func WithFECMaxOverhead(percent uint16) Option {
	return func(o *options) { o.policy.maxOverhead = C.uint32_t(percent) }
}

// WithFECTarget sets the share of packets that FECAuto leaves unrepaired if it can, from 1e-6 to 0.5. The default is
// 5e-4.
func WithFECTarget(loss float64) Option { return func(o *options) { o.policy.target = loss } }

// WithFECMaxDelay sets how long the first packet of a block may wait for its parity, from 1 ms to 1 s. The default is
// 20 ms.
func WithFECMaxDelay(d time.Duration) Option { return func(o *options) { o.policy.maxDelay = d } }

// WithFECMaxSymbols sets how many packets of the peer are kept to repair others from, up to 256. With 0 the peer sends
// no parity. The default is 128.
func WithFECMaxSymbols(packets uint16) Option {
	return func(o *options) {
		o.policy.maxSymbols = C.uint32_t(packets)
		if packets == 0 {
			o.policy.maxSymbols = C.JSP_FEC_NO_SYMBOLS
		}
	}
}

// A Network is what a device is connected by, as far as the program knows.
type Network uint32

const (
	// NetworkUnknown leaves everything as configured.
	NetworkUnknown Network = C.JSP_NETWORK_UNKNOWN
	// Ethernet is clean and not metered: neither correction nor compression.
	Ethernet Network = C.JSP_NETWORK_ETHERNET
	// WiFi is lossy and not metered: FECAuto, no compression.
	WiFi Network = C.JSP_NETWORK_WIFI
	// Cellular is lossy and metered: FECAuto and Adaptive compression.
	Cellular Network = C.JSP_NETWORK_CELLULAR
)

// SetNetwork tells what network the device is on. Streams without compression or error correction of their own do from
// now on what suits it.
func (c *Conn) SetNetwork(network Network) error {
	return c.act(func(now uint64) Code { return c.ep.native.setNetwork(now, c.id, network) })
}

// WithStreamCompression sets the compression of what this side sends on the stream. The default is that of the
// connection.
func WithStreamCompression(compression Compression) StreamOption {
	return func(o *streamOptions) { o.compression = compression }
}

// WithStreamFEC sets the error correction of what this side sends on the stream. The default is that of the connection.
func WithStreamFEC(fec FEC) StreamOption { return func(o *streamOptions) { o.fec = fec } }

// SetCompression changes the compression of what this side sends from now on. A stream of bytes must have been opened
// with compression.
func (s *stream) SetCompression(compression Compression) error {
	return s.act(func() Code { return s.ep.native.setCompression(s.ep.now(), s.conn.id, s.id, compression) })
}

// SetFEC changes the error correction of what this side sends from now on.
func (s *stream) SetFEC(fec FEC) error {
	return s.act(func() Code { return s.ep.native.setFEC(s.ep.now(), s.conn.id, s.id, fec) })
}

func (n native) setNetwork(now, conn uint64, network Network) Code {
	return Code(C.jsp_conn_set_network(n.handle, C.uint64_t(now), C.uint64_t(conn), C.uint32_t(network)))
}

func (n native) setCompression(now, conn, stream uint64, compression Compression) Code {
	crossings.Add(1)
	return Code(C.jsp_stream_set_compression(n.handle, C.uint64_t(now), C.uint64_t(conn), C.uint64_t(stream),
		C.uint32_t(compression)))
}

func (n native) setFEC(now, conn, stream uint64, fec FEC) Code {
	crossings.Add(1)
	return Code(C.jsp_stream_set_fec(n.handle, C.uint64_t(now), C.uint64_t(conn), C.uint64_t(stream), fec.kind,
		fec.sources, fec.parity))
}

// FECStats is the error correction of a connection in numbers.
type FECStats struct {
	// SourcesSent counts packets sent under the protection of parity, ParitySent the parity packets, with their bytes.
	SourcesSent, ParitySent, ParityBytesSent uint64
	// RepairedByPeer counts packets sent that the peer has repaired, Unrepaired those lost and not repaired, or not in
	// time.
	RepairedByPeer, Unrepaired uint64
	// SourcesReceived and ParityReceived count what the peer sent, ParityUnused the parity of no use.
	SourcesReceived, ParityReceived, ParityUnused uint64
	// Repaired counts packets of the peer that were repaired, RepairsRefused repairs that were too many at once,
	// Malformed repaired packets that made no sense.
	Repaired, RepairsRefused, Malformed uint64
	// LossPPM is the loss that FECAuto counts on, in millionths of the packets sent.
	LossPPM int
	// BlockSources and BlockParity are the packets per block, as the latest was begun, Interleaving how many blocks
	// packets are dealt to in turn.
	BlockSources, BlockParity, Interleaving int
}

func fecStats(s *C.JspConnStats) FECStats {
	return FECStats{
		SourcesSent:     uint64(s.fec_sources_sent),
		ParitySent:      uint64(s.fec_parity_sent),
		ParityBytesSent: uint64(s.fec_parity_bytes_sent),
		RepairedByPeer:  uint64(s.fec_repaired_by_peer),
		Unrepaired:      uint64(s.fec_unrepaired),
		SourcesReceived: uint64(s.fec_sources_received),
		ParityReceived:  uint64(s.fec_parity_received),
		ParityUnused:    uint64(s.fec_parity_unused),
		Repaired:        uint64(s.fec_repaired),
		RepairsRefused:  uint64(s.fec_repairs_refused),
		Malformed:       uint64(s.fec_malformed),
		LossPPM:         int(s.fec_loss_ppm),
		BlockSources:    int(s.fec_block_sources),
		BlockParity:     int(s.fec_block_parity),
		Interleaving:    int(s.fec_interleaving),
	}
}
