package ladder

import (
	"netwatchd/internal/causes"
	"netwatchd/internal/probe"
)

// A Level is how urgent a cause looks: its color on the page and in the terminal.
type Level uint8

const (
	Good Level = iota
	Fair       // works in part, or is not known
	Bad        // a fault
)

var levelNames = []string{"good", "fair", "bad"}

func (l Level) String() string { return levelNames[l] }

// LevelOf is Bad for a fault, except that netwatchd runs in a sandbox itself: then the service may be healthy.
func LevelOf(c causes.Cause) Level {
	switch {
	case c == causes.Healthy:
		return Good
	case c.Fault() && c != causes.SelfSandboxed:
		return Bad
	}
	return Fair
}

// MarkOf is the mark of a verdict.
func MarkOf(c causes.Cause) Mark {
	if c == causes.Starting || c == causes.Suspended {
		return Blocked
	}
	return [...]Mark{Good: OK, Fair: Partial, Bad: Failed}[LevelOf(c)]
}

// Where names a vantage in a sentence.
func Where(v probe.Vantage) string {
	switch v {
	case probe.FromSandbox:
		return "in the sandbox"
	case probe.Direct:
		return "bypassing the system resolver and proxy"
	}
	return "on this host"
}
