package jetstream

import (
	"context"
	"os"
	"sync"
	"time"
)

// A signal wakes everybody who waits for it. The endpoint's lock guards it, so that nothing is missed between a look
// at the state and the wait.
type signal struct {
	ch chan struct{}
}

func (s *signal) wait() <-chan struct{} {
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) raise() {
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}

// A deadline is a channel that is closed when the time set for an operation is over.
type deadline struct {
	mu     sync.Mutex
	timer  *time.Timer
	cancel chan struct{}
}

// set moves the deadline; the zero time is none. Operations that wait already follow it.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		// The timer has run out: its function closes the channel or has done so.
		<-d.cancel
	}
	d.timer = nil
	over := d.cancel != nil && isClosed(d.cancel)
	left := time.Until(t)
	if !t.IsZero() && left <= 0 {
		if d.cancel == nil {
			d.cancel = make(chan struct{})
		}
		if !over {
			close(d.cancel)
		}
		return
	}
	if d.cancel == nil || over {
		d.cancel = make(chan struct{})
	}
	if !t.IsZero() {
		cancel := d.cancel
		d.timer = time.AfterFunc(left, func() { close(cancel) })
	}
}

func (d *deadline) done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cancel == nil {
		d.cancel = make(chan struct{})
	}
	return d.cancel
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// expired says why an operation must not go on, if so.
func expired(ctx context.Context, limit <-chan struct{}) error {
	if limit != nil && isClosed(limit) {
		return os.ErrDeadlineExceeded
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// pause waits until the state that an operation looks at may have changed, or gives the reason to give up.
func pause(ctx context.Context, limit, changed <-chan struct{}) error {
	select {
	case <-changed:
		return nil
	case <-limit:
		return os.ErrDeadlineExceeded
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
