// Http_over_jsp serves HTTP on the byte streams of JetStreamProto connections, and asks itself for a page: package
// net/http does not notice the difference.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"

	jetstream "github.com/jetstreamproto/jetstreamproto/jsp-ffi/go"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	listener, err := jetstream.Listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "you asked for %s over a post-quantum connection\n", r.URL.Path)
	})
	server := &http.Server{Handler: handler}
	defer server.Close()
	go func() { log.Print(server.Serve(listener.NetListener())) }()

	dialer := &jetstream.Dialer{
		Addr:    listener.Addr().String(),
		Options: []jetstream.Option{jetstream.WithPin(listener.KeyID())},
	}
	defer dialer.Close()
	client := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext}}
	response, err := client.Get("http://any.name/page")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	fmt.Print(string(body))
	return err
}
