package jetstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

func TestNobodyAnswers(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := Dial(ctx, silence(t))
	is(t, err, context.DeadlineExceeded)

	_, err = Dial(within(t), silence(t), WithHandshakeTimeout(50*time.Millisecond))
	is(t, err, &Error{Code: CodeNoAnswer})
	if timeout, ok := err.(net.Error); !ok || !timeout.Timeout() {
		t.Fatalf("%v is no timeout", err)
	}

	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Dial(cancelled, silence(t))
	is(t, err, context.Canceled)
}

func TestWhomToTrust(t *testing.T) {
	l := echoServer(t)
	addr := l.Addr().String()
	seed := must(GenerateSeed())(t)
	_, err := Dial(within(t), addr+"#"+KeyID(seed))
	var mismatch *KeyMismatchError
	if !errors.As(err, &mismatch) || mismatch.Expected != KeyID(seed) || mismatch.Found != l.KeyID() {
		t.Fatalf("the wrong pin gives %v", err)
	}
	_, err = Dial(within(t), addr+"#jsp1-nonsense")
	is(t, err, &Error{Code: CodeInvalidKeyID})
	_, err = Dial(within(t), "192.0.2.1:4433")
	is(t, err, &Error{Code: CodeTrustRequired})
	_, err = Dial(within(t), "no port")
	is(t, err, &Error{Code: CodeAddress})

	for name, opts := range map[string][]Option{
		"no pin":   nil,
		"pin":      {WithPin(l.KeyID())},
		"two pins": {WithPin(KeyID(seed)), WithPin(l.KeyID())},
		"key":      {WithPublicKey(PublicKey(*l.options.seed))},
		"any":      {WithDangerAcceptAny()},
	} {
		c, err := Dial(within(t), addr, opts...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if c.PeerKeyID() != l.KeyID() {
			t.Fatalf("%s: the peer is %q", name, c.PeerKeyID())
		}
		ok(t, c.Close())
	}
}

func TestAHiddenKeyIsForThoseWhoKnowItsID(t *testing.T) {
	l := listen(t, WithHiddenKey())
	_, err := Dial(within(t), l.Addr().String(), WithHandshakeTimeout(50*time.Millisecond))
	is(t, err, &Error{Code: CodeNoAnswer})
	c := must(Dial(within(t), l.Addr().String()+"#"+l.KeyID()))(t)
	ok(t, c.Close())
}

func TestClientsProveWhoTheyAre(t *testing.T) {
	for name, opts := range map[string][]Option{"required": {WithRequiredIdentity()}, "optional": nil} {
		t.Run(name, func(t *testing.T) { provesWhoItIs(t, listen(t, opts...)) })
	}
	l := listen(t, WithRequiredIdentity())
	_, err := Dial(within(t), l.Addr().String(), WithHandshakeTimeout(100*time.Millisecond))
	if err == nil {
		t.Fatal("anonymous clients get in")
	}
}

func provesWhoItIs(t *testing.T, l *Listener) {
	seed := must(GenerateSeed())(t)
	c := must(Dial(within(t), l.Addr().String(), WithIdentity(seed)))(t)
	defer c.Close()
	s := must(l.Accept(within(t)))(t)
	defer s.Close()
	// The server has seen the proof when it reads something that the client has written.
	ok(t, c.SendMessage(within(t), []byte("me")))
	must(s.RecvMessage(within(t)))(t)
	if s.PeerKeyID() != KeyID(seed) {
		t.Fatalf("the client is %q", s.PeerKeyID())
	}
}

func TestPreSharedKeys(t *testing.T) {
	key := [32]byte{1, 2, 3}
	client, server := pair(t, WithPSK("us", key))
	ctx := within(t)
	ok(t, client.SendMessage(ctx, []byte("secret")))
	must(server.RecvMessage(ctx))(t)
	addr := server.ep.listener.Addr().String()
	_, err := Dial(ctx, addr, WithPSK("them", key))
	is(t, err, &Error{Code: CodeRefused})
	_, err = Dial(ctx, addr, WithPSK("us", [32]byte{9}), WithHandshakeTimeout(100*time.Millisecond))
	if err == nil {
		t.Fatal("another key opens the door")
	}
}

func TestTokensDecide(t *testing.T) {
	seen := make(chan *Incoming, 2)
	l := listen(t, WithAuthorize(func(asks *Incoming) error {
		seen <- asks
		if string(asks.Token) != "please" {
			return errors.New("no")
		}
		return nil
	}))
	_, err := Dial(within(t), l.Addr().String())
	is(t, err, &Error{Code: CodeRefused})
	c := must(Dial(within(t), l.Addr().String(), WithToken([]byte("please"))))(t)
	ok(t, c.Close())
	if first, second := <-seen, <-seen; len(first.Token) != 0 || string(second.Token) != "please" {
		t.Fatalf("the server saw %q and %q", first.Token, second.Token)
	}
}

func TestSilenceEndsAConnection(t *testing.T) {
	client, server := pair(t, WithIdleTimeout(100*time.Millisecond))
	s := must(client.OpenStream(within(t)))(t)
	// Whoever is not there any more cannot say goodbye.
	ok(t, server.ep.socket.Load().udp.Close())
	_, err := s.Read(make([]byte, 1))
	is(t, err, &Error{Code: CodeIdleTimeout})
	if timeout, ok := err.(net.Error); !ok || !timeout.Timeout() {
		t.Fatalf("%v is no timeout", err)
	}
	<-client.Context().Done()
	is(t, context.Cause(client.Context()), &Error{Code: CodeIdleTimeout})
}

func TestCloseDeliversWhatWasWritten(t *testing.T) {
	client, server := pair(t)
	sent := bytes.Repeat([]byte("deliver me "), 100000)
	s := must(client.OpenStream(within(t)))(t)
	received := make(chan []byte)
	go func() {
		s, err := server.AcceptStream(context.Background())
		if err != nil {
			return
		}
		all, _ := io.ReadAll(s)
		received <- all
	}()
	must(s.Write(sent))(t)
	ok(t, s.CloseWrite())
	ok(t, client.Close())
	if got := <-received; !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes of %d arrived", len(got), len(sent))
	}
	_, err := client.OpenStream(within(t))
	is(t, err, net.ErrClosed)
	is(t, context.Cause(client.Context()), net.ErrClosed)
	ok(t, client.Close())
	<-client.ep.done
}

func TestCloseSaysThatThePeerIsGone(t *testing.T) {
	client, server := pair(t, WithIdleTimeout(100*time.Millisecond))
	ok(t, server.ep.socket.Load().udp.Close())
	ok(t, client.SendMessage(within(t), []byte("to nobody")))
	is(t, client.Close(), &Error{Code: CodeIdleTimeout})
	ok(t, client.Close())
}

func TestACloseThatDeliversNothingMoreSaysSo(t *testing.T) {
	client, server := pair(t, WithLinger(100*time.Millisecond))
	ok(t, server.ep.socket.Load().udp.Close())
	ok(t, client.SendMessage(within(t), []byte("to nobody")))
	err := client.CloseWithError(7, "late")
	is(t, err, &Error{Code: CodeUndelivered})
	var failure *Error
	if !errors.As(err, &failure) || failure.ProtocolCode != 7 || !failure.Timeout() || errors.Is(err, net.ErrClosed) {
		t.Fatalf("%#v", err)
	}
	is(t, context.Cause(client.Context()), &Error{Code: CodeUndelivered})
}

func TestClosingAListener(t *testing.T) {
	l := listen(t)
	c := must(Dial(within(t), l.Addr().String()))(t)
	defer c.Close()
	s := must(l.Accept(within(t)))(t)
	ended := make(chan error)
	go func() {
		_, err := l.Accept(context.Background())
		ended <- err
	}()
	untilWaiting(l.ep, func() *signal { return &l.arrivals })
	ok(t, l.Close())
	is(t, <-ended, net.ErrClosed)
	// What was accepted goes on.
	ok(t, c.SendMessage(within(t), []byte("still there")))
	must(s.RecvMessage(within(t)))(t)
	ok(t, s.CloseWithError(3, "done"))
	<-c.Context().Done()
	<-l.ep.done
}

func TestShutdownEndsEverything(t *testing.T) {
	l := listen(t)
	c := must(Dial(within(t), l.Addr().String()))(t)
	defer c.Close()
	must(l.Accept(within(t)))(t)
	ok(t, l.Shutdown(within(t)))
	<-c.Context().Done()
	// The address is free again.
	again := must(Listen(l.Addr().String()))(t)
	ok(t, again.Shutdown(within(t)))
}

func TestCongestion(t *testing.T) {
	const rate = 2_000_000
	client, server := pair(t, WithFixedRateWithoutCongestionControl(rate))
	paces := func(c *Conn) uint64 { return c.Stats().PacingRate }
	if paces(client) != rate || paces(server) != rate {
		t.Fatalf("the rates are %d and %d", paces(client), paces(server))
	}
	sent := make([]byte, 200_000)
	ours, theirs := streams(t, client, server)
	begun := time.Now()
	go func() {
		_, _ = ours.Write(sent)
		_ = ours.CloseWrite()
	}()
	if got := must(io.ReadAll(theirs))(t); len(got) != len(sent) {
		t.Fatalf("%d bytes arrived", len(got))
	}
	if took := time.Since(begun); took < 50*time.Millisecond {
		t.Fatalf("%v is faster than the rate", took)
	}

	ok(t, client.SetCongestion(Cubic))
	if paces(client) == rate || paces(server) != rate {
		t.Fatalf("the rates are %d and %d", paces(client), paces(server))
	}
	ok(t, client.SetFixedRateWithoutCongestionControl(rate/2))
	is(t, client.SetFixedRateWithoutCongestionControl(0), &Error{Code: CodeInvalidArgument})
	is(t, client.SetCongestion(9), &Error{Code: CodeInvalidArgument})
	if paces(client) != rate/2 {
		t.Fatalf("the rate is %d", paces(client))
	}
	ok(t, client.Close())
	is(t, client.SetCongestion(BBR), net.ErrClosed)

	cubic, _ := pair(t, WithCongestion(Cubic))
	ok(t, cubic.SendMessage(within(t), []byte("hello")))
	ok(t, cubic.Close())
	for _, wrong := range []Option{WithCongestion(9), WithFixedRateWithoutCongestionControl(0)} {
		_, err := Listen("127.0.0.1:0", wrong)
		is(t, err, &Error{Code: CodeInvalidArgument})
	}
}

func TestBothSidesExportTheSameKey(t *testing.T) {
	client, server := pair(t)
	ours := must(client.ExportKey("purpose", []byte("context"), 32))(t)
	theirs := must(server.ExportKey("purpose", []byte("context"), 32))(t)
	if !bytes.Equal(ours, theirs) || bytes.Equal(ours, make([]byte, 32)) {
		t.Fatal("the keys differ")
	}
	if stats := client.Stats(); stats.HandshakeTime <= 0 || stats.DatagramsSent == 0 {
		t.Fatalf("the numbers are %+v", stats)
	}
	if client.RemoteAddr().String() != server.ep.listener.Addr().String() {
		t.Fatalf("the server is at %v", client.RemoteAddr())
	}
}

func TestIPv6AndAllAddresses(t *testing.T) {
	l, err := Listen("[::]:0")
	if err != nil {
		t.Skip("no IPv6 here: ", err)
	}
	defer func() { ok(t, l.Shutdown(within(t))) }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for _, host := range []string{"127.0.0.1", "::1", "localhost"} {
		c := must(Dial(within(t), net.JoinHostPort(host, port)))(t)
		ok(t, c.Close())
	}
}
