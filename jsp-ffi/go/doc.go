// Package jetstream speaks JetStreamProto: connections over UDP with a post-quantum handshake, pinned keys instead of
// certificates, streams of bytes and of messages, and three ways to deliver messages.
//
//	conn, err := jetstream.Dial(ctx, "example.org:4433#jsp1-...")
//	if err != nil {
//		return err
//	}
//	defer conn.Close()
//	stream, err := conn.OpenStream(ctx)
//	if err != nil {
//		return err
//	}
//	fmt.Fprintln(stream, "hello")
//	if err := stream.CloseWrite(); err != nil {
//		return err
//	}
//	answer, err := io.ReadAll(stream)
//
// The server says who it is by the id of its key, jsp1-..., which clients pin. Without a pin only servers on this
// machine can be reached.
//
// There are two surfaces. [Dial] and [Listen] give a [Conn], whose streams feel like Go: a [Stream] is a net.Conn, a
// [MessageStream] takes contexts, and [Listener.NetListener] and [Dialer] let package net/http use them. [Connection]
// is smaller: connect, send messages, receive messages, from any goroutine.
//
// A device that has changed its network goes on with [Conn.Rebind] and loses nothing.
//
// # Errors
//
// Connections end with an [*ApplicationError] if an application closed them, a [*KeyMismatchError], or an [*Error] with
// a code; streams with io.EOF or a [*StreamError]. What this side has closed gives errors that are net.ErrClosed.
// Deadlines give os.ErrDeadlineExceeded, contexts their cause.
//
// # Building
//
// The protocol lives in the Rust crate jsp-ffi, linked statically on Linux. Build it first, with cargo build --release
// -p jsp-ffi. The package looks for the library in the target directory of its repository; if it is elsewhere, name
// that place: CGO_LDFLAGS="-L$CARGO_TARGET_DIR/release". The go command does not notice when the library changes: go
// clean -cache makes it link again.
package jetstream
