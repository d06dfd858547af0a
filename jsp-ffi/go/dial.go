package jetstream

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Dial connects to a server, such as example.org:4433#jsp1-..., where the part after # is the id of the server's key.
// It may also be given by WithPin or WithPublicKey; without it only servers on this machine can be reached.
//
// A server that holds another key gives a [*KeyMismatchError]. When ctx is done the attempt is given up.
func Dial(ctx context.Context, addr string, opts ...Option) (*Conn, error) {
	t, err := findTarget(ctx, addr, collect(opts))
	if err != nil {
		return nil, err
	}
	return t.dial(ctx)
}

// A target is where to connect to.
type target struct {
	addresses []netip.AddrPort
	options   *options
}

// findTarget reads an address and looks up its host.
func findTarget(ctx context.Context, addr string, o *options) (*target, error) {
	if err := expired(ctx, nil); err != nil {
		return nil, err
	}
	addr, pin, isPinned := strings.Cut(addr, "#")
	if isPinned {
		o.pins = append(o.pins, pin)
	}
	for _, id := range o.pins {
		if err := checkKeyID(id); err != nil {
			return nil, err
		}
	}
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, badAddress(err.Error())
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "udp", service)
	if err != nil {
		return nil, badAddress(err.Error())
	}
	if host == "" {
		host = "127.0.0.1"
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, badAddress(err.Error())
	}
	// More servers are reached by IPv4 than by IPv6, so it goes first.
	t := &target{options: o}
	for _, wants4 := range []bool{true, false} {
		for _, ip := range ips {
			if ip = ip.Unmap(); ip.Is4() == wants4 {
				t.addresses = append(t.addresses, netip.AddrPortFrom(ip, uint16(port)))
			}
		}
	}
	return t, nil
}

// defaultHandshake is how long the library tries to connect if nobody said otherwise.
const defaultHandshake = 10 * time.Second

// dial tries one address after the other. All of them together get the time for one.
func (t *target) dial(ctx context.Context) (*Conn, error) {
	o := *t.options
	if o.handshake == 0 {
		o.handshake = defaultHandshake
	}
	o.handshake /= time.Duration(len(t.addresses))
	var err error
	for _, address := range t.addresses {
		var c *Conn
		if c, err = dialOne(ctx, address, &o); err == nil {
			return c, nil
		}
		if failure, ok := err.(*Error); !ok || failure.Code != CodeNoAnswer && failure.Code != CodeEndpointGone {
			return nil, err
		}
	}
	return nil, err
}

// dialOne connects to one address, on a socket of its own.
func dialOne(ctx context.Context, remote netip.AddrPort, o *options) (*Conn, error) {
	network := "udp4"
	if remote.Addr().Is6() {
		network = "udp6"
	}
	udp, err := net.ListenUDP(network, nil)
	if err != nil {
		return nil, &Error{Code: CodeEndpointGone, text: err.Error()}
	}
	e, err := newEndpoint(udp, o, nil)
	if err != nil {
		return nil, err
	}
	defer e.release()
	c, err := e.connect(remote, o)
	if err != nil {
		return nil, err
	}
	if err := c.await(ctx); err != nil {
		c.Abort(0, "")
		return nil, err
	}
	return c, nil
}
