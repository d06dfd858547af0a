package jetstream

/*
#include "shim.h"
*/
import "C"

import (
	"runtime"
	"time"
)

// network is how a server lives with others behind one address, and how long keys last. Zero is the default of each.
type network struct {
	retry       Retry
	migration   C.uint32_t
	grease      C.uint32_t
	balanced    bool
	rotation    uint8
	serverID    []byte
	tokenSecret []byte
	resetKey    []byte
	period      time.Duration
	packets     uint64
	age         time.Duration
}

func (n *network) apply(pin *runtime.Pinner, config *C.JspConfig) {
	config.retry = C.uint32_t(n.retry)
	config.allow_migration, config.grease = n.migration, n.grease
	if n.balanced {
		config.load_balancing_rotation = C.uint32_t(n.rotation)
		// A length that the library refuses, unless it is one.
		config.load_balancing_server_id_len = C.JSP_SERVER_ID_LEN + 1
		if len(n.serverID) >= 1 && len(n.serverID) <= C.JSP_SERVER_ID_LEN {
			config.load_balancing_server_id_len = C.uint8_t(len(n.serverID))
			for i, b := range n.serverID {
				config.load_balancing_server_id[i] = C.uint8_t(b)
			}
		}
	}
	config.token_secret, config.reset_key = pinnedFirst(pin, n.tokenSecret), pinnedFirst(pin, n.resetKey)
	config.token_rotation_ns = nanos(n.period)
	config.key_update_packets, config.key_update_age_ns = C.uint64_t(n.packets), nanos(n.age)
}

// Retry says when a server lets clients prove their address before anything else, which costs them a round trip.
type Retry uint32

const (
	// RetryAdaptive asks for it only while many clients of unproven addresses press. It is the default.
	RetryAdaptive Retry = C.JSP_RETRY_ADAPTIVE
	// RetryAlways keeps no state for those who cannot prove it.
	RetryAlways Retry = C.JSP_RETRY_ALWAYS
	// RetryNever leaves the protection to bounds on half-open connections.
	RetryNever Retry = C.JSP_RETRY_NEVER
)

// WithRetry sets when Listen lets clients prove their address first.
func WithRetry(policy Retry) Option { return func(o *options) { o.network.retry = policy } }

// WithAllowMigration says whether Listen lets clients move their connections to another network. Without, they are told,
// and only a new port of the same host is followed, as a NAT gives it. The default is yes.
func WithAllowMigration(allow bool) Option {
	return func(o *options) { o.network.migration = switchOf(allow) }
}

// WithGrease says whether to send now and then what every peer must ignore, so that nobody comes to rely on its absence.
// It is off only to compare bytes. The default is yes.
func WithGrease(grease bool) Option { return func(o *options) { o.network.grease = switchOf(grease) } }

func switchOf(on bool) C.uint32_t {
	if on {
		return C.JSP_SWITCH_ON
	}
	return C.JSP_SWITCH_OFF
}

// WithLoadBalancing puts the id of this server, 1 to 7 bytes, into its connection ids as load balancers read them (QUIC-LB
// in clear), under the configuration rotation, 0 to 6, of theirs. Clients that move stay with their server.
func WithLoadBalancing(rotation uint8, serverID []byte) Option {
	return func(o *options) {
		o.network.balanced, o.network.rotation, o.network.serverID = true, rotation, serverID
	}
}

// WithTokenSecret gives Listen the secret from which the keys of address tokens are derived, 32 random bytes, for servers
// behind one address that must accept each other's tokens. The keys change every day, or as WithTokenRotation says.
func WithTokenSecret(secret [32]byte) Option {
	return func(o *options) { o.network.tokenSecret = secret[:] }
}

// WithTokenRotation sets how long a key of address tokens is used, at least a minute; for as long again its tokens are
// accepted. The default is 24 hours.
func WithTokenRotation(period time.Duration) Option {
	return func(o *options) { o.network.period = period }
}

// WithResetKey gives Listen a key of 32 random bytes that is kept over restarts: clients then learn at once that the server
// has lost their connections (CodePeerReset). It is a secret. Servers may share it only if they are told apart by
// WithLoadBalancing.
func WithResetKey(key [32]byte) Option { return func(o *options) { o.network.resetKey = key[:] } }

// WithKeyUpdates sets after how many packets, 16 to 2^40, and at which age, 3 seconds to 24 hours, a connection changes its
// keys; 0 leaves either as it is. The defaults are 2^22 and 10 minutes; the smaller setting of both sides counts.
func WithKeyUpdates(packets uint64, age time.Duration) Option {
	return func(o *options) { o.network.packets, o.network.age = packets, age }
}

// UpdateKeys changes the keys of both directions, beside the updates that happen by themselves. ConnStats.KeyUpdates counts
// it when the peer has followed. An Error with CodeKeyUpdatePending or, right after the handshake, CodeNotConfirmed says
// that it is too early.
func (c *Conn) UpdateKeys() error {
	return c.act(func(now uint64) Code {
		return Code(C.jsp_conn_update_keys(c.ep.native.handle, C.uint64_t(now), C.uint64_t(c.id)))
	})
}

func (n native) setTokenKeys(current [32]byte, previous *[32]byte) error {
	var accepted *C.uint8_t
	if previous != nil {
		accepted = first(previous[:])
	}
	return errorOf(C.jsp_endpoint_set_token_keys(n.handle, first(current[:]), accepted))
}

func (n native) rebind(now uint64, local *nativeAddress) Code {
	return Code(C.jsp_endpoint_rebind(n.handle, C.uint64_t(now), local))
}
