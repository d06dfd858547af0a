// Http_sender is a web server that sends the body of each POST to /send as a message to a JetStreamProto server. It
// opens a stream for each request and closes none: streams of one priority and mode are shared.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"

	jetstream "github.com/jetstreamproto/jetstreamproto/jsp-ffi/go"
)

func main() {
	server := flag.String("server", "127.0.0.1:8080", "where the messages go, HOST:PORT or HOST:PORT#KEY")
	listen := flag.String("listen", "127.0.0.1:8000", "where the web server listens")
	flag.Parse()
	if err := run(*server, *listen); err != nil {
		log.Fatal(err)
	}
}

func run(server, listen string) error {
	conn, err := jetstream.NewConnection()
	if err != nil {
		return err
	}
	defer conn.Free()
	if err := conn.Connect(server); err != nil {
		return err
	}
	if err := conn.Handshake(); err != nil {
		return err
	}
	http.HandleFunc("/send", func(w http.ResponseWriter, r *http.Request) { send(conn, w, r) })
	return http.ListenAndServe(listen, nil)
}

func send(conn *jetstream.Connection, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<16))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	stream, err := conn.OpenStream(1, jetstream.Reliable)
	if err == nil {
		err = conn.Send(stream, body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	_, _ = fmt.Fprintf(w, "sent %d bytes\n", len(body))
}
