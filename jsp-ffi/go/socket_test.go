package jetstream

import "testing"

// plainly is for systems that have nothing but datagrams.
func plainly(o *options) { o.plain = true }

func TestSocketsWithoutOffload(t *testing.T) {
	client, server := pair(t, plainly)
	if client.ep.socket.Load().segments != 1 || client.ep.socket.Load().joins {
		t.Fatal("the socket is not plain")
	}
	transfer(t, client, server, 4<<20)
}
