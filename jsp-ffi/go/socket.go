package jetstream

import (
	"errors"
	"net"
	"net/netip"
)

// maxDatagram is the largest payload of UDP.
const maxDatagram = 65507

// A socket is a UDP socket and what the system can do for it.
type socket struct {
	udp *net.UDPConn
	// Datagrams of one size that one call sends.
	segments int
	// Whether one call may receive several datagrams of one size.
	joins bool
	// Whether the socket is bound to all addresses, so that an answer must say from which one it goes.
	wildcard bool
	// Whether it does without what only some systems have.
	plain   bool
	control []byte
}

// newSocket takes over a socket; a plain one does without what only some systems have.
func newSocket(udp *net.UDPConn, plain bool) *socket {
	s := &socket{udp: udp, segments: 1, plain: plain}
	s.wildcard = s.local().Addr().IsUnspecified()
	// What the system grants is enough; asking for more than it allows does no harm.
	_ = udp.SetReadBuffer(4 << 20)
	_ = udp.SetWriteBuffer(2 << 20)
	if !plain {
		s.prepare()
	}
	return s
}

func (s *socket) local() netip.AddrPort {
	address := s.udp.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(address.Addr().Unmap(), address.Port())
}

// slotLen is the room that one call to receive needs.
func (s *socket) slotLen() int {
	if s.joins {
		return 1 << 16
	}
	return 1 << 11
}

// sendEach sends the datagrams of a transmit one by one. What the system refuses is lost, as it might be on the
// network.
func (s *socket) sendEach(payload []byte, segment int, remote netip.AddrPort, control []byte) error {
	for len(payload) > 0 {
		n := min(segment, len(payload))
		_, _, err := s.udp.WriteMsgUDPAddrPort(payload[:n], control, remote)
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		payload = payload[n:]
	}
	return nil
}
