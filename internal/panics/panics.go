// Package panics recovers panics of goroutines that handle data from outside, and counts them. One malformed input
// must not end the monitoring of everything else; a panic that nobody notices is not fixed.
package panics

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"
)

// A Place is a part of the daemon in which a panic is recovered.
type Place uint8

const (
	Probe    Place = iota // an attempt of a probe
	Sandbox               // the results of probes in a sandbox
	Push                  // an entry of the push queue, or a receiver's response
	Scrape                // what a scrape reads about the agent
	Snapshot              // the agent's files, read for an incident
	Reload                // the configuration
	Sessions              // the session files of an agent
	places                // their number
)

var names = [places]string{"probe", "sandbox", "push", "scrape", "snapshot", "reload", "sessions"}

// String is the value of the label where.
func (p Place) String() string { return names[p] }

// All lists every place.
func All() []Place {
	all := make([]Place, places)
	for i := range all {
		all[i] = Place(i)
	}
	return all
}

// counts belongs to the process, not to an instance: a panic may occur in code that knows no instance.
var counts [places]atomic.Uint64

// Count returns how many panics were recovered in p since the process started.
func Count(p Place) uint64 { return counts[p].Load() }

// An Error is a recovered panic.
type Error struct {
	Value any
	Stack []byte
}

// Error is the value of the panic, without the stack.
func (e *Error) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Recover turns a panic into an [*Error] in *err and counts it. It must be deferred itself, not called by a deferred
// function.
func Recover(p Place, err *error) {
	if v := recover(); v != nil {
		counts[p].Add(1)
		*err = &Error{v, debug.Stack()}
	}
}

// Run calls f and returns its error, or the panic as an [*Error].
func Run(p Place, f func() error) (err error) {
	defer Recover(p, &err)
	return f()
}
