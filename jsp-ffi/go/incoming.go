package jetstream

/*
#include "shim.h"
*/
import "C"

import (
	"bytes"
	"net"
	"net/netip"
	"runtime"
	"unsafe"
)

// An Incoming is what a client tells that asks to be let in. Nothing of it is proven yet.
type Incoming struct {
	// RemoteAddr is where it came from.
	RemoteAddr net.Addr
	// KeyID is the id of the key that the client will have to prove; empty if it offers none.
	KeyID string
	// PSKID is the id of the pre-shared key that the client offers to prove.
	PSKID []byte
	// Token is what the client's application sent: see WithToken.
	Token []byte

	key []byte
}

// incoming decides about a client. Under the lock, except for what the program is asked.
func (e *endpoint) incoming(id uint64) {
	asks, ok := e.native.incoming(id)
	if !ok {
		return
	}
	o := e.listener.options
	if o.authorize == nil || !o.knows(asks) {
		e.answer(id, asks, o.knows(asks))
		return
	}
	go func() {
		welcome := o.authorize(asks) == nil
		e.mu.Lock()
		defer e.mu.Unlock()
		e.answer(id, asks, welcome)
	}()
}

// answer tells a client whether it is let in. Under the lock.
func (e *endpoint) answer(id uint64, asks *Incoming, welcome bool) {
	if e.freed {
		return
	}
	if welcome && !e.listener.isClosed {
		e.native.accept(e.now(), id, asks, e.listener.options.psk)
	} else {
		C.jsp_incoming_refuse(e.native.handle, C.uint64_t(e.now()), C.uint64_t(id), 0)
	}
	e.kick()
}

// knows says whether the client offers the pre-shared key that it needs, if it needs one.
func (o *options) knows(asks *Incoming) bool {
	return o.psk == nil || bytes.Equal(asks.PSKID, o.pskID)
}

// incoming is what a client tells, unless it has given up.
func (n native) incoming(id uint64) (*Incoming, bool) {
	var info C.JspIncoming
	info.size = C.uint32_t(unsafe.Sizeof(info))
	if C.jsp_incoming_info(n.handle, C.uint64_t(id), &info) != 0 {
		return nil, false
	}
	asks := &Incoming{
		RemoteAddr: udpAddr(addrPortOf(&info.remote)),
		PSKID:      make([]byte, info.psk_id_len),
		Token:      make([]byte, info.app_token_len),
	}
	var length C.size_t
	C.jsp_incoming_psk_id(n.handle, C.uint64_t(id), first(asks.PSKID), C.size_t(len(asks.PSKID)), &length)
	C.jsp_incoming_app_token(n.handle, C.uint64_t(id), first(asks.Token), C.size_t(len(asks.Token)), &length)
	if info.has_key_id != 0 {
		var text [C.JSP_KEY_ID_TEXT]C.char
		C.jsp_incoming_key_id(n.handle, C.uint64_t(id), &text[0])
		asks.KeyID = C.GoString(&text[0])
	}
	if info.has_key != 0 {
		asks.key = make([]byte, publicKeyLen)
		C.jsp_incoming_key(n.handle, C.uint64_t(id), first(asks.key), publicKeyLen, &length)
	}
	return asks, true
}

// accept lets a client in, who then has to prove what it offered.
func (n native) accept(now, id uint64, asks *Incoming, psk []byte) {
	var pin runtime.Pinner
	defer pin.Unpin()
	accept := C.JspAccept{
		client_key: pinnedFirst(&pin, asks.key),
		psk:        pinnedFirst(&pin, psk),
	}
	accept.size = C.uint32_t(unsafe.Sizeof(accept))
	// A client that has given up meanwhile, or sent no usable key, does not get in.
	C.jsp_incoming_accept(n.handle, C.uint64_t(now), C.uint64_t(id), &accept)
}

func udpAddr(address netip.AddrPort) net.Addr { return net.UDPAddrFromAddrPort(address) }
