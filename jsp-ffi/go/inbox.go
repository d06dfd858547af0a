package jetstream

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// An inbox is what the reader has received and the loop has not handed over yet: slots of one slab, which travel in
// two channels. When all slots are filled, the reader waits, and the system's buffer takes what comes.
type inbox struct {
	slab    []byte
	slotLen int
	filled  chan nativeDatagram
	empty   chan int
	// Why the reader ended, unless the socket was closed by this side.
	broken chan error
	// Only the loop's: what it collects.
	batch  []nativeDatagram
	reader sync.WaitGroup
}

// inboxBytes is room for eight full batches of receive offload.
const inboxBytes = 1 << 19

func newInbox(s *socket) *inbox {
	slots := inboxBytes / s.slotLen()
	in := &inbox{
		slab:    make([]byte, inboxBytes),
		slotLen: s.slotLen(),
		filled:  make(chan nativeDatagram, slots),
		empty:   make(chan int, slots),
		broken:  make(chan error, 1),
		batch:   make([]nativeDatagram, 0, slots),
	}
	for offset := 0; offset < inboxBytes; offset += in.slotLen {
		in.empty <- offset
	}
	in.reader.Add(1)
	return in
}

// fill is the reader. It goes on with another socket when the one it reads from is closed and was replaced before.
func (in *inbox) fill(current *atomic.Pointer[socket]) {
	defer in.reader.Done()
	s := current.Load()
	control := make([]byte, 256)
	failures := 0
	for offset := range in.empty {
		var datagram nativeDatagram
		remote, err := s.receive(in.slab[offset:offset+in.slotLen], control, &datagram)
		for ; err != nil; failures++ {
			next := current.Load()
			switch {
			case next != s:
				s, failures = next, 0
			case errors.Is(err, net.ErrClosed):
				return
			case failures == 100:
				in.broken <- err
				return
			default:
				// Some systems report at the next receive that an earlier datagram met nobody. That says nothing about
				// the socket; but one that does nothing but fail is given up, and not asked in haste.
				time.Sleep(time.Duration(failures) * time.Millisecond)
			}
			remote, err = s.receive(in.slab[offset:offset+in.slotLen], control, &datagram)
		}
		failures = 0
		setSlot(&datagram, offset, remote)
		in.filled <- datagram
	}
}

// hold keeps a datagram that the loop has taken while it waited.
func (in *inbox) hold(datagram nativeDatagram) { in.batch = append(in.batch, datagram) }

// collect is everything that has come in.
func (in *inbox) collect() []nativeDatagram {
	for len(in.batch) < cap(in.batch) {
		select {
		case datagram := <-in.filled:
			in.batch = append(in.batch, datagram)
			continue
		default:
		}
		break
	}
	return in.batch
}

// recycle gives slots back to the reader.
func (in *inbox) recycle(datagrams []nativeDatagram) {
	for i := range datagrams {
		in.empty <- offsetOf(&datagrams[i])
	}
	in.batch = in.batch[:0]
}

// close waits for the reader, whose socket is closed.
func (in *inbox) close() {
	close(in.empty)
	in.reader.Wait()
}
