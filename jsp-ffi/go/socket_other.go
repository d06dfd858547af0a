//go:build !linux

package jetstream

import "net/netip"

func (s *socket) prepare() {}

// receive waits for a datagram.
func (s *socket) receive(slot, _ []byte, into *nativeDatagram) (netip.AddrPort, error) {
	*into = nativeDatagram{}
	n, remote, err := s.udp.ReadFromUDPAddrPort(slot)
	setLen(into, n, 0)
	return remote, err
}

func (s *socket) send(payload []byte, t *nativeTransmit, remote netip.AddrPort) error {
	return s.sendEach(payload, segmentOf(t), remote, nil)
}
