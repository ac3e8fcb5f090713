// Package sessions follows the session files of coding agents and tells what went wrong in them.
//
// Session files hold prompts, answers and commands. Nothing of that leaves this package: an [Event] has closed codes,
// counts and times only. The parsers look at the few lines that can hold a reason, and do no I/O.
package sessions

import (
	"time"

	"netwatchd/internal/enum"
	"netwatchd/internal/probe"
)

// An Event is what one line of a session file shows.
type Event struct {
	At   time.Time // as the line has it; never in the future
	Kind Kind
	// Class is how it ended, in the classes of runs of the agent; Unknown: the agent gave no reason that is known.
	Class   probe.Class
	Retry   int     // Retry: which one in a row, from 1; zero: the file does not tell
	Network Network // what the policy of the turn allows its commands
	Limits  []Limit
}

// Kind is what happened.
type Kind uint8

const (
	Turn   Kind = iota // a turn ended, with class OK or a failure
	Retry              // a request failed, and the agent tries again
	Denied             // a command of the agent wanted the network, and its sandbox denied it
	Limits             // how much of the account's limits is used
)

// Network is what the policy of a turn allows the agent's commands.
type Network uint8

const (
	NetworkUnknown Network = iota
	NetworkDenied
	NetworkAllowed
)

var networkNames = []string{"", "denied", "allowed"}

func (n Network) String() string { return enum.String(networkNames, n, "network") }

// A Limit is how much of a limit of the account is used.
type Limit struct {
	Window string    // "primary" or "secondary"
	Used   float64   // 1: all of it
	Resets time.Time // when it begins again
}

// A parser reads the complete lines of one file, in order. It keeps only what it needs to understand later lines.
type parser interface {
	// parse returns what a line shows. It reports false for most lines.
	parse(line []byte) (Event, bool)
}

// parseTime returns a time in RFC 3339, or zero.
func parseTime(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return t
}
