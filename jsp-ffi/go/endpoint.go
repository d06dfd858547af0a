package jetstream

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// An endpoint is a socket, the state machine that speaks on it, and the two goroutines that move datagrams.
//
// The state machine is guarded by a lock and called by whichever goroutine needs it. The alternative, a goroutine that
// owns it and is sent requests, costs two switches of goroutines for every Read and Write and saves no crossing: a
// request has to be executed by a call into C all the same. With the lock a Write copies its data where it belongs in
// one crossing and returns. What is batched is the work that the packets cause: the loop hands over all that was
// received, and takes out events and datagrams, in one crossing for many packets. The lock is held for calls into the
// state machine only, which never block, and never for a system call.
type endpoint struct {
	// Replaced by rebind, under the lock.
	socket atomic.Pointer[socket]
	origin time.Time
	wake   chan struct{}
	in     *inbox
	out    *outbox
	// Closed when the loop has ended and everything is freed.
	done chan struct{}

	mu     sync.Mutex
	native native
	freed  bool
	conns  map[uint64]*Conn
	// What takes the connections that come in; nil for clients.
	listener *Listener
	// Whether new connections may come, from inside or outside: a listener, or a dial that has not begun.
	held int
	// Whether the loop waits, so that it must be woken.
	asleep bool
	// Whether something was done since the last turn that makes another one necessary.
	dirty bool
	// Bytes read since then.
	consumed int
	// Whether messages may be held back: then a read that finds none asks to be told of the next.
	paced bool
	// Why nothing moves any more.
	failure error
}

// liveEndpoints counts what C memory there is: one handle for each endpoint.
var liveEndpoints atomic.Int64

// consumedStep is how much may be read before the state machine is asked whether the peer is to be told that there is
// room again. It is a small part of the receive windows, so the peer never stalls for it, and it saves the crossing
// that each small read would cost.
const consumedStep = 16 << 10

const (
	outboxTransmits = 64
	outboxEvents    = 256
	// Four full batches of segmentation offload.
	outboxBytes = 4 << 16
)

// An outbox is where the state machine puts what it gives out. Only the loop uses it.
type outbox struct {
	buffer    []byte
	transmits []nativeTransmit
	events    []nativeEvent
}

// newEndpoint starts an endpoint on a socket that it takes over. The caller holds it once: see release.
func newEndpoint(udp *net.UDPConn, o *options, listener *Listener) (*endpoint, error) {
	e := &endpoint{
		origin:   time.Now(),
		wake:     make(chan struct{}, 1),
		done:     make(chan struct{}),
		conns:    make(map[uint64]*Conn),
		listener: listener,
		held:     1,
		paced:    o.rateMessages.perSecond > 0,
		out: &outbox{
			buffer:    make([]byte, outboxBytes),
			transmits: make([]nativeTransmit, outboxTransmits),
			events:    make([]nativeEvent, outboxEvents),
		},
	}
	var err error
	if e.native, err = o.endpoint(e.origin); err != nil {
		_ = udp.Close()
		return nil, err
	}
	liveEndpoints.Add(1)
	socket := newSocket(udp, o.plain)
	e.socket.Store(socket)
	e.in = newInbox(socket)
	go e.in.fill(&e.socket)
	go e.run()
	return e, nil
}

// now is the state machine's time.
func (e *endpoint) now() uint64 { return uint64(time.Since(e.origin)) }

// kick makes the loop look at what a call has given it to do. Under the lock.
func (e *endpoint) kick() {
	e.consumed, e.dirty = 0, true
	if e.asleep {
		e.asleep = false
		select {
		case e.wake <- struct{}{}:
		default:
		}
	}
}

// read tells that a program has read some bytes. Under the lock.
func (e *endpoint) read(bytes int) {
	e.consumed += bytes
	if e.consumed >= consumedStep {
		e.kick()
	}
}

// release says that the holder will begin no more connections. The endpoint ends when all it has are over.
func (e *endpoint) release() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.held--
	e.kick()
}

// run is the loop: it hands over what came in, distributes events, and sends what there is to send.
func (e *endpoint) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		received := e.in.collect()
		e.mu.Lock()
		e.consumed, e.dirty = 0, false
		turn := e.native.turn(e.now(), e.in, received, e.out, e.segments())
		for i := range e.out.events[:turn.events] {
			e.dispatch(&e.out.events[i])
		}
		if turn.error != 0 && e.failure == nil {
			e.fail(errorOf(turn.error))
		}
		more := turn.more != 0 || e.dirty
		ended := e.failure != nil || (!more && e.held == 0 && len(e.conns) == 0 && e.native.isIdle())
		e.asleep = !more && !ended
		e.mu.Unlock()
		e.in.recycle(received)
		if err := e.transmit(int(turn.transmits)); err != nil {
			e.failWith(err)
			ended = true
		}
		if ended {
			break
		}
		if !more {
			e.sleep(timer, uint64(turn.wake_at_ns))
		}
	}
	e.end()
}

// segments is how many datagrams one transmit may have: as many as the system takes and one datagram of UDP holds.
func (e *endpoint) segments() int {
	return min(e.socket.Load().segments, maxDatagram/maxPayload)
}

// sleep waits until there is something to do.
func (e *endpoint) sleep(timer *time.Timer, wakeAt uint64) {
	if wakeAt != never {
		left := time.Duration(int64(wakeAt - e.now()))
		if left <= 0 {
			return
		}
		timer.Reset(left)
		defer stopTimer(timer)
	}
	select {
	case <-e.wake:
	case first := <-e.in.filled:
		e.in.hold(first)
	case <-timer.C:
	case err := <-e.in.broken:
		e.failWith(err)
		e.kickLocked()
	}
}

func (e *endpoint) kickLocked() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.kick()
}

// stopTimer stops a timer such that nothing of it remains in its channel.
func stopTimer(timer *time.Timer) {
	if !timer.Stop() {
		select {
		case <-timer.C:
		default:
		}
	}
}

// transmit gives the datagrams of the last turn to the socket.
func (e *endpoint) transmit(count int) error {
	for i := range e.out.transmits[:count] {
		t := &e.out.transmits[i]
		for {
			socket := e.socket.Load()
			err := socket.send(payloadOf(t, e.out.buffer), t, addrPortOf(&t.remote))
			if err == nil {
				break
			}
			// A socket that was replaced meanwhile is closed: the new one takes over.
			if e.socket.Load() == socket {
				return err
			}
		}
	}
	return nil
}

func (e *endpoint) failWith(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failure == nil {
		e.fail(&Error{Code: CodeEndpointGone, text: "the socket failed: " + err.Error()})
	}
}

// fail ends everything at once. Under the lock.
func (e *endpoint) fail(err error) {
	e.failure = err
	for id, conn := range e.conns {
		conn.ended(err)
		delete(e.conns, id)
	}
	if e.listener != nil {
		e.listener.ended(err)
	}
}

// end frees what the endpoint has.
func (e *endpoint) end() {
	e.mu.Lock()
	if e.failure == nil {
		// From now on nobody replaces the socket.
		e.fail(errClosed)
	}
	e.mu.Unlock()
	_ = e.socket.Load().udp.Close()
	e.in.close()
	e.mu.Lock()
	e.freed = true
	e.native.free()
	e.mu.Unlock()
	liveEndpoints.Add(-1)
	close(e.done)
}

// connect begins a connection. The endpoint then lives as long as it does.
func (e *endpoint) connect(remote netip.AddrPort, o *options) (*Conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failure != nil {
		return nil, e.failure
	}
	id, err := o.connect(e.native, e.now(), remote)
	if err != nil {
		return nil, err
	}
	conn := newConn(e, id, false, remote)
	e.conns[id] = conn
	e.kick()
	return conn, nil
}

// dispatch brings an event to whom it concerns. Under the lock.
func (e *endpoint) dispatch(event *nativeEvent) {
	id := uint64(event.connection)
	if event.kind == eventIncoming {
		e.incoming(id)
		return
	}
	conn := e.conns[id]
	if conn == nil {
		if conn = e.arrival(id); conn == nil {
			return
		}
	}
	on := uint64(event.stream)
	switch event.kind {
	case eventConnected:
		conn.onConnected()
	case eventClosed:
		conn.ended(e.native.closeReason(id))
		conn.forgetIfReleased()
	case eventStreamOpened:
		conn.onOpened(on)
	case eventStreamsAvailable:
		conn.openable.raise()
	case eventStreamReadable:
		conn.with(on, (*stream).onReadable)
	case eventStreamWritable:
		conn.with(on, (*stream).onWritable)
	case eventStreamReset:
		code := uint64(event.code)
		conn.with(on, func(s *stream) { s.onReset(code) })
	case eventStreamStopped:
		code := uint64(event.code)
		conn.with(on, func(s *stream) { s.onStopped(code) })
	case eventMessageOutcome:
		conn.onOutcome(uint64(event.code), Outcome(event.detail))
	}
}

// arrival is the connection that a client has begun, at the first event about it.
func (e *endpoint) arrival(id uint64) *Conn {
	info, ok := e.native.connInfo(id)
	if !ok || !info.isServer || e.listener == nil {
		e.native.discard(e.now(), id)
		return nil
	}
	conn := newConn(e, id, true, info.remote)
	e.conns[id] = conn
	return conn
}
