package jetstream

import (
	"context"
	"net"
	"sync"
)

// NetListener gives the byte streams of all connections that the listener accepts, as net.Conn, to programs that know
// net.Listener: http.Serve(listener.NetListener(), handler). It takes over the listener: Accept must not be called
// besides. Closing it closes the listener; streams that were accepted go on.
func (l *Listener) NetListener() net.Listener {
	ctx, cancel := context.WithCancel(context.Background())
	n := &netListener{listener: l, accepted: make(chan net.Conn), ctx: ctx, cancel: cancel}
	go n.run()
	return n
}

type netListener struct {
	listener *Listener
	accepted chan net.Conn
	ctx      context.Context
	cancel   context.CancelFunc
}

func (n *netListener) run() {
	defer n.cancel()
	for {
		c, err := n.listener.Accept(n.ctx)
		if err != nil {
			return
		}
		go n.serve(c)
	}
}

// serve gives out the streams of a connection, and closes it when the last of them is closed.
func (n *netListener) serve(c *Conn) {
	var streams sync.WaitGroup
	for {
		s, err := c.AcceptStream(n.ctx)
		if err != nil {
			break
		}
		streams.Add(1)
		counted := &countedStream{Stream: s, closed: streams.Done}
		select {
		case n.accepted <- counted:
		case <-n.ctx.Done():
			_ = counted.Close()
		}
	}
	streams.Wait()
	_ = c.Close()
}

// A countedStream tells once when it is closed.
type countedStream struct {
	*Stream
	once   sync.Once
	closed func()
}

func (s *countedStream) Close() error {
	err := s.Stream.Close()
	s.once.Do(s.closed)
	return err
}

func (n *netListener) Accept() (net.Conn, error) {
	select {
	case s := <-n.accepted:
		return s, nil
	case <-n.ctx.Done():
		return nil, net.ErrClosed
	}
}

func (n *netListener) Close() error {
	n.cancel()
	return n.listener.Close()
}

func (n *netListener) Addr() net.Addr { return n.listener.Addr() }

// A Dialer opens streams on one connection, which it makes when it is needed, and again when it has ended. Its
// DialContext fits http.Transport.
type Dialer struct {
	// Addr is the server, as for Dial.
	Addr string
	// Options are those of Dial.
	Options []Option

	once sync.Once
	// Holds a token while somebody looks at conn.
	token  chan struct{}
	conn   *Conn
	closed bool
}

// DialContext opens a stream to the dialer's server. It ignores what network and address it is given: those are names
// of the protocol above.
func (d *Dialer) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	c, err := d.connection(ctx)
	if err != nil {
		return nil, err
	}
	s, err := c.OpenStream(ctx)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (d *Dialer) lock(ctx context.Context) error {
	d.once.Do(func() { d.token = make(chan struct{}, 1) })
	select {
	case d.token <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (d *Dialer) connection(ctx context.Context) (*Conn, error) {
	if err := d.lock(ctx); err != nil {
		return nil, err
	}
	defer func() { <-d.token }()
	if d.closed {
		return nil, errClosed
	}
	if d.conn != nil && d.conn.Context().Err() == nil {
		return d.conn, nil
	}
	if d.conn != nil {
		_ = d.conn.Close()
		d.conn = nil
	}
	c, err := Dial(ctx, d.Addr, d.Options...)
	if err != nil {
		return nil, err
	}
	d.conn = c
	return c, nil
}

// Close closes the connection after everything that was written has been delivered.
func (d *Dialer) Close() error {
	if err := d.lock(context.Background()); err != nil {
		return err
	}
	defer func() { <-d.token }()
	d.closed = true
	if d.conn == nil {
		return nil
	}
	return d.conn.Close()
}
