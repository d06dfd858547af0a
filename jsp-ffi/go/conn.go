package jetstream

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

// A Conn is a connection. Its methods may be called from any number of goroutines.
//
// Close or Abort must be called when it is of no more use, also after the peer has closed it: until then what it has
// brought can be read.
type Conn struct {
	ep     *endpoint
	id     uint64
	server bool
	ctx    context.Context
	cancel context.CancelCauseFunc
	// Closed when the connection is over.
	done chan struct{}
	// Holds a token while somebody looks for the default stream of messages.
	defaulting chan struct{}
	// Guarded by that token.
	messages *MessageStream

	// What follows is guarded by the lock of the endpoint.

	remote  netip.AddrPort
	streams map[uint64]*stream
	// Streams of the peer that nobody has accepted yet.
	openedBytes    []*stream
	openedMessages []*stream
	tracked        map[uint64]*Delivery
	opened         signal
	openable       signal
	changed        signal
	connected      bool
	// This side is closing it: nothing but delivering goes on.
	closing bool
	// Nobody will ask for it any more.
	released bool
	over     bool
	// The state machine does not know it any more.
	gone bool
	err  error
	// What was last known, for after the end.
	info  connInfo
	stats ConnStats
}

func newConn(e *endpoint, id uint64, server bool, remote netip.AddrPort) *Conn {
	c := &Conn{
		ep:         e,
		id:         id,
		server:     server,
		remote:     remote,
		done:       make(chan struct{}),
		defaulting: make(chan struct{}, 1),
		streams:    make(map[uint64]*stream),
		tracked:    make(map[uint64]*Delivery),
	}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	return c
}

// usable says why the connection must not be used, if so. Under the lock.
func (c *Conn) usable() error {
	if c.closing {
		return errClosed
	}
	if c.gone {
		return c.err
	}
	return nil
}

// with does something to a stream that is still of interest. Under the lock.
func (c *Conn) with(id uint64, act func(*stream)) {
	if s := c.streams[id]; s != nil {
		act(s)
	}
}

func (c *Conn) onConnected() {
	c.connected = true
	c.changed.raise()
	if c.server {
		c.ep.listener.arrived(c)
	}
}

func (c *Conn) onOpened(id uint64) {
	s := newStream(c, id, false)
	if !s.hasMessages() {
		c.openedBytes = append(c.openedBytes, s)
	} else {
		c.openedMessages = append(c.openedMessages, s)
	}
	c.opened.raise()
}

func (c *Conn) onOutcome(message uint64, outcome Outcome) {
	if delivery := c.tracked[message]; delivery != nil {
		delete(c.tracked, message)
		delivery.settle(outcome)
	}
}

// wakeAll lets everybody look at the connection again. Under the lock.
func (c *Conn) wakeAll() {
	c.changed.raise()
	c.opened.raise()
	c.openable.raise()
	for _, s := range c.streams {
		s.readable.raise()
		s.writable.raise()
	}
}

// ended says that the connection is over. Under the lock.
func (c *Conn) ended(err error) {
	if c.over {
		return
	}
	c.info, c.stats = c.currentInfo(), c.currentStats()
	c.over, c.err = true, err
	c.gone = c.ep.failure != nil
	c.wakeAll()
	for message := range c.tracked {
		c.onOutcome(message, Lost)
	}
	c.cancel(err)
	close(c.done)
}

// forgetIfReleased frees what the state machine keeps of a connection that is over. Under the lock.
func (c *Conn) forgetIfReleased() {
	nobody := c.released || (c.server && !c.connected)
	if c.over && nobody && !c.gone {
		c.gone = true
		c.ep.native.discard(c.ep.now(), c.id)
		delete(c.ep.conns, c.id)
		c.ep.kick()
	}
}

// leave begins to close the connection and gives up everything to it. Under the lock.
func (c *Conn) leave(code uint64, reason string, abort bool) {
	c.released = true
	if !c.over && (abort || !c.closing) {
		if len(reason) > reasonLen {
			reason = reason[:reasonLen]
		}
		c.closing = true
		if abort {
			c.ep.native.abort(c.ep.now(), c.id, code, reason)
		} else {
			c.ep.native.close(c.ep.now(), c.id, code, reason)
		}
		c.wakeAll()
		c.ep.kick()
	}
	c.closing = true
	c.forgetIfReleased()
}

// Close closes the connection after everything that was written has been delivered, waits for that, and frees what
// belongs to the connection. Calls that block on the connection return an error that is net.ErrClosed. If the peer takes
// nothing more, Close gives up after the time of WithLinger and returns an Error with CodeUndelivered.
//
// Other errors say that the connection ended otherwise while Close waited; that the peer has closed it too is none.
func (c *Conn) Close() error { return c.CloseWithError(0, "") }

// CloseWithError is Close with a code and a reason, at most 128 bytes, that the peer's application gets.
func (c *Conn) CloseWithError(code uint64, reason string) error {
	c.ep.mu.Lock()
	wasOver := c.over
	c.leave(code, reason, false)
	c.ep.mu.Unlock()
	<-c.done
	var failure *Error
	if cause := context.Cause(c.ctx); !wasOver && errors.As(cause, &failure) {
		return failure
	}
	return nil
}

// Abort closes the connection at once: what is not delivered yet is lost.
func (c *Conn) Abort(code uint64, reason string) {
	c.ep.mu.Lock()
	c.leave(code, reason, true)
	c.ep.mu.Unlock()
	<-c.done
}

// Context is done when the connection is over. Its cause says why.
func (c *Conn) Context() context.Context { return c.ctx }

// RemoteAddr is the peer's address.
func (c *Conn) RemoteAddr() net.Addr {
	c.ep.mu.Lock()
	defer c.ep.mu.Unlock()
	if info := c.currentInfo(); info.remote.IsValid() {
		c.remote = info.remote
	}
	return udpAddr(c.remote)
}

// LocalAddr is the address of this side's socket; after Rebind, of the new one.
func (c *Conn) LocalAddr() net.Addr { return udpAddr(c.ep.socket.Load().local()) }

// PeerKeyID is the id of the key that the peer has proven to hold; empty if none.
func (c *Conn) PeerKeyID() string {
	c.ep.mu.Lock()
	defer c.ep.mu.Unlock()
	return c.currentInfo().peerKeyID
}

// MaxMessageSize is the size of the largest message that the peer accepts.
func (c *Conn) MaxMessageSize() uint64 {
	c.ep.mu.Lock()
	defer c.ep.mu.Unlock()
	return c.currentInfo().maxMessage
}

func (c *Conn) currentInfo() connInfo {
	if c.over || c.gone || c.ep.freed {
		return c.info
	}
	info, _ := c.ep.native.connInfo(c.id)
	return info
}

// ExportKey gives length bytes that only both ends of this connection can know, for the purpose that label and context
// name. Both sides get the same bytes.
func (c *Conn) ExportKey(label string, context []byte, length int) ([]byte, error) {
	if length < 0 {
		return nil, errorOfCode(CodeInvalidArgument)
	}
	c.ep.mu.Lock()
	defer c.ep.mu.Unlock()
	if c.gone {
		return nil, c.err
	}
	out := make([]byte, length)
	return out, c.ep.native.exportKey(c.id, label, context, out)
}

// Stats is the connection in numbers; after its end, in the last ones.
func (c *Conn) Stats() ConnStats {
	c.ep.mu.Lock()
	defer c.ep.mu.Unlock()
	return c.currentStats()
}

// SetCongestion goes on with this controller, which starts from nothing. It decides how fast this side sends.
func (c *Conn) SetCongestion(controller Congestion) error {
	return c.act(func(now uint64) Code { return c.ep.native.setCongestion(now, c.id, controller) })
}

// SetFixedRateWithoutCongestionControl goes on sending that many bytes per second, at least 1, whatever is lost. It is
// for private links that carry nothing else: anywhere else it takes the path from all others and may bring it to a
// standstill.
func (c *Conn) SetFixedRateWithoutCongestionControl(bytesPerSecond uint64) error {
	return c.act(func(now uint64) Code { return c.ep.native.setFixedRate(now, c.id, bytesPerSecond) })
}

// act changes something about a connection that is not over.
func (c *Conn) act(change func(now uint64) Code) error {
	c.ep.mu.Lock()
	defer c.ep.mu.Unlock()
	if err := c.usable(); err != nil {
		return err
	}
	if c.over {
		return c.err
	}
	if code := change(c.ep.now()); code != 0 {
		return errorOfCode(code)
	}
	c.ep.kick()
	return nil
}

// await waits until the connection is established or over.
func (c *Conn) await(ctx context.Context) error {
	for {
		c.ep.mu.Lock()
		connected, over, err, changed := c.connected, c.over, c.err, c.changed.wait()
		c.ep.mu.Unlock()
		if over {
			return err
		}
		if connected {
			return nil
		}
		if err := pause(ctx, nil, changed); err != nil {
			return err
		}
	}
}

type streamOptions struct {
	kind     uint32
	uni      bool
	mode     DeliveryMode
	ttl      time.Duration
	priority uint8
	// Zero is as the connection does.
	compression Compression
	fec         FEC
}

// A StreamOption changes what kind of stream is opened.
type StreamOption func(*streamOptions)

// WithPriority sets how urgent a stream is, from 0 to 255; higher is more urgent. The default is 128.
func WithPriority(priority uint8) StreamOption {
	return func(o *streamOptions) { o.priority = priority }
}

// WithUni makes a stream on which only this side sends.
func WithUni() StreamOption { return func(o *streamOptions) { o.uni = true } }

// WithUnordered delivers each message as soon as it is complete. Streams of bytes do not take it.
func WithUnordered() StreamOption { return func(o *streamOptions) { o.kind = kindUnorderedMessages } }

// WithMode sets how messages are delivered. Streams of bytes are Reliable.
func WithMode(mode DeliveryMode) StreamOption { return func(o *streamOptions) { o.mode = mode } }

// WithTTL makes a stream of messages PartiallyReliable: each message is worth sending for this long.
func WithTTL(ttl time.Duration) StreamOption {
	return func(o *streamOptions) { o.mode, o.ttl = PartiallyReliable, ttl }
}

// defaultTTL is for how long messages are worth sending where nobody said so.
const defaultTTL = time.Second

func optionsOf(kind uint32, opts []StreamOption) streamOptions {
	o := streamOptions{kind: kind, priority: 128}
	for _, option := range opts {
		option(&o)
	}
	if o.mode == PartiallyReliable && o.ttl <= 0 {
		o.ttl = defaultTTL
	}
	return o
}

// OpenStream opens a stream of bytes in both directions, of which the peer learns at once. It waits if the peer allows
// no more streams now.
func (c *Conn) OpenStream(ctx context.Context, opts ...StreamOption) (*Stream, error) {
	s, err := c.open(ctx, optionsOf(kindBytes, opts))
	if err != nil {
		return nil, err
	}
	return &Stream{stream: s}, nil
}

// OpenMessages opens a stream of messages, ordered and reliable unless the options say otherwise.
func (c *Conn) OpenMessages(ctx context.Context, opts ...StreamOption) (*MessageStream, error) {
	s, err := c.open(ctx, optionsOf(kindOrderedMessages, opts))
	if err != nil {
		return nil, err
	}
	return &MessageStream{stream: s}, nil
}

func (c *Conn) open(ctx context.Context, o streamOptions) (*stream, error) {
	for {
		if err := expired(ctx, nil); err != nil {
			return nil, err
		}
		s, changed, err := c.tryOpen(o)
		if s != nil || err != nil {
			return s, err
		}
		if err := pause(ctx, nil, changed); err != nil {
			return nil, err
		}
	}
}

func (c *Conn) tryOpen(o streamOptions) (*stream, <-chan struct{}, error) {
	c.ep.mu.Lock()
	defer c.ep.mu.Unlock()
	if err := c.usable(); err != nil {
		return nil, nil, err
	}
	if c.over {
		return nil, nil, c.err
	}
	id, code := c.ep.native.open(c.ep.now(), c.id, o)
	switch code {
	case 0:
		c.ep.kick()
		return newStream(c, id, true), nil, nil
	case codeStreamLimit:
		c.ep.kick()
		return nil, c.openable.wait(), nil
	}
	return nil, nil, errorOfCode(code)
}

// AcceptStream waits for the next stream of bytes that the peer opens.
func (c *Conn) AcceptStream(ctx context.Context) (*Stream, error) {
	s, err := c.accept(ctx, &c.openedBytes)
	if err != nil {
		return nil, err
	}
	return &Stream{stream: s}, nil
}

// AcceptMessages waits for the next stream of messages that the peer opens.
func (c *Conn) AcceptMessages(ctx context.Context) (*MessageStream, error) {
	s, err := c.accept(ctx, &c.openedMessages)
	if err != nil {
		return nil, err
	}
	return &MessageStream{stream: s}, nil
}

func (c *Conn) accept(ctx context.Context, queue *[]*stream) (*stream, error) {
	for {
		if err := expired(ctx, nil); err != nil {
			return nil, err
		}
		s, changed, err := c.tryAccept(queue)
		if s != nil || err != nil {
			return s, err
		}
		if err := pause(ctx, nil, changed); err != nil {
			return nil, err
		}
	}
}

func (c *Conn) tryAccept(queue *[]*stream) (*stream, <-chan struct{}, error) {
	c.ep.mu.Lock()
	defer c.ep.mu.Unlock()
	if err := c.usable(); err != nil {
		return nil, nil, err
	}
	if len(*queue) > 0 {
		s := (*queue)[0]
		(*queue)[0] = nil
		*queue = (*queue)[1:]
		return s, nil, nil
	}
	if c.over {
		return nil, nil, c.err
	}
	return nil, c.opened.wait(), nil
}
