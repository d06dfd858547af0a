package jetstream

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"time"
)

// A Connection is the small surface: connect, send messages, receive messages. Its methods may be called from any
// number of goroutines.
//
//	conn, err := jetstream.NewConnection()
//	...
//	defer conn.Free()
//	err = conn.Connect("127.0.0.1:8080")
//	...
//	err = conn.Handshake()
//	...
//	stream, err := conn.OpenStream(1, jetstream.Reliable)
//	...
//	err = conn.Send(stream, []byte("hello"))
//	...
//	_, answer, err := conn.Receive()
//
// Streams are shared: opening one with the same priority and mode again gives the same handle, so that a program may
// open one for each message.
type Connection struct {
	options []Option
	inbox   *messageInbox
	// Ends what waits when the connection is freed before it is established.
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	target  *target
	conn    *Conn
	shaking bool
	freed   bool
	session uint64
	timeout time.Duration
	shared  map[sharedKey]*sharedStream
	handles map[uint32]*sharedStream
	next    uint32
}

// A sharedKey is what makes streams the same.
type sharedKey struct {
	priority uint8
	mode     DeliveryMode
}

// A sharedStream is what a handle stands for. When the peer has ended its stream of messages, the next use opens
// another one.
type sharedStream struct {
	handle uint32
	key    sharedKey
	mu     sync.Mutex
	stream *MessageStream
}

// peerHandles is where the handles of streams begin that the peer has opened.
const peerHandles = 1 << 31

// closeTimeout is for how long Connection.Close waits for the peer.
const closeTimeout = 10 * time.Second

// NewConnection makes a connection that is not connected yet. Free it when it is of no more use.
func NewConnection(opts ...Option) (*Connection, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &Connection{
		options: opts,
		inbox:   &messageInbox{},
		ctx:     ctx,
		cancel:  cancel,
		shared:  make(map[sharedKey]*sharedStream),
		handles: make(map[uint32]*sharedStream),
	}, nil
}

// Connect names the server, such as 127.0.0.1:8080 or example.org:4433#jsp1-..., and looks it up. Handshake does the
// rest.
func (c *Connection) Connect(addr string) error {
	t, err := findTarget(c.ctx, addr, collect(c.options))
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.freed {
		return errClosed
	}
	if c.conn != nil || c.shaking {
		return wrongState("connected already")
	}
	c.target = t
	return nil
}

// Handshake waits until the connection is established, or cannot be.
func (c *Connection) Handshake() error {
	t, err := c.beginHandshake()
	if err != nil {
		return err
	}
	conn, err := t.dial(c.ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shaking = false
	if err != nil {
		return err
	}
	if c.freed {
		go conn.Abort(0, "")
		return errClosed
	}
	id, err := conn.ExportKey("session id", nil, 8)
	if err != nil {
		go conn.Abort(0, "")
		return err
	}
	c.session, c.conn = binary.BigEndian.Uint64(id), conn
	go c.acceptStreams(conn)
	return nil
}

func (c *Connection) beginHandshake() (*target, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.freed:
		return nil, errClosed
	case c.conn != nil || c.shaking:
		return nil, wrongState("the handshake was begun already")
	case c.target == nil:
		return nil, wrongState("Connect comes before Handshake")
	}
	c.shaking = true
	return c.target, nil
}

// established is the connection, if there is one.
func (c *Connection) established() (*Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.freed:
		return nil, errClosed
	case c.conn == nil:
		return nil, errorOfCode(CodeNotConnected)
	}
	return c.conn, nil
}

// SessionID is a number that both sides of this connection know and nobody else; 0 before the handshake.
func (c *Connection) SessionID() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session
}

// OpenStream gives the handle of the stream of messages with this priority, from 0 to 255 where higher is more urgent,
// and mode. Reliable messages arrive in order; others arrive as soon as they can, and PartiallyReliable ones are worth
// sending for one second.
func (c *Connection) OpenStream(priority uint8, mode DeliveryMode) (uint32, error) {
	if mode > PartiallyReliable {
		return 0, errorOfCode(CodeInvalidArgument)
	}
	conn, err := c.established()
	if err != nil {
		return 0, err
	}
	s := c.share(sharedKey{priority, mode})
	if _, err := s.current(c, conn); err != nil {
		return 0, err
	}
	return s.handle, nil
}

// share finds or makes what stands for a stream.
func (c *Connection) share(key sharedKey) *sharedStream {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.shared[key]
	if s == nil {
		c.next++
		s = &sharedStream{handle: c.next, key: key}
		c.shared[key], c.handles[s.handle] = s, s
	}
	return s
}

// current is the stream of messages to use now.
func (s *sharedStream) current(c *Connection, conn *Conn) (*MessageStream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stream != nil && !s.stream.isEnded() {
		return s.stream, nil
	}
	if s.handle >= peerHandles {
		return nil, errorOfCode(codeStopped)
	}
	opts := []StreamOption{WithPriority(s.key.priority), WithMode(s.key.mode)}
	if s.key.mode != Reliable {
		opts = append(opts, WithUnordered())
	}
	stream, err := conn.OpenMessages(c.ctx, opts...)
	if err != nil {
		return nil, err
	}
	if s.stream != nil {
		// The peer may have ended one direction only. What it still sends is received; nothing more is sent there.
		_ = s.stream.CloseWrite()
	}
	s.stream = stream
	go c.inbox.pump(c.ctx, s.handle, stream)
	return stream, nil
}

// isEnded says whether the peer has finished, reset or stopped the stream.
func (s *stream) isEnded() bool {
	s.ep.mu.Lock()
	defer s.ep.mu.Unlock()
	return s.writeErr != nil || s.readErr != nil
}

// Send sends a message on a stream, waiting for room where necessary.
func (c *Connection) Send(streamID uint32, data []byte) error {
	conn, err := c.established()
	if err != nil {
		return err
	}
	c.mu.Lock()
	s := c.handles[streamID]
	c.mu.Unlock()
	if s == nil {
		return errorOfCode(codeNoStream)
	}
	for {
		stream, err := s.current(c, conn)
		if err != nil {
			return err
		}
		err = stream.SendMessage(c.ctx, data)
		var ended *StreamError
		if !errors.As(err, &ended) || s.handle >= peerHandles {
			return err
		}
	}
}

// acceptStreams receives from the streams that the peer opens.
func (c *Connection) acceptStreams(conn *Conn) {
	for number := uint32(0); ; number++ {
		stream, err := conn.AcceptMessages(c.ctx)
		if err != nil {
			c.inbox.finish(err)
			return
		}
		s := &sharedStream{handle: peerHandles + number%peerHandles, stream: stream}
		c.mu.Lock()
		c.handles[s.handle] = s
		c.mu.Unlock()
		go func() {
			c.inbox.pump(c.ctx, s.handle, stream)
			_ = stream.Close()
			c.mu.Lock()
			defer c.mu.Unlock()
			delete(c.handles, s.handle)
		}()
	}
}

// SetReceiveTimeout sets how long Receive waits; 0, as it is at first, for as long as it takes.
func (c *Connection) SetReceiveTimeout(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timeout = d
}

// Receive waits for the next message on any stream.
//
// What comes in waits for Receive in a queue of at most 1,024 messages and 1 MiB. As long as a program has never called
// it, messages beyond that are discarded, because a program that does not want answers must not stop its server; the
// first Receive then reports that, once, with a [*DiscardedError]. From then on a full queue holds up the peer instead.
func (c *Connection) Receive() (streamID uint32, data []byte, err error) {
	if _, err := c.established(); err != nil {
		return 0, nil, err
	}
	c.mu.Lock()
	timeout := c.timeout
	c.mu.Unlock()
	ctx := context.Background()
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, errTimeout)
		defer cancel()
	}
	return c.inbox.receive(ctx)
}

// errTimeout is for a Receive that got nothing in its time.
var errTimeout = &Error{Code: CodeTimeout, text: "nothing came in the time given to the call"}

// Rebind goes on with a new socket, for a device that has changed its network. Nothing is lost.
func (c *Connection) Rebind() error {
	conn, err := c.established()
	if err != nil {
		return err
	}
	return conn.Rebind("")
}

// Close closes the connection after everything that was sent has been delivered, but waits no longer than ten seconds
// for that: then its error is an Error with CodeUndelivered.
func (c *Connection) Close() error {
	conn, err := c.established()
	if err != nil {
		return err
	}
	closed := make(chan error, 1)
	go func() { closed <- conn.Close() }()
	late := time.NewTimer(closeTimeout)
	defer late.Stop()
	select {
	case err := <-closed:
		return err
	case <-late.C:
		conn.Abort(0, "")
		return <-closed
	}
}

// Free ends everything at once and frees what belongs to the connection. It may be called again.
func (c *Connection) Free() {
	c.mu.Lock()
	conn, freed := c.conn, c.freed
	c.freed = true
	c.mu.Unlock()
	if freed {
		return
	}
	c.cancel(errClosed)
	c.inbox.end(errClosed)
	if conn != nil {
		conn.Abort(0, "")
	}
}
