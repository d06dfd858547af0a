package jetstream

import (
	"context"
	"io"
	"testing"
	"time"
)

// packets is how many datagrams an endpoint has sent and received.
func packets(e *endpoint) uint64 {
	stats := e.stats()
	return stats.DatagramsReceived + stats.DatagramsSent
}

// transfer writes bytes on a new stream and waits until the other side has read them all.
func transfer(t testing.TB, client, server *Conn, bytes int64) {
	t.Helper()
	ours := must(client.OpenStream(within(t)))(t)
	read := make(chan error, 1)
	go func() {
		theirs, err := server.AcceptStream(context.Background())
		if err == nil {
			_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, theirs, make([]byte, 256<<10))
		}
		read <- err
	}()
	_, err := io.CopyBuffer(struct{ io.Writer }{ours}, io.LimitReader(zeros{}, bytes), make([]byte, 256<<10))
	ok(t, err)
	ok(t, ours.CloseWrite())
	ok(t, <-read)
	ok(t, ours.Close())
}

// BenchmarkBulk moves 64 MiB in one direction, with both ends in this process. The crossings from Go to C and the
// packets are those of both ends; both ends count a packet.
func BenchmarkBulk(b *testing.B) {
	client, server := pair(b)
	transfer(b, client, server, 1<<20)
	const size = 64 << 20
	b.SetBytes(size)
	before, packetsBefore := crossings.Load(), packets(client.ep)+packets(server.ep)
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		transfer(b, client, server, size)
	}
	b.StopTimer()
	moved := packets(client.ep) + packets(server.ep) - packetsBefore
	b.ReportMetric(float64(crossings.Load()-before)/float64(moved), "crossings/packet")
	b.ReportMetric(float64(moved)/float64(b.N), "packets/op")
}

// BenchmarkMessages sends messages of 1 KiB one way.
func BenchmarkMessages(b *testing.B) {
	client, server := pair(b)
	ctx := context.Background()
	b.SetBytes(1024)
	read := make(chan error, 1)
	go func() {
		for i := 0; i < b.N; i++ {
			if _, err := server.RecvMessage(ctx); err != nil {
				read <- err
				return
			}
		}
		read <- nil
	}()
	before, packetsBefore := crossings.Load(), packets(client.ep)+packets(server.ep)
	message := make([]byte, 1024)
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		ok(b, client.SendMessage(ctx, message))
	}
	ok(b, <-read)
	b.StopTimer()
	moved := packets(client.ep) + packets(server.ep) - packetsBefore
	b.ReportMetric(float64(crossings.Load()-before)/float64(moved), "crossings/packet")
}

// BenchmarkPingPong sends a message there and back.
func BenchmarkPingPong(b *testing.B) {
	l := echoServer(b)
	c := must(Dial(within(b), l.Addr().String()))(b)
	defer c.Abort(0, "")
	ctx := context.Background()
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		ok(b, c.SendMessage(ctx, []byte("ping")))
		if _, err := c.RecvMessage(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

// Calls from Go to C cost more than packets do if they are not batched, so their number is part of what is tested.
func TestCrossingsAreBatched(t *testing.T) {
	client, server := pair(t)
	transfer(t, client, server, 1<<20)
	before, packetsBefore := crossings.Load(), packets(client.ep)+packets(server.ep)
	begun := time.Now()
	transfer(t, client, server, 32<<20)
	moved := packets(client.ep) + packets(server.ep) - packetsBefore
	per := float64(crossings.Load()-before) / float64(moved)
	t.Logf("%.3f crossings per packet, %.0f MB/s", per, 32/time.Since(begun).Seconds())
	if sockets := client.ep.socket.Load(); sockets.segments > 1 && sockets.joins && per > 0.1 {
		t.Errorf("%.3f crossings per packet", per)
	}
}
