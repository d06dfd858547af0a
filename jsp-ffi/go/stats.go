package jetstream

/*
#include "shim.h"
*/
import "C"

import "time"

// ConnStats is a connection in numbers. What is not known yet is 0.
type ConnStats struct {
	// RTT is the smoothed round-trip time, MinRTT the smallest sample of the last minutes.
	RTT, MinRTT, RTTVariation time.Duration
	// HandshakeTime is how long the handshake took.
	HandshakeTime time.Duration
	// CongestionWindow is how many bytes may be in flight, BytesInFlight how many are.
	CongestionWindow, BytesInFlight uint64
	// PacingRate is the bytes per second over which packets are spread.
	PacingRate uint64
	// Datagrams and their bytes.
	DatagramsSent, BytesSent, DatagramsReceived, BytesReceived, DatagramsDropped uint64
	// PacketsSent counts those after the handshake, PacketsLost the lost ones among them.
	PacketsSent, PacketsLost, PacketsLostSpuriously uint64
	// BytesRetransmitted is how many bytes of data were sent again.
	BytesRetransmitted uint64
	// StreamsOpen is how many streams there are, of both sides.
	StreamsOpen uint64
	// SendBuffered is how many bytes were accepted for sending and are not settled.
	SendBuffered uint64
	// CreditDelays is how often a rate limit began to hold the peer back, MessageDelays how often it made a reader wait for
	// a message that was there.
	CreditDelays, MessageDelays uint64
	// PathChanges counts changes of the path, back and forth, PathSwitchesRefused packets of the peer from elsewhere that
	// were not followed because it moves too often.
	PathChanges, PathSwitchesRefused uint64
	// KeyUpdates counts the key updates that the peer has taken part in. KeyPhase is one more while it has not yet.
	KeyUpdates, KeyPhase uint64
	// MTUProbesSent counts datagrams sent to find out whether the path carries larger ones, MTUBlackHoles how often
	// datagrams became small again because larger ones did not get through any more.
	MTUProbesSent, MTUBlackHoles uint64
	// KeepAlivePings is how many PINGs were sent to keep the connection alive.
	KeepAlivePings uint64
	// DatagramSize is the size of the largest datagram on the path.
	DatagramSize int
	// ECN says whether the path carries marks of congestion.
	ECN bool
	// CompressionsTried counts messages and blocks of bytes on which compression was tried, Compressed those sent
	// compressed, with their bytes before and after.
	CompressionsTried, Compressed, BytesBeforeCompression, BytesAfterCompression uint64
	// FEC is what error correction did, in both directions.
	FEC FECStats
}

// currentStats is what is known last. Under the lock.
func (c *Conn) currentStats() ConnStats {
	var s C.JspConnStats
	if c.over || c.gone || c.ep.freed || C.jspgo_conn_stats(c.ep.native.handle, C.uint64_t(c.id), &s) != 0 {
		return c.stats
	}
	return ConnStats{
		RTT:                   time.Duration(s.rtt_ns),
		MinRTT:                time.Duration(s.min_rtt_ns),
		RTTVariation:          time.Duration(s.rtt_variation_ns),
		HandshakeTime:         time.Duration(s.handshake_time_ns),
		CongestionWindow:      uint64(s.congestion_window),
		BytesInFlight:         uint64(s.bytes_in_flight),
		PacingRate:            uint64(s.pacing_rate),
		DatagramsSent:         uint64(s.datagrams_sent),
		BytesSent:             uint64(s.bytes_sent),
		DatagramsReceived:     uint64(s.datagrams_received),
		BytesReceived:         uint64(s.bytes_received),
		DatagramsDropped:      uint64(s.datagrams_dropped),
		PacketsSent:           uint64(s.packets_sent),
		PacketsLost:           uint64(s.packets_lost),
		PacketsLostSpuriously: uint64(s.packets_lost_spuriously),
		BytesRetransmitted:    uint64(s.bytes_retransmitted),
		StreamsOpen:           uint64(s.streams_open),
		SendBuffered:          uint64(s.send_buffered),
		CreditDelays:          uint64(s.credit_delays),
		MessageDelays:         uint64(s.message_delays),
		PathChanges:           uint64(s.path_changes),
		PathSwitchesRefused:   uint64(s.path_switches_refused),
		KeyUpdates:            uint64(s.key_updates),
		KeyPhase:              uint64(s.key_phase),
		MTUProbesSent:         uint64(s.mtu_probes_sent),
		MTUBlackHoles:         uint64(s.mtu_black_holes),
		KeepAlivePings:        uint64(s.keep_alive_pings),
		DatagramSize:          int(s.datagram_size),
		ECN:                   s.ecn_capable != 0,

		CompressionsTried:      uint64(s.compressions_tried),
		Compressed:             uint64(s.messages_compressed),
		BytesBeforeCompression: uint64(s.bytes_before_compression),
		BytesAfterCompression:  uint64(s.bytes_after_compression),
		FEC:                    fecStats(&s),
	}
}

// EndpointStats is what a socket has done so far. Counters only grow.
type EndpointStats struct {
	// Connections is how many there are now.
	Connections int
	// Datagrams and their bytes.
	DatagramsReceived, BytesReceived, DatagramsSent, BytesSent uint64
	// Connections that both sides confirmed, and that ended.
	ConnectionsConfirmed, ConnectionsClosed uint64
	// HandshakesStarted counts clients that cost public-key work, HandshakesRefused those refused.
	HandshakesStarted, HandshakesRefused uint64
	// SealOpenings counts seals that were opened, or tried, for addresses without a valid token, RetriesSent clients that
	// were asked to prove their address.
	SealOpenings, RetriesSent uint64
	// ResetsSent counts peers told that their connection is lost, ResetsReceived connections that ended because the peer
	// said so.
	ResetsSent, ResetsReceived uint64
	// VersionNegotiationsSent counts clients of another version.
	VersionNegotiationsSent uint64
	// TokensIssued counts address tokens given to clients for later, TokensAccepted attempts that began with one that
	// proved the client's address, TokensRejected datagrams with one that proved nothing.
	TokensIssued, TokensAccepted, TokensRejected uint64
	// Dropped is how many datagrams were dropped, by reason.
	Dropped map[string]uint64
}

func (e *endpoint) stats() EndpointStats {
	e.mu.Lock()
	defer e.mu.Unlock()
	var s C.JspEndpointStats
	if e.freed || C.jspgo_endpoint_stats(e.native.handle, &s) != 0 {
		return EndpointStats{}
	}
	dropped := make(map[string]uint64)
	for i, count := range s.dropped {
		if name := C.jsp_drop_reason_name(C.uint32_t(i)); name != nil && count > 0 {
			dropped[C.GoString(name)] = uint64(count)
		}
	}
	return EndpointStats{
		Connections:          int(s.connections),
		DatagramsReceived:    uint64(s.datagrams_received),
		BytesReceived:        uint64(s.bytes_received),
		DatagramsSent:        uint64(s.datagrams_sent),
		BytesSent:            uint64(s.bytes_sent),
		ConnectionsConfirmed: uint64(s.connections_confirmed),
		ConnectionsClosed:    uint64(s.connections_closed),
		HandshakesStarted:    uint64(s.handshakes_started),
		HandshakesRefused:    uint64(s.handshakes_refused),
		SealOpenings:         uint64(s.seal_openings),
		RetriesSent:          uint64(s.retries_sent),
		ResetsSent:           uint64(s.resets_sent),
		ResetsReceived:       uint64(s.resets_received),

		VersionNegotiationsSent: uint64(s.version_negotiations_sent),

		TokensIssued:   uint64(s.tokens_issued),
		TokensAccepted: uint64(s.tokens_accepted),
		TokensRejected: uint64(s.tokens_rejected),
		Dropped:        dropped,
	}
}
