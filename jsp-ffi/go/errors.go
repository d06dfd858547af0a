package jetstream

import (
	"fmt"
	"net"
	"syscall"
)

// A Code is one of the numbers with which the library says what went wrong; they are never reused.
type Code int32

// The codes that programs may want to tell apart.
const (
	CodeInvalidArgument    Code = -2
	CodeWrongKind          Code = -8
	CodeClosed             Code = -9
	CodeFinished           Code = -10
	CodeEmptyMessage       Code = -14
	CodeMessageTooLarge    Code = -15
	CodeModeNeedsMessages  Code = -16
	CodeInvalidKey         Code = -18
	CodeInvalidKeyID       Code = -19
	CodeTrustRequired      Code = -20
	CodeShuttingDown       Code = -21
	CodeTooManyConnections Code = -22
	CodeTooLarge           Code = -23
	CodeNotConnected       Code = -25
	CodeABI                Code = -29
	CodeSystem             Code = -30
	CodeTimeout            Code = -31
	CodeAddress            Code = -32
	CodeWrongState         Code = -33
	CodeDiscarded          Code = -34
	CodeNotAClient         Code = -35
	CodeNotConfirmed       Code = -38
	CodeKeyUpdatePending   Code = -39
	CodeLocallyClosed      Code = -64
	CodePeerClosed         Code = -65
	CodePeerError          Code = -66
	CodeProtocol           Code = -67
	CodeIdleTimeout        Code = -68
	CodeNoAnswer           Code = -69
	CodeKeyMismatch        Code = -70
	CodeKeyRejected        Code = -71
	CodeRefused            Code = -72
	CodeVersion            Code = -73
	CodeEndpointGone       Code = -74
	CodePeerReset          Code = -75
	CodeUndelivered        Code = -76
)

const (
	codeBufferTooSmall Code = -4
	codeWouldBlock     Code = -5
	codeNoConnection   Code = -6
	codeNoStream       Code = -7
	codeReset          Code = -11
	codeStopped        Code = -12
	codeEnd            Code = -13
	codeStreamLimit    Code = -17
)

// An Error is whatever the library objects to and no other type of error describes.
//
// It is [net.ErrClosed] if this side closed what was used, [syscall.ECONNRESET] if the peer has lost the connection
// (CodePeerReset: it was probably restarted), and a net.Error with Timeout() true if time ran out.
type Error struct {
	// Code says what went wrong.
	Code Code
	// ProtocolCode is the protocol's own code of CodePeerError and CodeProtocol, the server's of CodeRefused, and
	// the one that was given to close of CodeUndelivered.
	ProtocolCode uint64
	text         string
}

func (e *Error) Error() string { return "jetstream: " + e.text }

// Is makes errors.Is find net.ErrClosed, syscall.ECONNRESET, and other errors of this type by their code.
func (e *Error) Is(target error) bool {
	if target == net.ErrClosed {
		return e.Code == CodeClosed || e.Code == CodeFinished || e.Code == CodeLocallyClosed
	}
	if target == syscall.ECONNRESET {
		return e.Code == CodePeerReset
	}
	other, ok := target.(*Error)
	return ok && other.Code == e.Code
}

// Timeout says whether time ran out.
func (e *Error) Timeout() bool {
	switch e.Code {
	case CodeTimeout, CodeIdleTimeout, CodeNoAnswer, CodeUndelivered:
		return true
	}
	return false
}

// Temporary is part of net.Error.
func (e *Error) Temporary() bool { return e.Timeout() }

// An ApplicationError ends a connection that an application closed.
type ApplicationError struct {
	// Code is what it gave as a code; 0 is by custom the regular end.
	Code uint64
	// Reason is what it gave as a reason, at most 128 bytes. It came over the network: print it with %q.
	Reason string
	// Remote says that the peer closed the connection and not this side.
	Remote bool
}

func (e *ApplicationError) Error() string {
	who := "this side"
	if e.Remote {
		who = "the peer"
	}
	if e.Reason == "" {
		return fmt.Sprintf("jetstream: closed by %s with code %d", who, e.Code)
	}
	return fmt.Sprintf("jetstream: closed by %s with code %d: %q", who, e.Code, e.Reason)
}

// Is makes errors.Is find net.ErrClosed where this side closed the connection.
func (e *ApplicationError) Is(target error) bool { return target == net.ErrClosed && !e.Remote }

// A StreamError says that one side gave up a stream, or one half of it.
type StreamError struct {
	// Code is what it gave as a code.
	Code uint64
	// Stopped says that the reader wants no more; otherwise the writer has reset the stream.
	Stopped bool
	// Remote says that the peer did it and not this side.
	Remote bool
}

func (e *StreamError) Error() string {
	who, what := "this side", "reset"
	if e.Remote {
		who = "the peer"
	}
	if e.Stopped {
		what = "stopped"
	}
	return fmt.Sprintf("jetstream: stream %s by %s with code %d", what, who, e.Code)
}

// Is makes errors.Is find net.ErrClosed where this side gave up the stream.
func (e *StreamError) Is(target error) bool { return target == net.ErrClosed && !e.Remote }

// A KeyMismatchError says that a server holds another key than the trusted one.
type KeyMismatchError struct {
	// Expected is the id of the trusted key.
	Expected string
	// Found is the id of the key that answered. Not proven: whoever is on the path could have sent it.
	Found string
}

func (e *KeyMismatchError) Error() string {
	return fmt.Sprintf("jetstream: the server's key is not the trusted one: expected %s, found %s", e.Expected, e.Found)
}

// A DiscardedError is reported once by Connection.Receive when messages had to be thrown away because the program had
// not begun to receive. Those that are left can be received.
type DiscardedError struct {
	// Messages is how many were thrown away.
	Messages uint64
}

func (e *DiscardedError) Error() string {
	return fmt.Sprintf("jetstream: %d messages were discarded because nobody received them", e.Messages)
}

// Is makes errors.Is find an Error with CodeDiscarded.
func (e *DiscardedError) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && other.Code == CodeDiscarded
}

// errClosed is what operations on something that this side has closed return.
var errClosed = &Error{Code: CodeClosed, text: "closed"}

func wrongState(text string) error { return &Error{Code: CodeWrongState, text: text} }

func badAddress(text string) error { return &Error{Code: CodeAddress, text: text} }
