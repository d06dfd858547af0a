package jetstream

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"unsafe"
)

// Numbers of Linux that package syscall does not have.
const (
	solUDP     = 17
	udpSegment = 103
	udpGRO     = 104
)

// prepare asks the system for everything that saves calls or tells more about datagrams. Systems that lack something
// refuse it, and it is done without.
func (s *socket) prepare() {
	raw, err := s.udp.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(descriptor uintptr) {
		fd := int(descriptor)
		s.joins = syscall.SetsockoptInt(fd, solUDP, udpGRO, 1) == nil
		if _, err := syscall.GetsockoptInt(fd, solUDP, udpSegment); err == nil {
			s.segments = 64
		}
		_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, syscall.IP_RECVTOS, 1)
		_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, syscall.IPV6_RECVTCLASS, 1)
		// What is too long for a link is lost, so that the search for the largest datagram learns the truth.
		_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, syscall.IP_MTU_DISCOVER, syscall.IP_PMTUDISC_PROBE)
		_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, syscall.IPV6_MTU_DISCOVER, syscall.IPV6_PMTUDISC_PROBE)
		if s.wildcard {
			_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, syscall.IP_PKTINFO, 1)
			_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, syscall.IPV6_RECVPKTINFO, 1)
		}
	})
}

// receive waits for a datagram, or several of one size.
func (s *socket) receive(slot, control []byte, into *nativeDatagram) (netip.AddrPort, error) {
	*into = nativeDatagram{}
	n, controlLen, flags, remote, err := s.udp.ReadMsgUDPAddrPort(slot, control)
	if err != nil {
		return remote, err
	}
	if flags&syscall.MSG_TRUNC != 0 {
		// Larger than anything this side has asked for.
		n = 0
	}
	stride := 0
	port := s.local().Port
	eachControl(control[:controlLen], func(level, kind int32, data []byte) {
		switch {
		case level == solUDP && kind == udpGRO && len(data) >= 4:
			stride = int(*(*int32)(unsafe.Pointer(&data[0])))
		case level == syscall.IPPROTO_IP && kind == syscall.IP_TOS && len(data) >= 1:
			setECN(into, data[0])
		case level == syscall.IPPROTO_IPV6 && kind == syscall.IPV6_TCLASS && len(data) >= 4:
			setECN(into, byte(*(*int32)(unsafe.Pointer(&data[0]))))
		case level == syscall.IPPROTO_IP && kind == syscall.IP_PKTINFO && len(data) >= syscall.SizeofInet4Pktinfo:
			info := (*syscall.Inet4Pktinfo)(unsafe.Pointer(&data[0]))
			setLocal(into, netip.AddrPortFrom(netip.AddrFrom4(info.Spec_dst), port()))
		case level == syscall.IPPROTO_IPV6 && kind == syscall.IPV6_PKTINFO && len(data) >= syscall.SizeofInet6Pktinfo:
			info := (*syscall.Inet6Pktinfo)(unsafe.Pointer(&data[0]))
			setLocal(into, netip.AddrPortFrom(netip.AddrFrom16(info.Addr), port()))
		}
	})
	setLen(into, n, stride)
	return remote, nil
}

// eachControl goes through the control messages of a datagram.
func eachControl(control []byte, visit func(level, kind int32, data []byte)) {
	for len(control) >= syscall.SizeofCmsghdr {
		header := (*syscall.Cmsghdr)(unsafe.Pointer(&control[0]))
		length := int(header.Len)
		if length < syscall.SizeofCmsghdr || length > len(control) {
			return
		}
		visit(header.Level, header.Type, control[syscall.CmsgLen(0):length])
		next := syscall.CmsgSpace(length - syscall.CmsgLen(0))
		if next > len(control) {
			return
		}
		control = control[next:]
	}
}

// send sends a datagram, or several of one size in one call.
func (s *socket) send(payload []byte, t *nativeTransmit, remote netip.AddrPort) error {
	segment := segmentOf(t)
	common := s.describe(s.control[:0], t, remote)
	if len(payload) > segment && s.segments > 1 {
		control := appendControl(common, solUDP, udpSegment, 2)
		*(*uint16)(unsafe.Pointer(&control[len(control)-syscall.CmsgSpace(2)+syscall.CmsgLen(0)])) = uint16(segment)
		_, _, err := s.udp.WriteMsgUDPAddrPort(payload, control, remote)
		s.control = control
		if err == nil || errors.Is(err, net.ErrClosed) {
			return err
		}
		// Devices that cannot segment say so only now: these datagrams go one by one, and so do all later ones.
		if errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EMSGSIZE) {
			s.segments = 1
		}
		common = control[:len(common)]
	}
	s.control = common
	return s.sendEach(payload, segment, remote, common)
}

// describe appends what the IP header of a transmit is to say.
func (s *socket) describe(control []byte, t *nativeTransmit, remote netip.AddrPort) []byte {
	is4 := remote.Addr().Unmap().Is4()
	if t.ecn != 0 {
		if is4 {
			control = appendControl(control, syscall.IPPROTO_IP, syscall.IP_TOS, 4)
		} else {
			control = appendControl(control, syscall.IPPROTO_IPV6, syscall.IPV6_TCLASS, 4)
		}
		*(*int32)(unsafe.Pointer(&control[len(control)-syscall.CmsgSpace(4)+syscall.CmsgLen(0)])) = int32(t.ecn)
	}
	local := addrPortOf(&t.local).Addr()
	switch {
	case !s.wildcard || !local.IsValid():
	case is4 && local.Is4():
		control = appendControl(control, syscall.IPPROTO_IP, syscall.IP_PKTINFO, syscall.SizeofInet4Pktinfo)
		at := len(control) - syscall.CmsgSpace(syscall.SizeofInet4Pktinfo) + syscall.CmsgLen(0)
		(*syscall.Inet4Pktinfo)(unsafe.Pointer(&control[at])).Spec_dst = local.As4()
	case !is4 && local.Is6():
		control = appendControl(control, syscall.IPPROTO_IPV6, syscall.IPV6_PKTINFO, syscall.SizeofInet6Pktinfo)
		at := len(control) - syscall.CmsgSpace(syscall.SizeofInet6Pktinfo) + syscall.CmsgLen(0)
		(*syscall.Inet6Pktinfo)(unsafe.Pointer(&control[at])).Addr = local.As16()
	}
	return control
}

// appendControl appends a control message with size zero bytes of data.
func appendControl(control []byte, level, kind int32, size int) []byte {
	at := len(control)
	for len(control) < at+syscall.CmsgSpace(size) {
		control = append(control, 0)
	}
	header := (*syscall.Cmsghdr)(unsafe.Pointer(&control[at]))
	header.Level, header.Type = level, kind
	header.SetLen(syscall.CmsgLen(size))
	return control
}
