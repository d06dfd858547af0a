package jetstream

import (
	"bytes"
	"errors"
	"io"
	"math/rand"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

func TestBytesComeBack(t *testing.T) {
	c := must(Dial(within(t), echoServer(t).Addr().String()))(t)
	defer c.Close()
	s := must(c.OpenStream(within(t)))(t)
	sent := make([]byte, 3<<20)
	rand.New(rand.NewSource(1)).Read(sent)
	go func() {
		_, _ = s.Write(sent)
		_ = s.CloseWrite()
	}()
	received := must(io.ReadAll(s))(t)
	if !bytes.Equal(sent, received) {
		t.Fatalf("%d bytes came back, other than those that were sent", len(received))
	}
	if _, err := s.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("after the end: %v", err)
	}
	_, err := s.Write([]byte("late"))
	is(t, err, net.ErrClosed)
	ok(t, s.Close())
}

func TestQuestionsAndAnswersOnOneStream(t *testing.T) {
	c := must(Dial(within(t), echoServer(t).Addr().String()))(t)
	defer c.Close()
	s := must(c.OpenStream(within(t)))(t)
	ok(t, s.SetDeadline(time.Now().Add(patience)))
	for i := 0; i < 100; i++ {
		must(s.Write([]byte{byte(i)}))(t)
		answer := make([]byte, 10)
		if n := must(s.Read(answer))(t); n != 1 || answer[0] != byte(i) {
			t.Fatalf("question %d was answered with %v", i, answer[:n])
		}
	}
}

func TestClosingWakesWriters(t *testing.T) {
	client, server := pair(t)
	ours, _ := streams(t, client, server)
	ended := make(chan error)
	go func() {
		_, err := io.Copy(ours, zeros{})
		ended <- err
	}()
	untilWaiting(client.ep, func() *signal { return &ours.writable })
	ok(t, ours.Close())
	is(t, <-ended, net.ErrClosed)
}

func TestSmallReadsSeeEverything(t *testing.T) {
	client, server := pair(t)
	ours, theirs := streams(t, client, server)
	sent := bytes.Repeat([]byte("0123456789"), 10000)
	go func() {
		_, _ = ours.Write(sent)
		_ = ours.Close()
	}()
	var received []byte
	for piece := make([]byte, 7); ; {
		n, err := theirs.Read(piece)
		received = append(received, piece[:n]...)
		if err == io.EOF {
			break
		}
		ok(t, err)
	}
	if !bytes.Equal(sent, received) {
		t.Fatal("the bytes differ")
	}
}

func TestDeadlinesWakeReadersAndWriters(t *testing.T) {
	client, server := pair(t)
	ours, _ := streams(t, client, server)
	isTimeout := func(err error) {
		t.Helper()
		is(t, err, os.ErrDeadlineExceeded)
		if timeout, ok := err.(net.Error); !ok || !timeout.Timeout() {
			t.Fatalf("%v is no timeout", err)
		}
	}
	ended := make(chan error)
	go func() {
		_, err := ours.Read(make([]byte, 1))
		ended <- err
	}()
	untilWaiting(client.ep, func() *signal { return &ours.readable })
	ok(t, ours.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	isTimeout(<-ended)
	_, err := ours.Read(make([]byte, 1))
	isTimeout(err)

	// Nobody reads, so writing gets stuck.
	go func() {
		_, err := io.Copy(ours, zeros{})
		ended <- err
	}()
	untilWaiting(client.ep, func() *signal { return &ours.writable })
	ok(t, ours.SetWriteDeadline(time.Now().Add(20*time.Millisecond)))
	isTimeout(<-ended)

	// A deadline that is taken back lets the stream go on.
	ok(t, ours.SetDeadline(time.Time{}))
	go func() {
		_, err := ours.Read(make([]byte, 1))
		ended <- err
	}()
	untilWaiting(client.ep, func() *signal { return &ours.readable })
	ok(t, ours.SetReadDeadline(time.Unix(1, 0)))
	isTimeout(<-ended)
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestClosingWakesReaders(t *testing.T) {
	client, server := pair(t)
	ours, _ := streams(t, client, server)
	ended := make(chan error)
	read := func(s *Stream) {
		_, err := s.Read(make([]byte, 1))
		ended <- err
	}
	go read(ours)
	untilWaiting(client.ep, func() *signal { return &ours.readable })
	ok(t, ours.Close())
	is(t, <-ended, net.ErrClosed)

	another, theirs := streams(t, client, server)
	go read(another)
	go read(theirs)
	untilWaiting(client.ep, func() *signal { return &another.readable })
	untilWaiting(server.ep, func() *signal { return &theirs.readable })
	ok(t, client.CloseWithError(7, "enough"))
	first, second := <-ended, <-ended
	if !errors.Is(first, net.ErrClosed) {
		first, second = second, first
	}
	is(t, first, net.ErrClosed)
	var gone *ApplicationError
	if !errors.As(second, &gone) || gone.Code != 7 || gone.Reason != "enough" || !gone.Remote {
		t.Fatalf("the peer's reader got %v", second)
	}
	if errors.Is(second, net.ErrClosed) {
		t.Fatal("the peer did not close anything")
	}
}

func TestResetAndStopGiveTheirCodes(t *testing.T) {
	client, server := pair(t)
	ours, theirs := streams(t, client, server)
	ok(t, ours.Reset(41))
	ok(t, ours.StopReading(42))
	_, err := theirs.Read(make([]byte, 1))
	var failure *StreamError
	if !errors.As(err, &failure) || *failure != (StreamError{Code: 41, Remote: true}) {
		t.Fatalf("reading a stream that was reset: %v", err)
	}
	_, err = io.Copy(theirs, zeros{})
	if !errors.As(err, &failure) || *failure != (StreamError{Code: 42, Remote: true, Stopped: true}) {
		t.Fatalf("writing to a stream that was stopped: %v", err)
	}
	_, err = ours.Read(make([]byte, 1))
	is(t, err, net.ErrClosed)
	_, err = ours.Write([]byte("late"))
	is(t, err, net.ErrClosed)
}

func TestASlowReaderHoldsUpTheWriter(t *testing.T) {
	client, server := pair(t)
	ours, theirs := streams(t, client, server)
	ok(t, ours.SetWriteDeadline(time.Now().Add(100*time.Millisecond)))
	written, err := io.Copy(ours, zeros{})
	is(t, err, os.ErrDeadlineExceeded)
	if written == 0 || written > 64<<20 {
		t.Fatalf("%d bytes were taken without a reader", written)
	}
	ok(t, ours.SetWriteDeadline(time.Time{}))
	ok(t, ours.CloseWrite())
	read := must(io.Copy(io.Discard, theirs))(t)
	if read != written {
		t.Fatalf("%d bytes written, %d read", written, read)
	}
}

func TestAThousandStreams(t *testing.T) {
	c := must(Dial(within(t), echoServer(t).Addr().String()))(t)
	defer c.Close()
	ctx := within(t)
	var all sync.WaitGroup
	for i := 0; i < 1000; i++ {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			s, err := c.OpenStream(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			sent := bytes.Repeat([]byte{byte(i)}, 1000+i)
			_, _ = s.Write(sent)
			_ = s.CloseWrite()
			received, err := io.ReadAll(s)
			if err != nil || !bytes.Equal(sent, received) {
				t.Errorf("stream %d: %d bytes, %v", i, len(received), err)
			}
		}(i)
	}
	all.Wait()
	c.ep.mu.Lock()
	defer c.ep.mu.Unlock()
	if len(c.streams) != 0 {
		t.Fatalf("%d streams are kept", len(c.streams))
	}
}
