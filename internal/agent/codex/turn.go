package codex

import (
	"context"
	"sync"
)

// turns has a lock for each directory in which codex is run.
var turns sync.Map // StateDir -> chan struct{} with room for one

// takeTurn waits until no other codex of ours runs with the same StateDir, or ctx ends. Two at once renew a sign-in
// twice, and the second renewal is refused (refresh_token_reused). A run inside a wrapper is not counted: it is made
// beside one outside on purpose, to compare them.
func (c Codex) takeTurn(ctx context.Context) (release func(), err error) {
	if len(c.Wrapper) > 0 {
		return func() {}, nil
	}
	known, _ := turns.LoadOrStore(c.StateDir, make(chan struct{}, 1))
	turn := known.(chan struct{})
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
