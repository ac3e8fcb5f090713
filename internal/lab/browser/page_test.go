package browser

import (
	"testing"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/stack"
)

// watched is a configuration with a sandbox that is closed.
func watched(t *testing.T, s *stack.Stack) string {
	bwrap := parts.Program(t, "bwrap", "bubblewrap")
	return s.Config("    sandbox: {command: [" + bwrap + ", --dev-bind, /, /, --unshare-net, --], want: closed, interval: 10s, timeout: 5s}")
}
