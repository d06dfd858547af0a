package jetstream

import (
	"testing"
	"time"
)

func TestMessagesAreReceivedAtTheirRate(t *testing.T) {
	const perSecond, messages = 100, 40
	l := listen(t, WithRateLimitMessages(perSecond, 1), WithRateLimitBytes(1<<20, 1<<20))
	client := must(Dial(within(t), l.Addr().String()))(t)
	server := must(l.Accept(within(t)))(t)
	defer client.Abort(0, "")
	defer server.Abort(0, "")
	for i := byte(0); i < messages; i++ {
		ok(t, client.SendMessage(within(t), []byte{i}))
	}
	var seen [messages]bool
	begun := time.Now()
	for range seen {
		message := must(server.RecvMessage(within(t)))(t)
		seen[message[0]] = true
	}
	for i, there := range seen {
		if !there {
			t.Errorf("message %d is missing", i)
		}
	}
	// The first is there at once.
	if least := (messages - 2) * time.Second / perSecond; time.Since(begun) < least {
		t.Errorf("all were there after %v", time.Since(begun))
	}
	if server.Stats().MessageDelays == 0 {
		t.Error("no delay was counted")
	}
}

func TestRatesHaveBounds(t *testing.T) {
	for _, option := range []Option{
		WithRateLimitBytes(999, 0), WithRateLimitBytes(0, 1), WithRateLimitMessages(1_000_001, 0),
	} {
		_, err := Listen("127.0.0.1:0", option)
		is(t, err, &Error{Code: CodeInvalidArgument})
	}
}
