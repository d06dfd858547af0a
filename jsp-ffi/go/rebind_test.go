package jetstream

import (
	"bytes"
	"context"
	"io"
	"math/rand"
	"net"
	"sync"
	"testing"
	"time"
)

// Data goes in both directions while the socket is replaced three times.
func TestRebindLosesNothing(t *testing.T) {
	client, server := pair(t)
	go echo(server)
	data := make([]byte, 12<<20)
	rand.New(rand.NewSource(1)).Read(data)
	s := must(client.OpenStream(within(t)))(t)
	go func() {
		_, _ = s.Write(data)
		_ = s.CloseWrite()
	}()
	got := make([]byte, len(data))
	ports := map[string]bool{client.LocalAddr().String(): true}
	for i := 0; i < 4; i++ {
		if i > 0 {
			ok(t, client.Rebind(""))
			ports[client.LocalAddr().String()] = true
		}
		quarter := got[i*len(got)/4 : (i+1)*len(got)/4]
		must(io.ReadFull(s, quarter))(t)
	}
	if n, err := s.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Fatalf("%d bytes too many, %v", n, err)
	}
	if !bytes.Equal(got, data) {
		t.Fatal("what came back is not what was sent")
	}
	if len(ports) != 4 {
		t.Fatalf("the sockets are %v", ports)
	}
	if stats := client.Stats(); stats.PathChanges != 3 {
		t.Fatalf("%d changes of the path", stats.PathChanges)
	}
	if from, to := server.RemoteAddr().(*net.UDPAddr).Port, client.LocalAddr().(*net.UDPAddr).Port; from != to {
		t.Fatalf("the server sees port %d instead of %d", from, to)
	}
}

// Sockets are replaced by many at once, also by those that come too late.
func TestRebindFromManyGoroutines(t *testing.T) {
	l := echoServer(t)
	client := must(Dial(within(t), l.Addr().String(), plainly))(t)
	var all sync.WaitGroup
	for i := 0; i < 4; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for client.Rebind("") == nil {
				time.Sleep(time.Millisecond)
			}
		}()
	}
	s := must(client.OpenMessages(within(t)))(t)
	for i := byte(0); i < 50; i++ {
		ok(t, s.SendMessage(within(t), []byte{i}))
		if answer := must(s.RecvMessage(within(t)))(t); answer[0] != i {
			t.Fatalf("%d came back as %d", i, answer[0])
		}
	}
	ok(t, client.Close())
	all.Wait()
}

func TestRebindThatCannotBe(t *testing.T) {
	client, server := pair(t)
	is(t, server.Rebind(""), &Error{Code: CodeNotAClient})
	is(t, client.Rebind("no address"), &Error{Code: CodeAddress})
	before := client.LocalAddr().String()
	taken := must(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))(t)
	defer taken.Close()
	is(t, client.Rebind(taken.LocalAddr().String()), &Error{Code: CodeSystem})
	if client.LocalAddr().String() != before {
		t.Fatal("the socket is another one")
	}
	ok(t, client.Rebind("127.0.0.1:0"))
	if !client.LocalAddr().(*net.UDPAddr).IP.IsLoopback() {
		t.Fatalf("bound to %v", client.LocalAddr())
	}
	transfer(t, client, server, 1<<20)
	ok(t, client.Close())
	is(t, client.Rebind(""), net.ErrClosed)
}

func TestRebindOfTheSmallSurface(t *testing.T) {
	c := simple(t, echoServer(t))
	s := must(c.OpenStream(1, Reliable))(t)
	for i := byte(0); i < 20; i++ {
		ok(t, c.Send(s, []byte{i}))
		ok(t, c.Rebind())
		_, answer, err := c.Receive()
		ok(t, err)
		if answer[0] != i {
			t.Fatalf("%d came back as %d", i, answer[0])
		}
	}
	is(t, must(NewConnection())(t).Rebind(), &Error{Code: CodeNotConnected})
}

// updated waits until a connection has followed so many key updates.
func updated(t *testing.T, c *Conn, updates uint64) {
	t.Helper()
	for limit := time.Now().Add(patience); c.Stats().KeyUpdates != updates; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("%d key updates instead of %d", c.Stats().KeyUpdates, updates)
		}
	}
}

func TestKeyUpdate(t *testing.T) {
	client, server := pair(t, WithKeyUpdates(1<<30, time.Hour))
	transfer(t, client, server, 1<<20)
	ok(t, client.UpdateKeys())
	is(t, client.UpdateKeys(), &Error{Code: CodeKeyUpdatePending})
	transfer(t, client, server, 1<<20)
	updated(t, client, 1)
	updated(t, server, 1)
	if phase := server.Stats().KeyPhase; phase != 1 {
		t.Fatalf("phase %d", phase)
	}
	ok(t, client.Close())
	is(t, client.UpdateKeys(), net.ErrClosed)
}

func TestServersAmongOthers(t *testing.T) {
	secret, seed := [32]byte{1}, Seed{7}
	l := listen(t, WithSeed(seed), WithRetry(RetryAlways), WithLoadBalancing(2, []byte{1, 2, 3}), WithTokenSecret(secret),
		WithTokenRotation(time.Hour), WithResetKey([32]byte{2}), WithAllowMigration(false), WithGrease(false))
	for attempts := uint64(1); attempts <= 2; attempts++ {
		client := must(Dial(within(t), l.Addr().String(), WithPublicKey(PublicKey(seed))))(t)
		server := must(l.Accept(within(t)))(t)
		transfer(t, client, server, 1000)
		// A new port of the same host is followed all the same.
		ok(t, client.Rebind(""))
		transfer(t, client, server, 1000)
		if stats := l.Stats(); stats.RetriesSent != attempts || stats.TokensAccepted != attempts {
			t.Fatalf("%+v", stats)
		}
		client.Abort(0, "")
		server.Abort(0, "")
		ok(t, l.SetTokenKeys([32]byte{3}, &secret))
	}
	ok(t, l.Close())
	for name, option := range map[string]Option{
		"no rotation":      WithLoadBalancing(7, []byte{1}),
		"no id":            WithLoadBalancing(0, nil),
		"a long id":        WithLoadBalancing(0, make([]byte, 8)),
		"few packets":      WithKeyUpdates(15, 0),
		"hasty rotation":   WithTokenRotation(time.Second),
		"no such policy":   WithRetry(3),
		"a very young key": WithKeyUpdates(0, time.Second),
	} {
		if _, err := Listen("127.0.0.1:0", option); err == nil {
			t.Errorf("%s is taken", name)
		} else {
			is(t, err, &Error{Code: CodeInvalidArgument})
		}
	}
}

// Keepalive shows in the numbers.
func TestKeepAliveIsCounted(t *testing.T) {
	client, _ := pair(t, WithKeepAlive(time.Second), WithIdleTimeout(time.Second))
	ctx, cancel := context.WithTimeout(client.Context(), 2*time.Second)
	defer cancel()
	<-ctx.Done()
	if err := context.Cause(client.Context()); err != nil {
		t.Fatal(err)
	}
	if client.Stats().KeepAlivePings == 0 {
		t.Fatal("no PING was sent")
	}
}
