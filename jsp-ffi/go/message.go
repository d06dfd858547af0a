package jetstream

import (
	"context"
	"sync"
)

// A DeliveryMode says what the network's losses do to messages.
type DeliveryMode uint32

const (
	// Reliable messages are sent again until they arrive.
	Reliable DeliveryMode = 0
	// BestEffort messages are sent once.
	BestEffort DeliveryMode = 1
	// PartiallyReliable messages are sent again as long as they can still arrive within their time.
	PartiallyReliable DeliveryMode = 2
)

func (m DeliveryMode) String() string {
	switch m {
	case Reliable:
		return "reliable"
	case BestEffort:
		return "best effort"
	case PartiallyReliable:
		return "partially reliable"
	}
	return "unknown"
}

// A MessageStream is a stream of messages: what one SendMessage sends is what one RecvMessage gets. Its methods may be
// called from any number of goroutines.
type MessageStream struct {
	*stream
	recvMu sync.Mutex
	// Received, not taken.
	queue  [][]byte
	closed bool
}

// A batch is room for messages that are fetched at once.
type batch struct {
	bytes [1 << 16]byte
	lens  [128]uint32
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// messageOverhead is what a message counts besides its bytes.
const messageOverhead = 32

// SendMessage sends a message of at least one byte, waiting for room where necessary.
func (s *MessageStream) SendMessage(ctx context.Context, data []byte) error {
	_, err := s.send(ctx, data, false)
	return err
}

// SendTracked is SendMessage for those who want to know what became of the message.
func (s *MessageStream) SendTracked(ctx context.Context, data []byte) (*Delivery, error) {
	return s.send(ctx, data, true)
}

func (s *MessageStream) send(ctx context.Context, data []byte, tracked bool) (*Delivery, error) {
	for {
		if err := expired(ctx, nil); err != nil {
			return nil, err
		}
		delivery, changed, err := s.trySend(data, tracked)
		if changed == nil || err != nil {
			return delivery, err
		}
		if err := pause(ctx, nil, changed); err != nil {
			return nil, err
		}
	}
}

func (s *MessageStream) trySend(data []byte, tracked bool) (*Delivery, <-chan struct{}, error) {
	s.ep.mu.Lock()
	defer s.ep.mu.Unlock()
	if err := s.mayWrite(); err != nil {
		return nil, nil, err
	}
	id, code := s.ep.native.sendMessage(s.ep.now(), s.conn.id, s.id, data, tracked)
	if code != 0 {
		changed, err := s.cannotWrite(code)
		return nil, changed, err
	}
	s.ep.kick()
	if !tracked {
		return nil, nil, nil
	}
	delivery := &Delivery{done: make(chan struct{})}
	s.conn.tracked[id] = delivery
	return delivery, nil, nil
}

// RecvMessage waits for the next message. The error at the regular end is io.EOF.
func (s *MessageStream) RecvMessage(ctx context.Context) ([]byte, error) {
	for {
		if err := expired(ctx, nil); err != nil {
			return nil, err
		}
		message, changed, err := s.tryRecv()
		if message != nil || err != nil {
			return message, err
		}
		if err := pause(ctx, nil, changed); err != nil {
			return nil, err
		}
	}
}

func (s *MessageStream) tryRecv() ([]byte, <-chan struct{}, error) {
	s.recvMu.Lock()
	defer s.recvMu.Unlock()
	if s.closed {
		return nil, nil, errClosed
	}
	if len(s.queue) == 0 {
		changed, err := s.fetch()
		if len(s.queue) == 0 {
			return nil, changed, err
		}
	}
	message := s.queue[0]
	s.queue[0] = nil
	s.queue = s.queue[1:]
	return message, nil, nil
}

// fetch fills the queue. Messages are fetched in batches because a crossing for each would cost more than copying it.
func (s *MessageStream) fetch() (<-chan struct{}, error) {
	room := batches.Get().(*batch)
	defer batches.Put(room)
	s.ep.mu.Lock()
	defer s.ep.mu.Unlock()
	if changed, err := s.mayRead(); changed != nil || err != nil {
		return changed, err
	}
	into := room.bytes[:]
	count, code, needed := s.ep.native.recvMessages(s.ep.now(), s.conn.id, s.id, into, room.lens[:])
	if count == 0 && code == codeBufferTooSmall {
		into = make([]byte, needed)
		count, code, _ = s.ep.native.recvMessages(s.ep.now(), s.conn.id, s.id, into, room.lens[:1])
	}
	total := 0
	s.queue = s.queue[:0]
	for _, length := range room.lens[:count] {
		s.queue = append(s.queue, append([]byte(nil), into[total:total+int(length)]...))
		total += int(length)
	}
	s.ep.read(total + count*messageOverhead)
	if code == 0 || code == codeBufferTooSmall {
		return nil, nil
	}
	// Told now or never: the state machine forgets a stream that has told its end.
	return s.cannotRead(code)
}

// StopReading tells the peer to send no more, with a code; what arrived and was not received is dropped.
func (s *MessageStream) StopReading(code uint64) error {
	err := s.stopReadingLocked(code)
	s.dropQueue(false)
	return err
}

func (s *MessageStream) dropQueue(closed bool) {
	s.recvMu.Lock()
	defer s.recvMu.Unlock()
	s.closed = s.closed || closed
	s.queue = nil
}

// Close finishes the stream, so that the peer receives everything that was sent and then the end, and gives up
// receiving.
func (s *MessageStream) Close() error {
	s.stream.close()
	s.dropQueue(true)
	return nil
}

// An Outcome is what became of a message.
type Outcome uint32

const (
	// Acked: the peer has the whole message.
	Acked Outcome = 0
	// Lost: given up after a part was sent; it may still have arrived.
	Lost Outcome = 1
	// Expired: its time ran out before it could arrive.
	Expired Outcome = 2
)

func (o Outcome) String() string {
	switch o {
	case Acked:
		return "acked"
	case Lost:
		return "lost"
	case Expired:
		return "expired"
	}
	return "unknown"
}

// A Delivery tells what becomes of a message.
type Delivery struct {
	done    chan struct{}
	outcome Outcome
}

func (d *Delivery) settle(outcome Outcome) {
	d.outcome = outcome
	close(d.done)
}

// Done is closed when the outcome is known.
func (d *Delivery) Done() <-chan struct{} { return d.done }

// Outcome waits until it is known what became of the message.
func (d *Delivery) Outcome(ctx context.Context) (Outcome, error) {
	if err := pause(ctx, nil, d.done); err != nil {
		return 0, err
	}
	return d.outcome, nil
}

// SendMessage sends a message on the connection's default stream of messages, ordered and reliable. The client opens
// that stream with its first SendMessage or RecvMessage; the server takes the first stream of messages that the client
// opened, and waits for it. Programs that use several streams of messages had better name them all.
func (c *Conn) SendMessage(ctx context.Context, data []byte) error {
	s, err := c.defaultMessages(ctx)
	if err != nil {
		return err
	}
	return s.SendMessage(ctx, data)
}

// RecvMessage waits for the next message on the connection's default stream of messages: see SendMessage.
func (c *Conn) RecvMessage(ctx context.Context) ([]byte, error) {
	s, err := c.defaultMessages(ctx)
	if err != nil {
		return nil, err
	}
	return s.RecvMessage(ctx)
}

func (c *Conn) defaultMessages(ctx context.Context) (*MessageStream, error) {
	select {
	case c.defaulting <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-c.defaulting }()
	if c.messages != nil {
		return c.messages, nil
	}
	var err error
	if c.server {
		c.messages, err = c.AcceptMessages(ctx)
	} else {
		c.messages, err = c.OpenMessages(ctx)
	}
	return c.messages, err
}
