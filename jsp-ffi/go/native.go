package jetstream

/*
#include "shim.h"
*/
import "C"

import (
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"unsafe"
)

// crossings counts the calls from Go to C in which packets and data move.
var crossings atomic.Uint64

// A native is the state machine of one socket. Its methods are called under the lock of the endpoint that has it.
//
// Everything that C reads or writes is memory of Go without pointers in it and is passed for the call only, as cgo's
// rules allow; what C owns is the handle alone.
type native struct {
	handle *C.JspEndpoint
}

type (
	nativeEvent    = C.JspEvent
	nativeDatagram = C.JspDatagram
	nativeTransmit = C.JspTransmit
	nativeTurn     = C.JspGoTurn
	nativeAddress  = C.JspAddress
)

const (
	eventConnected        = C.JSP_EVENT_CONNECTED
	eventStreamOpened     = C.JSP_EVENT_STREAM_OPENED
	eventStreamReadable   = C.JSP_EVENT_STREAM_READABLE
	eventStreamWritable   = C.JSP_EVENT_STREAM_WRITABLE
	eventStreamReset      = C.JSP_EVENT_STREAM_RESET
	eventStreamStopped    = C.JSP_EVENT_STREAM_STOPPED
	eventMessageOutcome   = C.JSP_EVENT_MESSAGE_OUTCOME
	eventStreamsAvailable = C.JSP_EVENT_STREAMS_AVAILABLE
	eventClosed           = C.JSP_EVENT_CLOSED
	eventIncoming         = C.JSP_EVENT_INCOMING

	kindBytes             = C.JSP_STREAM_BYTES
	kindOrderedMessages   = C.JSP_STREAM_ORDERED_MESSAGES
	kindUnorderedMessages = C.JSP_STREAM_UNORDERED_MESSAGES

	never uint64 = C.JSP_NEVER

	publicKeyLen = C.JSP_PUBLIC_KEY_LEN
	reasonLen    = C.JSP_REASON_LEN
)

func errorOf(code C.JspError) error {
	if code == 0 {
		return nil
	}
	return errorOfCode(Code(code))
}

func errorOfCode(code Code) error {
	return &Error{Code: code, text: C.GoString(C.jsp_error_string(C.JspError(code)))}
}

// first is the address of a slice's first element, and nil for an empty one.
func first(data []byte) *C.uint8_t { return (*C.uint8_t)(unsafe.SliceData(data)) }

func newNative(config *C.JspConfig) (native, error) {
	if err := errorOf(C.jsp_abi_check(C.JSP_ABI_VERSION)); err != nil {
		return native{}, err
	}
	seed, err := GenerateSeed()
	if err != nil {
		return native{}, err
	}
	var handle *C.JspEndpoint
	if err := errorOf(C.jsp_endpoint_new(config, first(seed[:]), &handle)); err != nil {
		return native{}, err
	}
	return native{handle}, nil
}

func (n native) free() { C.jsp_endpoint_free(n.handle) }

func (n native) turn(now uint64, in *inbox, received []nativeDatagram, out *outbox, segments int) nativeTurn {
	crossings.Add(1)
	return C.jspgo_turn(n.handle, C.uint64_t(now),
		first(in.slab), unsafe.SliceData(received), C.size_t(len(received)),
		first(out.buffer), C.size_t(len(out.buffer)),
		unsafe.SliceData(out.transmits), C.size_t(len(out.transmits)),
		unsafe.SliceData(out.events), C.size_t(len(out.events)), C.uint32_t(segments))
}

func (n native) open(now, conn uint64, o streamOptions) (uint64, Code) {
	crossings.Add(1)
	uni := C.uint32_t(0)
	if o.uni {
		uni = 1
	}
	options := C.JspStreamOptions{
		kind:         C.uint32_t(o.kind),
		uni:          uni,
		mode:         C.JspDeliveryMode(o.mode),
		ttl_ns:       C.uint64_t(o.ttl),
		has_priority: 1,
		priority:     C.uint32_t(o.priority),
		compression:  C.uint32_t(o.compression),
		fec:          o.fec.kind,
		fec_sources:  o.fec.sources,
		fec_parity:   o.fec.parity,
	}
	id := C.jspgo_open(n.handle, C.uint64_t(now), C.uint64_t(conn), options)
	return uint64(id.id), Code(id.error)
}

// send gives the number of bytes written, or a negative code.
func (n native) send(now, conn, stream uint64, data []byte) int64 {
	crossings.Add(1)
	return int64(C.jspgo_send(n.handle, C.uint64_t(now), C.uint64_t(conn), C.uint64_t(stream), first(data),
		C.size_t(len(data))))
}

// recv gives the number of bytes read, or a negative code.
func (n native) recv(now, conn, stream uint64, out []byte) int64 {
	crossings.Add(1)
	return int64(C.jspgo_recv(n.handle, C.uint64_t(now), C.uint64_t(conn), C.uint64_t(stream), first(out),
		C.size_t(len(out))))
}

func (n native) sendMessage(now, conn, stream uint64, data []byte, tracked bool) (uint64, Code) {
	crossings.Add(1)
	track := C.uint32_t(0)
	if tracked {
		track = 1
	}
	id := C.jspgo_send_message(n.handle, C.uint64_t(now), C.uint64_t(conn), C.uint64_t(stream), first(data),
		C.size_t(len(data)), track)
	return uint64(id.id), Code(id.error)
}

// recvMessages fills out and lens, and gives the number of messages, why there are no more, and what the next needs.
func (n native) recvMessages(now, conn, stream uint64, out []byte, lens []uint32) (int, Code, uint64) {
	crossings.Add(1)
	r := C.jspgo_recv_messages(n.handle, C.uint64_t(now), C.uint64_t(conn), C.uint64_t(stream), first(out),
		C.size_t(len(out)), (*C.uint32_t)(unsafe.SliceData(lens)), C.uint32_t(len(lens)))
	return int(r.count), Code(r.error), uint64(r.needed)
}

func (n native) finish(now, conn, stream uint64) Code {
	crossings.Add(1)
	return Code(C.jsp_stream_finish(n.handle, C.uint64_t(now), C.uint64_t(conn), C.uint64_t(stream)))
}

func (n native) reset(now, conn, stream, code uint64) Code {
	crossings.Add(1)
	return Code(C.jsp_stream_reset(n.handle, C.uint64_t(now), C.uint64_t(conn), C.uint64_t(stream), C.uint64_t(code)))
}

func (n native) stop(now, conn, stream, code uint64) Code {
	crossings.Add(1)
	return Code(C.jsp_stream_stop(n.handle, C.uint64_t(now), C.uint64_t(conn), C.uint64_t(stream), C.uint64_t(code)))
}

func (n native) setPriority(now, conn, stream uint64, priority uint8) Code {
	crossings.Add(1)
	return Code(C.jsp_stream_set_priority(n.handle, C.uint64_t(now), C.uint64_t(conn), C.uint64_t(stream),
		C.uint32_t(priority)))
}

func (n native) connect(now uint64, remote netip.AddrPort, client *C.JspClientConfig) (uint64, error) {
	address := addressOf(remote)
	id := C.jspgo_connect(n.handle, C.uint64_t(now), &address, client)
	return uint64(id.id), errorOf(id.error)
}

func (n native) close(now, conn, code uint64, reason string) Code {
	text := []byte(reason)
	return Code(C.jsp_conn_close(n.handle, C.uint64_t(now), C.uint64_t(conn), C.uint64_t(code), first(text),
		C.size_t(len(text))))
}

func (n native) abort(now, conn, code uint64, reason string) Code {
	text := []byte(reason)
	return Code(C.jsp_conn_abort(n.handle, C.uint64_t(now), C.uint64_t(conn), C.uint64_t(code), first(text),
		C.size_t(len(text))))
}

func (n native) setCongestion(now, conn uint64, controller Congestion) Code {
	return Code(C.jsp_conn_set_congestion(n.handle, C.uint64_t(now), C.uint64_t(conn), C.uint32_t(controller)))
}

func (n native) setFixedRate(now, conn, bytesPerSecond uint64) Code {
	return Code(C.jsp_conn_set_fixed_rate_without_congestion_control(n.handle, C.uint64_t(now), C.uint64_t(conn),
		C.uint64_t(bytesPerSecond)))
}

func (n native) discard(now, conn uint64) {
	C.jsp_conn_discard(n.handle, C.uint64_t(now), C.uint64_t(conn))
}

// isIdle says whether no connection has anything left to do. A handle that is of no more use has nothing left.
func (n native) isIdle() bool { return C.jspgo_is_idle(n.handle) != 0 }

func (n native) exportKey(conn uint64, label string, context []byte, out []byte) error {
	text := []byte(label)
	return errorOf(C.jsp_conn_export_key(n.handle, C.uint64_t(conn), first(text), C.size_t(len(text)), first(context),
		C.size_t(len(context)), first(out), C.size_t(len(out))))
}

type connInfo struct {
	isServer    bool
	remote      netip.AddrPort
	peerKeyID   string
	maxMessage  uint64
	isConnected bool
}

func (n native) connInfo(conn uint64) (connInfo, bool) {
	var info C.JspConnInfo
	if C.jspgo_conn_info(n.handle, C.uint64_t(conn), &info) != 0 {
		return connInfo{}, false
	}
	return connInfo{
		isServer:    info.is_server != 0,
		remote:      addrPortOf(&info.remote),
		peerKeyID:   C.GoString(&info.peer_key_id[0]),
		maxMessage:  uint64(info.max_message_size),
		isConnected: info.is_connected != 0,
	}, true
}

// closeReason is the error that stands for the end of a connection.
func (n native) closeReason(conn uint64) error {
	var reason C.JspCloseReason
	var text [640]C.char
	if status := C.jspgo_close_reason(n.handle, C.uint64_t(conn), &reason, &text[0], C.size_t(len(text))); status != 0 {
		return errorOf(status)
	}
	code := Code(reason.error)
	switch code {
	case CodePeerClosed, CodeLocallyClosed:
		given := C.GoBytes(unsafe.Pointer(&reason.reason[0]), C.int(reason.reason_len))
		return &ApplicationError{Code: uint64(reason.code), Reason: string(given), Remote: code == CodePeerClosed}
	case CodeKeyMismatch:
		return &KeyMismatchError{
			Expected: C.GoString(&reason.expected_key_id[0]),
			Found:    C.GoString(&reason.found_key_id[0]),
		}
	}
	return &Error{Code: code, ProtocolCode: uint64(reason.code), text: C.GoString(&text[0])}
}

func addressOf(from netip.AddrPort) nativeAddress {
	var to nativeAddress
	to.port = C.uint16_t(from.Port())
	ip := from.Addr().Unmap()
	if ip.Is4() {
		to.family = C.JSP_FAMILY_IPV4
		bytes := ip.As4()
		for i, b := range bytes {
			to.ip[i] = C.uint8_t(b)
		}
		return to
	}
	to.family = C.JSP_FAMILY_IPV6
	bytes := ip.As16()
	for i, b := range bytes {
		to.ip[i] = C.uint8_t(b)
	}
	to.scope_id = C.uint32_t(scopeOf(ip.Zone()))
	return to
}

// scopeOf is the number of the interface that a zone names.
func scopeOf(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if number, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(number)
	}
	if device, err := net.InterfaceByName(zone); err == nil {
		return uint32(device.Index)
	}
	return 0
}

func addrPortOf(from *nativeAddress) netip.AddrPort {
	bytes := *(*[16]byte)(unsafe.Pointer(&from.ip))
	switch from.family {
	case C.JSP_FAMILY_IPV4:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(bytes[:4])), uint16(from.port))
	case C.JSP_FAMILY_IPV6:
		ip := netip.AddrFrom16(bytes)
		if from.scope_id != 0 {
			ip = ip.WithZone(strconv.FormatUint(uint64(from.scope_id), 10))
		}
		return netip.AddrPortFrom(ip, uint16(from.port))
	}
	return netip.AddrPort{}
}

func setLen(d *nativeDatagram, n, stride int) { d.len, d.stride = C.size_t(n), C.size_t(stride) }

func setECN(d *nativeDatagram, tos byte) { d.ecn = C.uint8_t(tos & 3) }

func setLocal(d *nativeDatagram, local netip.AddrPort) { d.local = addressOf(local) }

func setSlot(d *nativeDatagram, offset int, remote netip.AddrPort) {
	d.offset, d.remote = C.size_t(offset), addressOf(remote)
}

func segmentOf(t *nativeTransmit) int { return int(t.segment) }

func payloadOf(t *nativeTransmit, buffer []byte) []byte {
	return buffer[t.offset : t.offset+t.len]
}

func offsetOf(d *nativeDatagram) int { return int(d.offset) }
