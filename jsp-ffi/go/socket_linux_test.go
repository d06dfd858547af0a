package jetstream

import (
	"net"
	"testing"
	"time"
)

// A transmit that the system refuses to segment arrives as single datagrams.
func TestSegmentationThatFails(t *testing.T) {
	receiver := must(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))(t)
	defer receiver.Close()
	s := newSocket(must(net.ListenUDP("udp4", nil))(t), false)
	defer s.udp.Close()
	if s.segments == 1 {
		t.Skip("no segmentation offload here")
	}
	remote := receiver.LocalAddr().(*net.UDPAddr).AddrPort()
	transmit := nativeTransmit{segment: 1400}
	// More than one datagram of UDP holds.
	payload := make([]byte, 60*1400)
	for i := range payload {
		payload[i] = byte(i / 1400)
	}
	ok(t, s.send(payload, &transmit, remote))
	if s.segments != 1 {
		t.Fatal("the socket still tries")
	}
	ok(t, receiver.SetReadDeadline(time.Now().Add(patience)))
	buffer := make([]byte, 2000)
	for i := 0; i < 60; i++ {
		n, err := receiver.Read(buffer)
		ok(t, err)
		if n != 1400 || buffer[0] != byte(i) {
			t.Fatalf("datagram %d has %d bytes and is number %d", i, n, buffer[0])
		}
	}
}
