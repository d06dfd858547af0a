package jetstream

import (
	"context"
	"net"
)

// backlog is how many connections may wait to be accepted; more are turned away.
const backlog = 1024

// A Listener takes connections. Its methods may be called from any number of goroutines.
type Listener struct {
	ep      *endpoint
	keyID   string
	options *options

	// What follows is guarded by the lock of the endpoint.

	queue    []*Conn
	arrivals signal
	isClosed bool
	err      error
}

// Listen takes connections on a UDP address such as 127.0.0.1:4433, [::]:4433 or :0. Clients need its KeyID, unless
// they are on this machine. Give it a seed, so that the key stays the same: WithSeed.
func Listen(addr string, opts ...Option) (*Listener, error) {
	o := collect(opts)
	if o.seed == nil {
		seed, err := GenerateSeed()
		if err != nil {
			return nil, err
		}
		o.seed = &seed
	}
	address, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, err
	}
	udp, err := net.ListenUDP("udp", address)
	if err != nil {
		return nil, err
	}
	l := &Listener{keyID: KeyID(*o.seed), options: o}
	e, err := newEndpoint(udp, o, l)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	l.ep = e
	e.mu.Unlock()
	return l, nil
}

// Addr is the address that the listener is bound to.
func (l *Listener) Addr() net.Addr { return udpAddr(l.ep.socket.Load().local()) }

// KeyID is the id of the server's key, for clients to pin.
func (l *Listener) KeyID() string { return l.keyID }

// Accept waits for the next connection. After Close its error is net.ErrClosed.
func (l *Listener) Accept(ctx context.Context) (*Conn, error) {
	for {
		if err := expired(ctx, nil); err != nil {
			return nil, err
		}
		c, changed, err := l.tryAccept()
		if c != nil || err != nil {
			return c, err
		}
		if err := pause(ctx, nil, changed); err != nil {
			return nil, err
		}
	}
}

func (l *Listener) tryAccept() (*Conn, <-chan struct{}, error) {
	l.ep.mu.Lock()
	defer l.ep.mu.Unlock()
	if l.err != nil {
		return nil, nil, l.err
	}
	if len(l.queue) > 0 {
		c := l.queue[0]
		l.queue[0] = nil
		l.queue = l.queue[1:]
		return c, nil, nil
	}
	return nil, l.arrivals.wait(), nil
}

// arrived takes a connection that is established. Under the lock.
func (l *Listener) arrived(c *Conn) {
	if l.isClosed || len(l.queue) >= backlog {
		c.leave(0, "", true)
		return
	}
	l.queue = append(l.queue, c)
	l.arrivals.raise()
}

// ended says that nothing more will come. Under the lock.
func (l *Listener) ended(err error) {
	if l.err == nil {
		l.err = err
	}
	l.isClosed = true
	l.arrivals.raise()
}

// Close takes no more connections. Those that were accepted go on; the socket is closed with the last of them.
func (l *Listener) Close() error {
	l.ep.mu.Lock()
	if l.isClosed {
		l.ep.mu.Unlock()
		return nil
	}
	l.ended(errClosed)
	for _, c := range l.queue {
		c.leave(0, "", true)
	}
	l.queue = nil
	l.ep.mu.Unlock()
	l.ep.release()
	return nil
}

// Shutdown closes the listener and all connections, after everything that was written to them has been delivered. When
// the context is done it gives up on what is left.
func (l *Listener) Shutdown(ctx context.Context) error {
	_ = l.Close()
	l.leaveAll(false)
	if pause(ctx, nil, l.ep.done) == nil {
		return nil
	}
	l.leaveAll(true)
	return context.Cause(ctx)
}

func (l *Listener) leaveAll(abort bool) {
	l.ep.mu.Lock()
	defer l.ep.mu.Unlock()
	if l.ep.failure != nil {
		return
	}
	for _, c := range l.ep.conns {
		c.leave(0, "", abort)
	}
}

// SetTokenKeys replaces the keys of address tokens, 32 random bytes each: current makes them, and those of previous, which
// may be nil, are accepted as well. It is for servers that hand out their keys by means of their own; WithTokenSecret is
// less work. To be called at all servers of an address, first with the new key as previous, then with it as current.
func (l *Listener) SetTokenKeys(current [32]byte, previous *[32]byte) error {
	l.ep.mu.Lock()
	defer l.ep.mu.Unlock()
	if l.ep.failure != nil {
		return l.ep.failure
	}
	return l.ep.native.setTokenKeys(current, previous)
}

// Stats is what the listener's socket has done so far.
func (l *Listener) Stats() EndpointStats { return l.ep.stats() }
