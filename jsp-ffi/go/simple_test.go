package jetstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"
)

// simple makes a connection of the small surface to a server.
func simple(t testing.TB, l *Listener) *Connection {
	t.Helper()
	c := must(NewConnection())(t)
	t.Cleanup(c.Free)
	ok(t, c.Connect(l.Addr().String()))
	ok(t, c.Handshake())
	return c
}

func TestTheSmallSurface(t *testing.T) {
	l := listen(t)
	c := simple(t, l)
	server := must(l.Accept(within(t)))(t)
	go echo(server)
	theirs := must(server.ExportKey("session id", nil, 8))(t)
	if id := c.SessionID(); id == 0 || fmt.Sprintf("%016x", id) != fmt.Sprintf("%x", theirs) {
		t.Fatalf("the session is %x here and %x there", id, theirs)
	}
	for _, mode := range []DeliveryMode{Reliable, BestEffort, PartiallyReliable} {
		s := must(c.OpenStream(1, mode))(t)
		ok(t, c.Send(s, []byte(mode.String())))
		from, data, err := c.Receive()
		ok(t, err)
		if from != s || string(data) != mode.String() {
			t.Fatalf("%q came from %d instead of %d", data, from, s)
		}
	}
	c.SetReceiveTimeout(10 * time.Millisecond)
	_, _, err := c.Receive()
	is(t, err, &Error{Code: CodeTimeout})
	if timeout, ok := err.(net.Error); !ok || !timeout.Timeout() {
		t.Fatalf("%v is no timeout", err)
	}
	ok(t, c.Close())
	_, _, err = c.Receive()
	is(t, err, net.ErrClosed)
	is(t, c.Send(1, []byte("late")), net.ErrClosed)
	c.Free()
	c.Free()
	is(t, c.Close(), net.ErrClosed)
}

func TestTheOrderOfCalls(t *testing.T) {
	l := echoServer(t)
	c := must(NewConnection())(t)
	defer c.Free()
	is(t, c.Handshake(), &Error{Code: CodeWrongState})
	_, err := c.OpenStream(1, Reliable)
	is(t, err, &Error{Code: CodeNotConnected})
	is(t, c.Send(1, []byte("early")), &Error{Code: CodeNotConnected})
	is(t, c.Connect("nowhere"), &Error{Code: CodeAddress})
	ok(t, c.Connect(l.Addr().String()+"#"+l.KeyID()))
	ok(t, c.Handshake())
	is(t, c.Handshake(), &Error{Code: CodeWrongState})
	is(t, c.Connect(l.Addr().String()), &Error{Code: CodeWrongState})
	is(t, c.Send(99, []byte("to nobody")), &Error{Code: codeNoStream})
	_, err = c.OpenStream(1, 77)
	is(t, err, &Error{Code: CodeInvalidArgument})
}

func TestTenThousandStreamsWithoutReceiving(t *testing.T) {
	c := simple(t, echoServer(t))
	payload := bytes.Repeat([]byte("request "), 16)
	hasLost := func() bool {
		c.inbox.mu.Lock()
		defer c.inbox.mu.Unlock()
		return c.inbox.lost > 0
	}
	for i := 0; i < 10000 || !hasLost(); i++ {
		s := must(c.OpenStream(1, Reliable))(t)
		ok(t, c.Send(s, payload))
	}
	_, _, err := c.Receive()
	var discarded *DiscardedError
	if !errors.As(err, &discarded) || discarded.Messages == 0 {
		t.Fatalf("receiving late gives %v", err)
	}
	is(t, err, &Error{Code: CodeDiscarded})
	_, data, err := c.Receive()
	ok(t, err)
	if !bytes.Equal(data, payload) {
		t.Fatalf("the first message is %q", data)
	}
	if stats := c.conn.Stats(); stats.StreamsOpen > 2 {
		t.Fatalf("%d streams are open", stats.StreamsOpen)
	}
}

func TestBackPressureOnceThereIsAReceiver(t *testing.T) {
	l := listen(t)
	c := simple(t, l)
	server := must(l.Accept(within(t)))(t)
	t.Cleanup(func() { server.Abort(0, "") })
	s := must(c.OpenStream(1, Reliable))(t)
	ok(t, c.Send(s, []byte("begin")))
	stream := must(server.AcceptMessages(within(t)))(t)
	// Somebody has asked, though in vain: from now on nothing may be lost.
	c.SetReceiveTimeout(time.Millisecond)
	_, _, err := c.Receive()
	is(t, err, &Error{Code: CodeTimeout})
	c.SetReceiveTimeout(0)
	const count = 6000
	sent := make(chan error, 1)
	go func() {
		for i := 0; i < count; i++ {
			if err := stream.SendMessage(context.Background(), make([]byte, 1000)); err != nil {
				sent <- err
				return
			}
		}
		sent <- stream.CloseWrite()
	}()
	c.inbox.untilFull()
	for i := 0; i < count; i++ {
		if _, _, err := c.Receive(); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	ok(t, <-sent)
}

func TestManyGoroutinesOnOneConnection(t *testing.T) {
	c := simple(t, echoServer(t))
	const senders, each = 10, 200
	var all sync.WaitGroup
	for i := 0; i < senders; i++ {
		all.Add(2)
		go func(i int) {
			defer all.Done()
			for j := 0; j < each; j++ {
				s, err := c.OpenStream(uint8(i), Reliable)
				if err == nil {
					err = c.Send(s, []byte("hello"))
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		}(i)
		go func() {
			defer all.Done()
			for j := 0; j < each; j++ {
				if _, data, err := c.Receive(); err != nil || string(data) != "hello" {
					t.Errorf("received %q, %v", data, err)
					return
				}
			}
		}()
	}
	all.Wait()
}

func TestAStreamThatThePeerEndsIsReplaced(t *testing.T) {
	l := listen(t)
	c := simple(t, l)
	server := must(l.Accept(within(t)))(t)
	t.Cleanup(func() { server.Abort(0, "") })
	s := must(c.OpenStream(5, Reliable))(t)
	ok(t, c.Send(s, []byte("one")))
	first := must(server.AcceptMessages(within(t)))(t)
	must(first.RecvMessage(within(t)))(t)
	ok(t, first.StopReading(1))
	ok(t, first.CloseWrite())
	next := make(chan *MessageStream)
	go func() {
		if s, err := server.AcceptMessages(context.Background()); err == nil {
			next <- s
		}
	}()
	for {
		ok(t, c.Send(s, []byte("two")))
		select {
		case second := <-next:
			must(second.RecvMessage(within(t)))(t)
			if again := must(c.OpenStream(5, Reliable))(t); again != s {
				t.Fatalf("the handle was %d and is %d", s, again)
			}
			return
		default:
		}
	}
}

func TestThePeerMayOpenStreamsAndEndEverything(t *testing.T) {
	l := listen(t)
	c := simple(t, l)
	server := must(l.Accept(within(t)))(t)
	push := must(server.OpenMessages(within(t)))(t)
	ok(t, push.SendMessage(within(t), []byte("news")))
	from, data, err := c.Receive()
	ok(t, err)
	if string(data) != "news" {
		t.Fatalf("received %q", data)
	}
	ok(t, c.Send(from, []byte("thanks")))
	if got := must(push.RecvMessage(within(t)))(t); string(got) != "thanks" {
		t.Fatalf("the server received %q", got)
	}
	ok(t, push.SendMessage(within(t), []byte("last")))
	ok(t, server.CloseWithError(5, "that was all"))
	_, data, err = c.Receive()
	ok(t, err)
	if string(data) != "last" {
		t.Fatalf("received %q", data)
	}
	_, _, err = c.Receive()
	var gone *ApplicationError
	if !errors.As(err, &gone) || gone.Code != 5 {
		t.Fatalf("after the end: %v", err)
	}
}

func TestFreeWakesWhoReceives(t *testing.T) {
	c := simple(t, echoServer(t))
	ended := make(chan error)
	go func() {
		_, _, err := c.Receive()
		ended <- err
	}()
	c.Free()
	is(t, <-ended, net.ErrClosed)

	waiting := must(NewConnection())(t)
	ok(t, waiting.Connect(silence(t)))
	go func() { ended <- waiting.Handshake() }()
	waiting.Free()
	is(t, <-ended, net.ErrClosed)
}

// untilFull returns when a pump waits for room.
func (in *messageInbox) untilFull() {
	for {
		in.mu.Lock()
		full := in.consumed.ch != nil
		in.mu.Unlock()
		if full {
			return
		}
		runtime.Gosched()
	}
}

func TestTheEndComesAfterWhatIsStillOnItsWay(t *testing.T) {
	in := &messageInbox{pumps: 1}
	in.finish(errClosed)
	if _, changed, err := in.take(); changed == nil || err != nil {
		t.Fatalf("before the last message: %v", err)
	}
	ok(t, in.add(within(t), inboxMessage{1, []byte("last")}))
	in.pumped()
	if message, _, err := in.take(); err != nil || string(message.data) != "last" {
		t.Fatalf("received %q, %v", message.data, err)
	}
	_, _, err := in.take()
	is(t, err, net.ErrClosed)
}
