package jetstream_test

import (
	"context"
	"fmt"
	"io"
	"log"

	jetstream "github.com/jetstreamproto/jetstreamproto/jsp-ffi/go"
)

// A server that answers on each stream, and a client that asks.
func Example() {
	ctx := context.Background()
	listener, err := jetstream.Listen("127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		conn, err := listener.Accept(ctx)
		if err != nil {
			return
		}
		defer conn.Close()
		stream, err := conn.AcceptStream(ctx)
		if err != nil {
			return
		}
		question, _ := io.ReadAll(stream)
		_, _ = fmt.Fprintf(stream, "you said %q", question)
		_ = stream.Close()
		<-conn.Context().Done()
	}()

	conn, err := jetstream.Dial(ctx, listener.Addr().String()+"#"+listener.KeyID())
	if err != nil {
		log.Fatal(err)
	}
	stream, err := conn.OpenStream(ctx)
	if err != nil {
		log.Fatal(err)
	}
	_, _ = io.WriteString(stream, "hello")
	_ = stream.CloseWrite()
	answer, err := io.ReadAll(stream)
	fmt.Println(string(answer), err)
	_ = conn.Close()
	_ = listener.Shutdown(ctx)
	// Output: you said "hello" <nil>
}

// The small surface.
func ExampleConnection() {
	listener, err := jetstream.Listen("127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept(context.Background())
		if err != nil {
			return
		}
		defer conn.Close()
		for {
			message, err := conn.RecvMessage(context.Background())
			if err != nil || conn.SendMessage(context.Background(), message) != nil {
				return
			}
		}
	}()

	conn, err := jetstream.NewConnection()
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Free()
	if err := conn.Connect(listener.Addr().String()); err != nil {
		log.Fatal(err)
	}
	if err := conn.Handshake(); err != nil {
		log.Fatal(err)
	}
	stream, err := conn.OpenStream(1, jetstream.Reliable)
	if err != nil {
		log.Fatal(err)
	}
	if err := conn.Send(stream, []byte("hello")); err != nil {
		log.Fatal(err)
	}
	from, data, err := conn.Receive()
	fmt.Println(from == stream, string(data), err)
	fmt.Println(conn.Close())
	// Output:
	// true hello <nil>
	// <nil>
}
