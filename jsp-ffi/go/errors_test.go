package jetstream

import (
	"errors"
	"syscall"
	"testing"
)

// A peer that has lost the connection looks like one of TCP that has.
func TestPeerResetIsAnErrorOfTheSystem(t *testing.T) {
	reset := error(&Error{Code: CodePeerReset, text: "lost"})
	if !errors.Is(reset, syscall.ECONNRESET) || !errors.Is(reset, &Error{Code: CodePeerReset}) {
		t.Errorf("%v is not ECONNRESET", reset)
	}
	if errors.Is(&Error{Code: CodeClosed}, syscall.ECONNRESET) {
		t.Error("everything is ECONNRESET")
	}
}
