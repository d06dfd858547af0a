package jetstream

/*
#include "shim.h"
*/
import "C"

import (
	"net/netip"
	"time"
)

// WithKeepAlive sends a PING after so much silence, at least a second, or half the idle timeout if that is less. 0 turns
// off what a profile turned on.
func WithKeepAlive(interval time.Duration) Option {
	return func(o *options) {
		o.policy.keepAlive, o.policy.interval = C.JSP_KEEP_ALIVE_EVERY, interval
		if interval == 0 {
			o.policy.keepAlive = C.JSP_KEEP_ALIVE_OFF
		}
	}
}

// WithAdaptiveKeepAlive sends a PING as seldom as the path allows, which is found out: after 25 to 115 seconds of silence,
// or half the idle timeout if that is less.
func WithAdaptiveKeepAlive() Option {
	return func(o *options) { o.policy.keepAlive, o.policy.interval = C.JSP_KEEP_ALIVE_ADAPTIVE, 0 }
}

// An AppState is what the device does.
type AppState uint32

const (
	// Foreground: the program is in use.
	Foreground AppState = C.JSP_APP_FOREGROUND
	// Background: the program runs unseen. Keepalive half as often, no search for larger datagrams, no FECAuto on streams
	// without a setting of their own.
	Background AppState = C.JSP_APP_BACKGROUND
	// Sleep: no keepalive. The connection lives on as long as the idle timeout allows.
	Sleep AppState = C.JSP_APP_SLEEP
)

// SetAppState tells what the device does. When it wakes up from Sleep a PING goes out at once.
func (c *Conn) SetAppState(state AppState) error {
	return c.act(func(now uint64) Code {
		return Code(C.jsp_conn_set_app_state(c.ep.native.handle, C.uint64_t(now), C.uint64_t(c.id), C.uint32_t(state)))
	})
}

// ObservedAddress is the address at which the peer sees this side; not valid before it is known. Only adaptive keepalive
// asks for it.
func (c *Conn) ObservedAddress() netip.AddrPort {
	var address C.JspAddress
	_ = c.act(func(now uint64) Code {
		return Code(C.jsp_conn_observed_address(c.ep.native.handle, C.uint64_t(now), C.uint64_t(c.id), &address))
	})
	return addrPortOf(&address)
}
