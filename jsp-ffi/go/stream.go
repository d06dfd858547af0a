package jetstream

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// A stream is what streams of bytes and of messages have in common.
type stream struct {
	conn       *Conn
	ep         *endpoint
	id         uint64
	readLimit  deadline
	writeLimit deadline

	// What follows is guarded by the lock of the endpoint.

	readable signal
	writable signal
	// Why nothing can be read, or written, any more.
	readErr  error
	writeErr error
	// The peer has given up sending, which counts when everything before it was read.
	reset error
	// Everything before it was read, but the code has not come yet.
	resetSeen bool
}

// errDirection is for the wrong half of a stream in one direction.
var errDirection = &Error{Code: CodeWrongKind, text: "the stream goes in the other direction only"}

// errFinished is for writes after CloseWrite.
var errFinished = &Error{Code: CodeFinished, text: "this side has finished the stream already"}

// newStream keeps a stream. Under the lock.
func newStream(c *Conn, id uint64, own bool) *stream {
	s := &stream{conn: c, ep: c.ep, id: id}
	if id&2 != 0 {
		if own {
			s.readErr = errDirection
		} else {
			s.writeErr = errDirection
		}
	}
	c.streams[id] = s
	return s
}

// hasMessages tells what the stream carries, messages or bytes; ids say it in bits 2 and 3.
func (s *stream) hasMessages() bool {
	kind := s.id >> 2 & 3
	return kind == kindOrderedMessages || kind == kindUnorderedMessages
}

func (s *stream) onReadable() { s.readable.raise() }

func (s *stream) onWritable() { s.writable.raise() }

func (s *stream) onReset(code uint64) {
	s.reset = &StreamError{Code: code, Remote: true}
	if s.resetSeen {
		s.endReading(s.reset)
	}
	s.readable.raise()
}

func (s *stream) onStopped(code uint64) {
	s.endWriting(&StreamError{Code: code, Stopped: true, Remote: true})
}

// endReading says why nothing can be read any more; the first reason counts.
func (s *stream) endReading(err error) {
	if s.readErr == nil {
		s.readErr = err
	}
	s.readable.raise()
	s.settle()
}

func (s *stream) endWriting(err error) {
	if s.writeErr == nil {
		s.writeErr = err
	}
	s.writable.raise()
	s.settle()
}

// settle forgets a stream of which nothing is expected any more.
func (s *stream) settle() {
	if s.readErr != nil && s.writeErr != nil {
		delete(s.conn.streams, s.id)
	}
}

// mayRead says why nothing can be read, if so, without asking the state machine; or for what to wait.
func (s *stream) mayRead() (<-chan struct{}, error) {
	if s.readErr != nil {
		return nil, s.readErr
	}
	if err := s.conn.usable(); err != nil {
		return nil, err
	}
	if s.resetSeen {
		return s.orOver(&s.readable)
	}
	return nil, nil
}

func (s *stream) mayWrite() error {
	if s.writeErr != nil {
		return s.writeErr
	}
	if err := s.conn.usable(); err != nil {
		return err
	}
	if s.conn.over {
		return s.conn.err
	}
	return nil
}

// orOver is something to wait for, unless the connection is over.
func (s *stream) orOver(changed *signal) (<-chan struct{}, error) {
	if s.conn.over {
		return nil, s.conn.err
	}
	return changed.wait(), nil
}

// cannotRead deals with the state machine's answer that there is nothing.
func (s *stream) cannotRead(code Code) (<-chan struct{}, error) {
	switch {
	case code == codeWouldBlock:
		if s.ep.paced {
			s.ep.kick()
		}
		return s.orOver(&s.readable)
	case code == codeEnd:
		s.ep.kick()
		s.endReading(io.EOF)
	case code == codeReset && s.reset == nil:
		s.resetSeen = true
		return s.orOver(&s.readable)
	case code == codeReset || code == codeNoStream && s.reset != nil:
		// The state machine may have forgotten a stream of which nothing but its reset was left to tell.
		s.ep.kick()
		s.endReading(s.reset)
	case s.conn.over:
		s.endReading(s.conn.err)
	default:
		s.endReading(errorOfCode(code))
	}
	return nil, s.readErr
}

// cannotWrite deals with the state machine's answer that it takes nothing.
func (s *stream) cannotWrite(code Code) (<-chan struct{}, error) {
	switch {
	case code == codeWouldBlock, code == codeStopped:
		// The peer's code for a stop comes as an event.
		return s.orOver(&s.writable)
	case s.conn.over:
		return nil, s.conn.err
	case code == CodeEmptyMessage, code == CodeMessageTooLarge, code == CodeWrongKind:
		return nil, errorOfCode(code)
	}
	s.endWriting(errorOfCode(code))
	return nil, s.writeErr
}

// ID is the number of the stream in its connection.
func (s *stream) ID() uint64 { return s.id }

// SetPriority changes how urgent the stream is, from 0 to 255; higher is more urgent.
func (s *stream) SetPriority(priority uint8) error {
	return s.act(func() Code { return s.ep.native.setPriority(s.ep.now(), s.conn.id, s.id, priority) })
}

// act does something to the stream, if it can still be used.
func (s *stream) act(act func() Code) error {
	s.ep.mu.Lock()
	defer s.ep.mu.Unlock()
	if err := s.mayWrite(); err != nil {
		return err
	}
	if code := act(); code != 0 {
		return errorOfCode(code)
	}
	s.ep.kick()
	return nil
}

// CloseWrite says that this side sends no more. The peer reads everything that was sent before, and then the end.
func (s *stream) CloseWrite() error {
	return s.act(func() Code {
		code := s.ep.native.finish(s.ep.now(), s.conn.id, s.id)
		if code == 0 {
			s.endWriting(errFinished)
		}
		return code
	})
}

// Reset gives up sending: what is not delivered yet is dropped, and the peer learns the code.
func (s *stream) Reset(code uint64) error {
	s.ep.mu.Lock()
	defer s.ep.mu.Unlock()
	if err := s.conn.usable(); err != nil {
		return err
	}
	if status := s.ep.native.reset(s.ep.now(), s.conn.id, s.id, code); status != 0 {
		if s.writeErr != nil {
			return s.writeErr
		}
		return errorOfCode(status)
	}
	s.endWriting(&StreamError{Code: code})
	s.ep.kick()
	return nil
}

// stopReading says to the peer that nothing more of it is wanted. Under the lock.
func (s *stream) stopReading(code uint64, why error) error {
	if s.readErr != nil {
		return s.readErr
	}
	if err := s.conn.usable(); err != nil {
		return err
	}
	s.ep.native.stop(s.ep.now(), s.conn.id, s.id, code)
	s.endReading(why)
	s.ep.kick()
	return nil
}

// close finishes what this side sends and gives up reading.
func (s *stream) close() {
	s.ep.mu.Lock()
	defer s.ep.mu.Unlock()
	if s.mayWrite() == nil {
		s.ep.native.finish(s.ep.now(), s.conn.id, s.id)
	}
	// Nothing to stop is just as well.
	_ = s.stopReading(0, errClosed)
	s.readErr, s.writeErr = errClosed, errClosed
	s.writable.raise()
	s.settle()
	s.ep.kick()
}

// A Stream is a stream of bytes, reliable and ordered: a [net.Conn]. Its methods may be called from any number of
// goroutines.
type Stream struct {
	*stream
	// Serializes writes, so that concurrent ones are not mixed.
	writeMu sync.Mutex
	readMu  sync.Mutex
	// Read in advance for small reads.
	staged []byte
	buffer *[stageLen]byte
	closed bool
}

var _ net.Conn = (*Stream)(nil)

// stageLen is how much is fetched at once for programs that read in small pieces.
const stageLen = 32 << 10

var stages = sync.Pool{New: func() any { return new([stageLen]byte) }}

// Read reads what there is, or waits. The error at the regular end is io.EOF; a [*StreamError] says that the peer has
// given up.
func (s *Stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		limit := s.readLimit.done()
		if err := expired(context.Background(), limit); err != nil {
			return 0, err
		}
		n, changed, err := s.tryRead(p)
		if n > 0 || err != nil {
			return n, err
		}
		if err := pause(context.Background(), limit, changed); err != nil {
			return 0, err
		}
	}
}

func (s *Stream) tryRead(p []byte) (int, <-chan struct{}, error) {
	s.readMu.Lock()
	defer s.readMu.Unlock()
	if s.closed {
		return 0, nil, errClosed
	}
	if len(s.staged) == 0 {
		if len(p) >= stageLen/2 {
			return s.pull(p)
		}
		s.buffer = stages.Get().(*[stageLen]byte)
		n, changed, err := s.pull(s.buffer[:])
		s.staged = s.buffer[:n]
		if n == 0 {
			s.unstage()
			return 0, changed, err
		}
	}
	n := copy(p, s.staged)
	s.staged = s.staged[n:]
	if len(s.staged) == 0 {
		s.unstage()
	}
	return n, nil, nil
}

func (s *Stream) unstage() {
	if s.buffer != nil {
		stages.Put(s.buffer)
	}
	s.staged, s.buffer = nil, nil
}

// pull reads from the state machine.
func (s *stream) pull(into []byte) (int, <-chan struct{}, error) {
	s.ep.mu.Lock()
	defer s.ep.mu.Unlock()
	if changed, err := s.mayRead(); changed != nil || err != nil {
		return 0, changed, err
	}
	n := s.ep.native.recv(s.ep.now(), s.conn.id, s.id, into)
	if n >= 0 {
		s.ep.read(int(n))
		return int(n), nil, nil
	}
	changed, err := s.cannotRead(Code(n))
	return 0, changed, err
}

// Write takes all of p, waiting for room where necessary. Like with TCP, that it was taken does not mean that it has
// arrived; Conn.Close waits for that.
func (s *Stream) Write(p []byte) (int, error) {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	written := 0
	for {
		limit := s.writeLimit.done()
		if err := expired(context.Background(), limit); err != nil {
			return written, err
		}
		n, changed, err := s.push(p[written:])
		written += n
		if written == len(p) || err != nil {
			return written, err
		}
		if err := pause(context.Background(), limit, changed); err != nil {
			return written, err
		}
	}
}

// push writes to the state machine. If that takes less than everything it tells when there is room again.
func (s *stream) push(data []byte) (int, <-chan struct{}, error) {
	s.ep.mu.Lock()
	defer s.ep.mu.Unlock()
	if err := s.mayWrite(); err != nil {
		return 0, nil, err
	}
	n := s.ep.native.send(s.ep.now(), s.conn.id, s.id, data)
	if n < 0 {
		changed, err := s.cannotWrite(Code(n))
		return 0, changed, err
	}
	s.ep.kick()
	if int(n) == len(data) {
		return int(n), nil, nil
	}
	return int(n), s.writable.wait(), nil
}

// StopReading tells the peer to send no more, with a code; what arrived and was not read is dropped.
func (s *Stream) StopReading(code uint64) error {
	err := s.stopReadingLocked(code)
	s.dropStaged(false)
	return err
}

func (s *stream) stopReadingLocked(code uint64) error {
	s.ep.mu.Lock()
	defer s.ep.mu.Unlock()
	return s.stopReading(code, &StreamError{Code: code, Stopped: true})
}

func (s *Stream) dropStaged(closed bool) {
	s.readMu.Lock()
	defer s.readMu.Unlock()
	s.closed = s.closed || closed
	s.unstage()
}

// Close finishes the stream, so that the peer reads everything that was written and then the end, and gives up reading.
func (s *Stream) Close() error {
	s.stream.close()
	s.dropStaged(true)
	return nil
}

// LocalAddr is the address of this side's socket.
func (s *Stream) LocalAddr() net.Addr { return s.conn.LocalAddr() }

// RemoteAddr is the peer's address.
func (s *Stream) RemoteAddr() net.Addr { return s.conn.RemoteAddr() }

// Conn is the connection of the stream.
func (s *Stream) Conn() *Conn { return s.conn }

// SetDeadline sets both deadlines.
func (s *Stream) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

// SetReadDeadline sets until when reads may wait, also those that wait already. Their error is then
// os.ErrDeadlineExceeded. The zero time is no deadline.
func (s *Stream) SetReadDeadline(t time.Time) error {
	s.readLimit.set(t)
	return nil
}

// SetWriteDeadline sets until when writes may wait, also those that wait already.
func (s *Stream) SetWriteDeadline(t time.Time) error {
	s.writeLimit.set(t)
	return nil
}
