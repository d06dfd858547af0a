package jetstream

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"
)

// text is what compresses well.
var text = []byte(strings.Repeat("nothing new, nothing new; ", 4000))

// carry sends bytes one way, and gives the sender's numbers.
func carry(t *testing.T, client, server *Conn, opts ...StreamOption) ConnStats {
	t.Helper()
	ours := must(client.OpenStream(within(t), opts...))(t)
	theirs := must(server.AcceptStream(within(t)))(t)
	go func() {
		_, _ = ours.Write(text)
		_ = ours.CloseWrite()
	}()
	if !bytes.Equal(must(io.ReadAll(theirs))(t), text) {
		t.Fatal("other bytes arrived")
	}
	return client.Stats()
}

func TestCompression(t *testing.T) {
	for _, opts := range [][]Option{
		nil,
		{WithCompression(Adaptive)},
		{WithAcceptCompressed(true)},
		{WithProfile(Mobile), WithCompression(Uncompressed)},
		{WithProfile(Mobile), WithAcceptCompressed(false)},
	} {
		client, server := pair(t, opts...)
		if stats := carry(t, client, server); stats.CompressionsTried != 0 {
			t.Fatalf("compressed with %d options: %+v", len(opts), stats)
		}
	}
	for _, opts := range [][]Option{
		{WithCompression(Adaptive), WithAcceptCompressed(true)},
		{WithProfile(Mobile)},
	} {
		client, server := pair(t, opts...)
		stats := carry(t, client, server)
		if stats.Compressed == 0 || stats.BytesAfterCompression*2 > stats.BytesBeforeCompression {
			t.Fatalf("the numbers are %+v", stats)
		}
		// A message, and a stream that wants none.
		messages := must(client.OpenMessages(within(t)))(t)
		ok(t, messages.SendMessage(within(t), text[:5000]))
		theirs := must(server.AcceptMessages(within(t)))(t)
		if !bytes.Equal(must(theirs.RecvMessage(within(t)))(t), text[:5000]) {
			t.Fatal("another message arrived")
		}
		before := client.Stats().CompressionsTried
		if before != stats.CompressionsTried+1 {
			t.Fatal("the message was not compressed")
		}
		ok(t, messages.SetCompression(Uncompressed))
		ok(t, messages.SendMessage(within(t), text[:5000]))
		if carry(t, client, server, WithStreamCompression(Uncompressed)).CompressionsTried != before {
			t.Fatal("compressed against the will")
		}
	}
	client, server := pair(t, WithAcceptCompressed(true))
	if carry(t, client, server, WithStreamCompression(AdaptivePadded)).Compressed == 0 {
		t.Fatal("not compressed")
	}
	plain := must(client.OpenStream(within(t)))(t)
	compressed := must(client.OpenStream(within(t), WithStreamCompression(Adaptive)))(t)
	is(t, plain.SetCompression(Adaptive), &Error{Code: CodeWrongKind})
	ok(t, compressed.SetCompression(Uncompressed))
	is(t, compressed.SetCompression(0), &Error{Code: CodeInvalidArgument})
	_, err := Listen("127.0.0.1:0", WithCompression(9))
	is(t, err, &Error{Code: CodeInvalidArgument})
}

func TestCorrections(t *testing.T) {
	client, server := pair(t, WithFEC(FECOn(10, 2)), WithFECMaxOverhead(100), WithFECTarget(1e-3),
		WithFECMaxDelay(5*time.Millisecond), WithFECMaxSymbols(64))
	sent := carry(t, client, server).FEC
	if sent.SourcesSent == 0 || sent.ParitySent == 0 || sent.ParityBytesSent == 0 {
		t.Fatalf("the numbers are %+v", sent)
	}
	if received := server.Stats().FEC; received.SourcesReceived == 0 || received.Malformed != 0 {
		t.Fatalf("the numbers are %+v", received)
	}
	// Nothing is lost, so nothing more is protected.
	if stats := carry(t, client, server, WithStreamFEC(FECAuto)).FEC; stats.SourcesSent != sent.SourcesSent {
		t.Fatalf("the numbers are %+v", stats)
	}
	s := must(client.OpenMessages(within(t), WithUnordered(), WithStreamFEC(FECOn(64, 32))))(t)
	ok(t, s.SetFEC(FECOff))
	is(t, s.SetFEC(FECOn(0, 1)), &Error{Code: CodeInvalidArgument})
	is(t, s.SetFEC(FEC{}), &Error{Code: CodeInvalidArgument})
	_, err := client.OpenStream(within(t), WithStreamFEC(FECOn(65, 1)))
	is(t, err, &Error{Code: CodeInvalidArgument})
	for _, network := range []Network{Ethernet, WiFi, Cellular, NetworkUnknown} {
		ok(t, client.SetNetwork(network))
	}
	is(t, client.SetNetwork(9), &Error{Code: CodeInvalidArgument})
	for _, state := range []AppState{Background, Sleep, Foreground} {
		ok(t, client.SetAppState(state))
	}
	is(t, client.SetAppState(3), &Error{Code: CodeInvalidArgument})
	if client.ObservedAddress().IsValid() {
		t.Fatal("nobody asked the peer")
	}
	for _, fine := range []Option{WithProfile(LowLatency), WithProfile(Bulk), WithFECMaxSymbols(0), WithKeepAlive(time.Second),
		WithAdaptiveKeepAlive(), WithKeepAlive(0)} {
		client, server := pair(t, fine)
		carry(t, client, server)
	}
	for _, wrong := range []Option{WithKeepAlive(time.Millisecond), WithProfile(9), WithFEC(FECOn(1, 33)), WithFECMaxOverhead(401), WithFECTarget(2),
		WithFECMaxDelay(time.Minute), WithFECMaxSymbols(257)} {
		_, err := Listen("127.0.0.1:0", wrong)
		is(t, err, &Error{Code: CodeInvalidArgument})
	}
}
