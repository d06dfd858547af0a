// Echo_server gives back what comes: bytes on streams of bytes, messages on streams of messages.
//
//	go run ./examples/echo_server 127.0.0.1:8080
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"time"

	jetstream "github.com/jetstreamproto/jetstreamproto/jsp-ffi/go"
)

func main() {
	listen := "127.0.0.1:8080"
	if len(os.Args) > 1 {
		listen = os.Args[1]
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, listen); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, listen string) error {
	listener, err := jetstream.Listen(listen)
	if err != nil {
		return err
	}
	fmt.Printf("listening on %v, key %s\n", listener.Addr(), listener.KeyID())
	for {
		conn, err := listener.Accept(ctx)
		if err != nil {
			break
		}
		log.Printf("%v connected", conn.RemoteAddr())
		go serve(conn)
	}
	// The signal has come: what was echoed is delivered before the end, unless that takes too long.
	late, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return listener.Shutdown(late)
}

// serve lives as long as the connection, which has a context of its own.
func serve(conn *jetstream.Conn) {
	ctx := conn.Context()
	go func() {
		for {
			stream, err := conn.AcceptStream(ctx)
			if err != nil {
				return
			}
			go echoBytes(stream)
		}
	}()
	for {
		stream, err := conn.AcceptMessages(ctx)
		if err != nil {
			break
		}
		go echoMessages(ctx, stream)
	}
	_ = conn.Close()
	log.Printf("%v gone: %v", conn.RemoteAddr(), context.Cause(ctx))
}

func echoBytes(stream *jetstream.Stream) {
	defer stream.Close()
	_, _ = io.Copy(stream, stream)
}

func echoMessages(ctx context.Context, stream *jetstream.MessageStream) {
	defer stream.Close()
	for {
		message, err := stream.RecvMessage(ctx)
		if err != nil || stream.SendMessage(ctx, message) != nil {
			return
		}
	}
}
