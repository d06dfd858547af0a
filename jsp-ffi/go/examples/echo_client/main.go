// Command echo_client sends the lines of its standard input to an echo server and prints what comes back.
//
//	go run ./examples/echo_client 127.0.0.1:4433#jsp1-...
package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"

	jetstream "github.com/jetstreamproto/jetstreamproto/jsp-ffi/go"
)

func main() {
	log.SetFlags(0)
	address := "127.0.0.1:4433"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, address); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, address string) error {
	conn, err := jetstream.Dial(ctx, address)
	if err != nil {
		return fmt.Errorf("connecting to %s: %w", address, err)
	}
	lines := bufio.NewScanner(os.Stdin)
	// As long as the longest message that servers take by default.
	lines.Buffer(nil, 64<<10)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		if err := conn.SendMessage(ctx, lines.Bytes()); err != nil {
			return fmt.Errorf("sending: %w", err)
		}
		echo, err := conn.RecvMessage(ctx)
		if err != nil {
			return fmt.Errorf("receiving: %w", err)
		}
		fmt.Printf("%s\n", echo)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading: %w", err)
	}
	// Everything is delivered when this returns.
	return conn.Close()
}
