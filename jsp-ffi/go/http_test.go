package jetstream

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
)

func TestHTTPOverStreams(t *testing.T) {
	listener := listen(t).NetListener()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Handlers of HTTP/1 read everything before they answer.
		body, err := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s from %s: %v%s", r.URL.Path, r.RemoteAddr, err, body)
	})}
	served := make(chan error)
	go func() { served <- server.Serve(listener) }()

	dialer := &Dialer{Addr: listener.Addr().String()}
	transport := &http.Transport{DialContext: dialer.DialContext}
	client := &http.Client{Transport: transport}
	var all sync.WaitGroup
	for i := 0; i < 20; i++ {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			body := bytes.Repeat([]byte{byte('a' + i)}, 10000*i)
			response, err := client.Post("http://server/path", "text/plain", bytes.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			defer response.Body.Close()
			got, err := io.ReadAll(response.Body)
			if err != nil || !bytes.HasSuffix(got, body) || !bytes.HasPrefix(got, []byte("/path from 127.0.0.1")) {
				t.Errorf("request %d: %d bytes, %v", i, len(got), err)
			}
		}(i)
	}
	all.Wait()
	transport.CloseIdleConnections()
	ok(t, server.Shutdown(within(t)))
	is(t, <-served, http.ErrServerClosed)
	ok(t, dialer.Close())
	_, err := dialer.DialContext(within(t), "", "")
	is(t, err, net.ErrClosed)
}

func TestADialerConnectsAgain(t *testing.T) {
	l := listen(t)
	dialer := &Dialer{Addr: l.Addr().String()}
	defer dialer.Close()
	for i := 0; i < 2; i++ {
		s := must(dialer.DialContext(within(t), "", ""))(t)
		server := must(l.Accept(within(t)))(t)
		server.Abort(1, "")
		_, err := s.Read(make([]byte, 1))
		if err == nil {
			t.Fatal("something came")
		}
		<-dialer.conn.Context().Done()
	}
}

func TestRequestsSurviveAShutdown(t *testing.T) {
	listener := listen(t).NetListener()
	begun, proceed := make(chan struct{}), make(chan struct{})
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-proceed
		for i := 0; i < 1000; i++ {
			_, _ = w.Write(make([]byte, 10000))
		}
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	dialer := &Dialer{Addr: listener.Addr().String()}
	defer dialer.Close()
	transport := &http.Transport{DialContext: dialer.DialContext}
	defer transport.CloseIdleConnections()
	answered := make(chan error, 1)
	go func() {
		response, err := (&http.Client{Transport: transport}).Get("http://server/")
		if err != nil {
			answered <- err
			return
		}
		defer response.Body.Close()
		length, err := io.Copy(io.Discard, response.Body)
		if length != 1000*10000 && err == nil {
			err = io.ErrUnexpectedEOF
		}
		answered <- err
	}()
	<-begun
	stopped := make(chan error, 1)
	go func() { stopped <- server.Shutdown(within(t)) }()
	is(t, <-served, http.ErrServerClosed)
	close(proceed)
	ok(t, <-answered)
	ok(t, <-stopped)
}
