// Concurrent lets ten goroutines send on one connection to a server that echoes, and counts what comes back.
package main

import (
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	jetstream "github.com/jetstreamproto/jetstreamproto/jsp-ffi/go"
)

const (
	senders  = 10
	messages = 100
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
	var all sync.WaitGroup
	for i := 0; i < senders; i++ {
		all.Add(1)
		go func(number int) {
			defer all.Done()
			if err := send(conn, number); err != nil {
				log.Print(err)
			}
		}(i)
	}
	conn.SetReceiveTimeout(5 * time.Second)
	for i := 0; i < senders*messages; i++ {
		if _, _, err := conn.Receive(); err != nil {
			return err
		}
	}
	all.Wait()
	fmt.Printf("%d messages came back\n", senders*messages)
	return conn.Close()
}

func send(conn *jetstream.Connection, number int) error {
	stream, err := conn.OpenStream(uint8(number), jetstream.Reliable)
	if err != nil {
		return err
	}
	for i := 0; i < messages; i++ {
		if err := conn.Send(stream, []byte(fmt.Sprintf("message %d of sender %d", i, number))); err != nil {
			return err
		}
	}
	return nil
}
