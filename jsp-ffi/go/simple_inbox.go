package jetstream

import (
	"context"
	"sync"
)

const (
	inboxMessages     = 1024
	inboxMessageBytes = 1 << 20
)

// A messageInbox is where the messages of all streams of a Connection wait for Receive.
type messageInbox struct {
	mu     sync.Mutex
	queue  []inboxMessage
	bytes  int
	wanted bool
	lost   uint64
	err    error
	// The connection is over; that counts when the pumps have brought what came before.
	ending   error
	pumps    int
	arrived  signal
	consumed signal
}

type inboxMessage struct {
	handle uint32
	data   []byte
}

// pump brings the messages of a stream to the inbox until the stream has ended.
func (in *messageInbox) pump(ctx context.Context, handle uint32, from *MessageStream) {
	in.mu.Lock()
	in.pumps++
	in.mu.Unlock()
	defer in.pumped()
	for {
		data, err := from.RecvMessage(ctx)
		if err != nil || in.add(ctx, inboxMessage{handle, data}) != nil {
			return
		}
	}
}

func (in *messageInbox) pumped() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.pumps--
	in.endIfPumped()
}

// finish says that nothing comes after what the pumps still bring.
func (in *messageInbox) finish(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.ending = err
	in.endIfPumped()
}

func (in *messageInbox) endIfPumped() {
	if in.ending != nil && in.pumps == 0 {
		in.endWith(in.ending)
	}
}

// add keeps a message, waits until there is room for it, or counts it as lost: see Connection.Receive.
func (in *messageInbox) add(ctx context.Context, message inboxMessage) error {
	for {
		in.mu.Lock()
		full := len(in.queue) >= inboxMessages || len(in.queue) > 0 && in.bytes+len(message.data) > inboxMessageBytes
		if in.err != nil || full && !in.wanted {
			if in.err == nil {
				in.lost++
			}
			err := in.err
			in.mu.Unlock()
			return err
		}
		if !full {
			in.queue = append(in.queue, message)
			in.bytes += len(message.data)
			in.arrived.raise()
			in.mu.Unlock()
			return nil
		}
		changed := in.consumed.wait()
		in.mu.Unlock()
		if err := pause(ctx, nil, changed); err != nil {
			return err
		}
	}
}

// end says that no more will come. What has come can still be received.
func (in *messageInbox) end(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.endWith(err)
}

func (in *messageInbox) endWith(err error) {
	if in.err == nil {
		in.err = err
	}
	in.arrived.raise()
	in.consumed.raise()
}

func (in *messageInbox) receive(ctx context.Context) (uint32, []byte, error) {
	for {
		message, changed, err := in.take()
		if changed == nil {
			return message.handle, message.data, err
		}
		if err := pause(ctx, nil, changed); err != nil {
			return 0, nil, err
		}
	}
}

func (in *messageInbox) take() (inboxMessage, <-chan struct{}, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.wanted = true
	if in.lost > 0 {
		err := &DiscardedError{Messages: in.lost}
		in.lost = 0
		return inboxMessage{}, nil, err
	}
	if len(in.queue) > 0 {
		message := in.queue[0]
		in.queue[0] = inboxMessage{}
		in.queue = in.queue[1:]
		in.bytes -= len(message.data)
		in.consumed.raise()
		return message, nil, nil
	}
	if in.err != nil {
		return inboxMessage{}, nil, in.err
	}
	return inboxMessage{}, in.arrived.wait(), nil
}
