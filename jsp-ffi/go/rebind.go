package jetstream

import "net"

// Rebind goes on with a new socket, bound to addr, such as 192.0.2.7:0; an empty addr lets the system choose. It is for a
// device that has changed its network. Nothing is lost, and other goroutines may use the connection meanwhile. If the
// socket cannot be made, the connection keeps the old one.
//
// Only a connection from Dial can do that: clients know the address of their server. One from a Listener gives an Error
// with CodeNotAClient.
func (c *Conn) Rebind(addr string) error {
	if c.server {
		return errorOfCode(CodeNotAClient)
	}
	return c.ep.rebind(c, addr)
}

// rebind puts another socket under a running endpoint. The reader and the loop take it over by themselves.
func (e *endpoint) rebind(c *Conn, addr string) error {
	old := e.socket.Load()
	network := "udp4"
	if old.local().Addr().Is6() {
		network = "udp6"
	}
	var address *net.UDPAddr
	if addr != "" {
		var err error
		if address, err = net.ResolveUDPAddr(network, addr); err != nil {
			return badAddress(err.Error())
		}
	}
	udp, err := net.ListenUDP(network, address)
	if err != nil {
		return &Error{Code: CodeSystem, text: err.Error()}
	}
	// Of the same kind, so that the reader has room for what it gives.
	old, err = e.replace(c, newSocket(udp, old.plain))
	if err != nil {
		_ = udp.Close()
		return err
	}
	// Whoever waits for it looks for its successor now.
	_ = old.udp.Close()
	return nil
}

// replace makes next the socket of a connection that is not over, and gives the one before.
func (e *endpoint) replace(c *Conn, next *socket) (*socket, error) {
	var old *socket
	err := c.act(func(now uint64) Code {
		local := addressOf(next.local())
		code := e.native.rebind(now, &local)
		if code == 0 {
			old = e.socket.Swap(next)
		}
		return code
	})
	return old, err
}
