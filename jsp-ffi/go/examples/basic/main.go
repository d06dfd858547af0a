// Basic sends one message in each mode to a server that echoes, such as the example echo_server or
// "jsp serve --listen 127.0.0.1:8080", and prints what comes back.
package main

import (
	"fmt"
	"log"
	"os"
	"time"

	jetstream "github.com/jetstreamproto/jetstreamproto/jsp-ffi/go"
)

func main() {
	addr := "127.0.0.1:8080"
	if len(os.Args) > 1 {
		addr = os.Args[1]
	}
	if err := run(addr); err != nil {
		log.Fatal(err)
	}
}

func run(addr string) error {
	conn, err := jetstream.NewConnection()
	if err != nil {
		return err
	}
	defer conn.Free()
	if err := conn.Connect(addr); err != nil {
		return err
	}
	if err := conn.Handshake(); err != nil {
		return err
	}
	fmt.Printf("session %016x\n", conn.SessionID())
	conn.SetReceiveTimeout(5 * time.Second)
	for _, mode := range []jetstream.DeliveryMode{jetstream.Reliable, jetstream.BestEffort, jetstream.PartiallyReliable} {
		stream, err := conn.OpenStream(1, mode)
		if err != nil {
			return err
		}
		if err := conn.Send(stream, []byte("hello, "+mode.String())); err != nil {
			return err
		}
		from, data, err := conn.Receive()
		if err != nil {
			return err
		}
		fmt.Printf("stream %d: %s\n", from, data)
	}
	return conn.Close()
}
