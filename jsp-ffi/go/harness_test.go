package jetstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

// patience is how long anything may take before a test calls it stuck.
const patience = 20 * time.Second

// TestMain looks for what the tests left behind: goroutines of this package and memory of the library.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		code = leaks()
	}
	os.Exit(code)
}

// leaks waits until everything has gone, which takes as long as the last goroutines need to return.
func leaks() int {
	limit := time.Now().Add(patience)
	for time.Now().Before(limit) {
		if liveEndpoints.Load() == 0 && !strings.Contains(stacks(), "jsp-ffi/go.") {
			return 0
		}
		runtime.Gosched()
	}
	fmt.Printf("left behind: %d endpoints and these goroutines:\n%s", liveEndpoints.Load(), stacks())
	return 1
}

// stacks is what all goroutines but those of the test itself do.
func stacks() string {
	var all, others bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&all, 2)
	for _, stack := range strings.Split(all.String(), "\n\n") {
		if !strings.Contains(stack, "TestMain") {
			others.WriteString(stack + "\n\n")
		}
	}
	return others.String()
}

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func is(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("error is %v (%T), want %v", err, err, target)
	}
}

// listen makes a listener on this machine that lasts for the test.
func listen(t testing.TB, opts ...Option) *Listener {
	t.Helper()
	l := must(Listen("127.0.0.1:0", opts...))(t)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_ = l.Shutdown(ctx)
	})
	return l
}

// pair makes a connection and gives both ends.
func pair(t testing.TB, opts ...Option) (client, server *Conn) {
	t.Helper()
	l := listen(t, opts...)
	client = must(Dial(within(t), l.Addr().String(), opts...))(t)
	server = must(l.Accept(within(t)))(t)
	t.Cleanup(func() {
		client.Abort(0, "")
		server.Abort(0, "")
	})
	return client, server
}

// streams opens a stream of bytes and gives both ends.
func streams(t testing.TB, client, server *Conn) (*Stream, *Stream) {
	t.Helper()
	ours := must(client.OpenStream(within(t)))(t)
	theirs := must(server.AcceptStream(within(t)))(t)
	return ours, theirs
}

// echoServer gives back what comes, in kind, until the test ends.
func echoServer(t testing.TB, opts ...Option) *Listener {
	t.Helper()
	l := listen(t, opts...)
	go func() {
		for {
			c, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			go echo(c)
		}
	}()
	return l
}

func echo(c *Conn) {
	go func() {
		for {
			s, err := c.AcceptStream(context.Background())
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(s, s)
				_ = s.Close()
			}()
		}
	}()
	for {
		s, err := c.AcceptMessages(context.Background())
		if err != nil {
			break
		}
		go echoMessages(s)
	}
	_ = c.Close()
}

func echoMessages(s *MessageStream) {
	defer s.Close()
	for {
		message, err := s.RecvMessage(context.Background())
		if err != nil {
			return
		}
		if s.SendMessage(context.Background(), message) != nil {
			return
		}
	}
}

// silence is an address where nobody answers.
func silence(t testing.TB) string {
	t.Helper()
	udp := must(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))(t)
	t.Cleanup(func() { _ = udp.Close() })
	return udp.LocalAddr().String()
}

// untilWaiting returns when somebody waits for a signal.
func untilWaiting(e *endpoint, waits func() *signal) {
	for {
		e.mu.Lock()
		waiting := waits().ch != nil
		e.mu.Unlock()
		if waiting {
			return
		}
		runtime.Gosched()
	}
}
