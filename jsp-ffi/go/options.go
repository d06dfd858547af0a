package jetstream

/*
#include "shim.h"
*/
import "C"

import (
	"net/netip"
	"runtime"
	"time"
	"unsafe"
)

// fixedRate is none of the controllers of C.
const fixedRate Congestion = 1 << 31

// maxPayload is the largest datagram that is ever sent.
const maxPayload = 1472

// An Option changes how Dial connects, how Listen serves, or what NewConnection does.
type Option func(*options)

type options struct {
	pins            []string
	publicKey       []byte
	acceptAny       bool
	seed            *Seed
	identity        *Seed
	identityInline  bool
	pskID           []byte
	psk             []byte
	token           []byte
	protocols       []string
	idle            time.Duration
	handshake       time.Duration
	linger          time.Duration
	rateBytes       rate
	rateMessages    rate
	congestion      Congestion
	fixedRate       uint64
	policy          policy
	network         network
	hideKey         bool
	requireIdentity bool
	authorize       func(*Incoming) error
	// For tests: no offload, no control messages.
	plain bool
}

func collect(opts []Option) *options {
	o := &options{}
	for _, option := range opts {
		option(o)
	}
	return o
}

// WithPin lets Dial trust the server whose key has this id, jsp1-... Given several times, up to four, any of them will
// do. An address such as host:port#jsp1-... says the same.
func WithPin(keyID string) Option { return func(o *options) { o.pins = append(o.pins, keyID) } }

// WithPublicKey lets Dial trust the server that holds exactly this key. The key itself, unlike its id, needs no
// question to the server first.
func WithPublicKey(key []byte) Option { return func(o *options) { o.publicKey = key } }

// WithDangerAcceptAny lets Dial take any server for the right one. Whoever is on the path can read and change
// everything.
func WithDangerAcceptAny() Option { return func(o *options) { o.acceptAny = true } }

// WithSeed gives Listen the seed of the server's key. Without it the key is new and ends with the listener.
func WithSeed(seed Seed) Option { return func(o *options) { o.seed = &seed } }

// WithHiddenKey lets the server show its key only to clients that know its id. To others, such as those on this machine
// that come without a pin, it stays silent.
func WithHiddenKey() Option { return func(o *options) { o.hideKey = true } }

// WithIdentity gives Dial the seed of a key that the client proves to hold. The whole key is sent, so that the server
// need not know it before; Conn.PeerKeyID has its id there.
func WithIdentity(seed Seed) Option {
	return func(o *options) { o.identity, o.identityInline = &seed, true }
}

// WithPSK makes both sides prove that they hold a pre-shared key: 32 random bytes, never a password. Its id, at most 64
// bytes, is sent with the first message. A listener with this option accepts only clients with this id.
func WithPSK(id string, key [32]byte) Option {
	return func(o *options) { o.pskID, o.psk = []byte(id), key[:] }
}

// WithToken sends at most 512 bytes with the first message, for the server to decide whom it lets in: see WithAuthorize.
// Whoever records the message can send it again.
func WithToken(token []byte) Option { return func(o *options) { o.token = token } }

// WithProtocols names the application protocols, best first. Both sides must have one in common. The default is jsp.
func WithProtocols(names ...string) Option { return func(o *options) { o.protocols = names } }

// WithIdleTimeout sets the silence after which a connection is over; the smaller of both sides' counts. The default is
// 30 seconds.
func WithIdleTimeout(d time.Duration) Option { return func(o *options) { o.idle = d } }

// WithHandshakeTimeout sets how long Dial tries. The default is 10 seconds. The context of Dial may end it sooner.
func WithHandshakeTimeout(d time.Duration) Option { return func(o *options) { o.handshake = d } }

// WithLinger sets how long a Close waits for a peer that takes nothing more, before it gives up with CodeUndelivered. The
// default is 10 seconds.
func WithLinger(d time.Duration) Option { return func(o *options) { o.linger = d } }

// A rate is so many per second, and so many at once.
type rate struct{ perSecond, burst uint64 }

// WithRateLimitBytes holds each peer to that many bytes of data per second on a connection, 1000 to 2^40, and to burst
// bytes at once; less than the receive window, 1 MiB, counts as that. The peer waits, and nothing is lost of what is
// reliable. The burst should be what the connection carries in a round trip, or the rate is not reached.
func WithRateLimitBytes(bytesPerSecond, burst uint64) Option {
	return func(o *options) { o.rateBytes = rate{bytesPerSecond, burst} }
}

// WithRateLimitMessages lets at most that many messages per second be received on a connection, 1 to 1,000,000, and burst
// messages at once. Others wait, and when too many wait so does the peer; of what it sends as best effort it then loses
// what is too old.
func WithRateLimitMessages(messagesPerSecond, burst uint32) Option {
	return func(o *options) { o.rateMessages = rate{uint64(messagesPerSecond), uint64(burst)} }
}

// A Congestion controller decides how fast a connection sends.
type Congestion uint32

const (
	// BBR is a model of the path: how much it delivers, and its round-trip time without a queue. It tells loss from
	// congestion. It is the default.
	BBR Congestion = C.JSP_CONGESTION_BBR
	// Cubic takes every loss for congestion.
	Cubic Congestion = C.JSP_CONGESTION_CUBIC
)

// WithCongestion sets what decides how fast this side sends. The default is BBR.
func WithCongestion(controller Congestion) Option {
	return func(o *options) { o.congestion, o.fixedRate = controller, 0 }
}

// WithFixedRateWithoutCongestionControl lets this side send that many bytes per second, whatever is lost; 0 is an error.
// It is for private links that carry nothing else: anywhere else it takes the path from all others and may bring it to a
// standstill.
func WithFixedRateWithoutCongestionControl(bytesPerSecond uint64) Option {
	return func(o *options) { o.congestion, o.fixedRate = fixedRate, bytesPerSecond }
}

// WithRequiredIdentity makes the server refuse clients that prove neither a key of their own nor a pre-shared key.
func WithRequiredIdentity() Option { return func(o *options) { o.requireIdentity = true } }

// WithAuthorize lets the server decide about each client that asks to be let in: nil lets it in, any error refuses it.
// It is called from many goroutines, has five seconds, and must have no side effects: what it sees is not proven yet
// and may be a recording.
func WithAuthorize(decide func(*Incoming) error) Option {
	return func(o *options) { o.authorize = decide }
}

// names lays out texts for C. What they point to stays where it is until the pinner lets go.
func names(pin *runtime.Pinner, texts []string) (*C.JspBytes, C.size_t) {
	if len(texts) == 0 {
		return nil, 0
	}
	list := make([]C.JspBytes, len(texts))
	for i, text := range texts {
		list[i] = pinned(pin, []byte(text))
	}
	pin.Pin(&list[0])
	return &list[0], C.size_t(len(list))
}

func pinned(pin *runtime.Pinner, data []byte) C.JspBytes {
	return C.JspBytes{data: pinnedFirst(pin, data), len: C.size_t(len(data))}
}

func pinnedFirst(pin *runtime.Pinner, data []byte) *C.uint8_t {
	if len(data) == 0 {
		return nil
	}
	pin.Pin(&data[0])
	return first(data)
}

func seedOf(pin *runtime.Pinner, seed *Seed) *C.uint8_t {
	if seed == nil {
		return nil
	}
	return pinnedFirst(pin, seed[:])
}

func nanos(d time.Duration) C.uint64_t {
	if d <= 0 {
		return 0
	}
	return C.uint64_t(d)
}

func flag(set bool) C.uint32_t {
	if set {
		return 1
	}
	return 0
}

// endpoint makes the state machine that the options describe.
func (o *options) endpoint(origin time.Time) (native, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	// Only a program that is asked can let clients prove a key: without that they are refused.
	accept := C.uint32_t(C.JSP_ACCEPT_ASK)
	if o.seed == nil {
		accept = C.JSP_ACCEPT_AUTO
	}
	config := C.JspConfig{
		server_seed:          seedOf(&pin, o.seed),
		idle_timeout_ns:      nanos(o.idle),
		handshake_timeout_ns: nanos(o.handshake),
		linger_ns:            nanos(o.linger),
		max_udp_payload:      maxPayload,
		client_auth:          flag(o.requireIdentity),
		accept:               accept,
		unix_time_at_origin:  C.uint64_t(origin.Unix()),

		rate_limit_bytes:          C.uint64_t(o.rateBytes.perSecond),
		rate_limit_bytes_burst:    C.uint64_t(o.rateBytes.burst),
		rate_limit_messages:       C.uint32_t(o.rateMessages.perSecond),
		rate_limit_messages_burst: C.uint32_t(o.rateMessages.burst),
	}
	config.size = C.uint32_t(unsafe.Sizeof(config))
	if !o.hideKey {
		config.key_fetch = C.JSP_KEY_FETCH_OPEN
	}
	switch {
	case o.congestion != fixedRate:
		config.congestion = C.uint32_t(o.congestion)
	case o.fixedRate == 0:
		return native{}, errorOfCode(CodeInvalidArgument)
	default:
		config.fixed_rate_without_congestion_control = C.uint64_t(o.fixedRate)
	}
	config.protocols, config.protocols_len = names(&pin, o.protocols)
	o.policy.apply(&config)
	o.network.apply(&pin, &config)
	return newNative(&config)
}

// connect begins a connection as the options say.
func (o *options) connect(n native, now uint64, remote netip.AddrPort) (uint64, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	client := C.JspClientConfig{
		identity_seed:        seedOf(&pin, o.identity),
		identity_inline:      flag(o.identityInline),
		psk:                  pinnedFirst(&pin, o.psk),
		psk_id:               pinned(&pin, o.pskID),
		app_token:            pinned(&pin, o.token),
		handshake_timeout_ns: nanos(o.handshake),
	}
	client.size = C.uint32_t(unsafe.Sizeof(client))
	client.protocols, client.protocols_len = names(&pin, o.protocols)
	switch {
	case o.acceptAny:
		client.trust = C.JSP_TRUST_DANGER_ACCEPT_ANY
	case o.publicKey != nil:
		if len(o.publicKey) != publicKeyLen {
			return 0, errorOfCode(CodeInvalidKey)
		}
		client.trust = C.JSP_TRUST_PINNED
		client.public_key = pinnedFirst(&pin, o.publicKey)
	case len(o.pins) > 0:
		client.trust = C.JSP_TRUST_KEY_IDS
		ids := make([]*C.char, len(o.pins))
		for i, id := range o.pins {
			ids[i] = (*C.char)(unsafe.Pointer(pinnedFirst(&pin, append([]byte(id), 0))))
		}
		pin.Pin(&ids[0])
		client.key_ids, client.key_ids_len = &ids[0], C.size_t(len(ids))
	}
	return n.connect(now, remote, &client)
}
