package jetstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

func TestMessagesComeBackInEveryMode(t *testing.T) {
	c := must(Dial(within(t), echoServer(t).Addr().String()))(t)
	defer c.Close()
	for name, opts := range map[string][]StreamOption{
		"reliable":             nil,
		"unordered":            {WithUnordered()},
		"best effort":          {WithUnordered(), WithMode(BestEffort)},
		"partially reliable":   {WithUnordered(), WithTTL(10 * time.Second)},
		"its default time":     {WithMode(PartiallyReliable)},
		"urgent and in order":  {WithPriority(255)},
		"ordered, best effort": {WithMode(BestEffort)},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := within(t)
			s := must(c.OpenMessages(ctx, opts...))(t)
			defer s.Close()
			for _, length := range []int{1, 1200, 65536} {
				sent := bytes.Repeat([]byte{7}, length)
				ok(t, s.SendMessage(ctx, sent))
				received := must(s.RecvMessage(ctx))(t)
				if !bytes.Equal(sent, received) {
					t.Fatalf("%d bytes came back as %d", length, len(received))
				}
			}
		})
	}
}

func TestManyMessagesArriveInOrder(t *testing.T) {
	client, server := pair(t)
	ctx := within(t)
	go func() {
		for i := 0; i < 5000; i++ {
			_ = client.SendMessage(ctx, []byte(fmt.Sprintf("message %d", i)))
		}
		_ = client.Close()
	}()
	for i := 0; i < 5000; i++ {
		if got := must(server.RecvMessage(ctx))(t); string(got) != fmt.Sprintf("message %d", i) {
			t.Fatalf("message %d is %q", i, got)
		}
	}
	// What was sent before the close has arrived; then the close has.
	_, err := server.RecvMessage(ctx)
	var gone *ApplicationError
	if !errors.As(err, &gone) || !gone.Remote {
		t.Fatalf("after the last message: %v", err)
	}
}

func TestTheDefaultStreamGoesBothWays(t *testing.T) {
	client, server := pair(t)
	ctx := within(t)
	go func() { _ = server.SendMessage(ctx, []byte("the server begins")) }()
	if got := must(client.RecvMessage(ctx))(t); string(got) != "the server begins" {
		t.Fatalf("got %q", got)
	}
	ok(t, client.SendMessage(ctx, []byte("answer")))
	if got := must(server.RecvMessage(ctx))(t); string(got) != "answer" {
		t.Fatalf("got %q", got)
	}
}

func TestContextsWakeReceiversAndSenders(t *testing.T) {
	client, server := pair(t)
	s := must(client.OpenMessages(within(t)))(t)
	must(server.AcceptMessages(within(t)))(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		_, err := s.RecvMessage(ctx)
		ended <- err
	}()
	go func() {
		// Nobody receives, so sending gets stuck.
		for {
			if err := s.SendMessage(ctx, make([]byte, 60000)); err != nil {
				ended <- err
				return
			}
		}
	}()
	go func() {
		_, err := client.AcceptStream(ctx)
		ended <- err
	}()
	cancel()
	for i := 0; i < 3; i++ {
		is(t, <-ended, context.Canceled)
	}
	late, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err := s.RecvMessage(late)
	is(t, err, context.DeadlineExceeded)
}

func TestMessagesHaveBounds(t *testing.T) {
	client, _ := pair(t)
	s := must(client.OpenMessages(within(t)))(t)
	is(t, s.SendMessage(within(t), nil), &Error{Code: CodeEmptyMessage})
	is(t, s.SendMessage(within(t), make([]byte, client.MaxMessageSize()+1)), &Error{Code: CodeMessageTooLarge})
	ok(t, s.SendMessage(within(t), []byte("and the stream goes on")))
}

func TestOneWayStreams(t *testing.T) {
	client, server := pair(t)
	ctx := within(t)
	ours := must(client.OpenMessages(ctx, WithUni()))(t)
	ok(t, ours.SendMessage(ctx, []byte("there")))
	ok(t, ours.CloseWrite())
	theirs := must(server.AcceptMessages(ctx))(t)
	if got := must(theirs.RecvMessage(ctx))(t); string(got) != "there" {
		t.Fatalf("got %q", got)
	}
	_, err := theirs.RecvMessage(ctx)
	is(t, err, io.EOF)
	is(t, theirs.SendMessage(ctx, []byte("back")), &Error{Code: CodeWrongKind})
	_, err = ours.RecvMessage(ctx)
	is(t, err, &Error{Code: CodeWrongKind})
}

func TestOutcomesOfTrackedMessages(t *testing.T) {
	client, server := pair(t)
	ctx := within(t)
	s := must(client.OpenMessages(ctx))(t)
	delivery := must(s.SendTracked(ctx, []byte("did it arrive?")))(t)
	if outcome := must(delivery.Outcome(ctx))(t); outcome != Acked {
		t.Fatalf("the message is %v", outcome)
	}
	server.Abort(1, "")
	<-client.Context().Done()
	_, err := s.SendTracked(ctx, []byte("too late"))
	var gone *ApplicationError
	if !errors.As(err, &gone) || gone.Code != 1 {
		t.Fatalf("sending after the end: %v", err)
	}
}

func TestStoppedMessages(t *testing.T) {
	client, server := pair(t)
	ctx := within(t)
	s := must(client.OpenMessages(ctx))(t)
	theirs := must(server.AcceptMessages(ctx))(t)
	ok(t, theirs.StopReading(9))
	var err error
	for err == nil {
		err = s.SendMessage(ctx, make([]byte, 1000))
	}
	var failure *StreamError
	if !errors.As(err, &failure) || *failure != (StreamError{Code: 9, Stopped: true, Remote: true}) {
		t.Fatalf("sending to who does not want it: %v", err)
	}
	ok(t, theirs.Reset(8))
	_, err = s.RecvMessage(ctx)
	if !errors.As(err, &failure) || failure.Code != 8 || failure.Stopped {
		t.Fatalf("receiving what was reset: %v", err)
	}
	_, err = theirs.RecvMessage(ctx)
	is(t, err, net.ErrClosed)
}
