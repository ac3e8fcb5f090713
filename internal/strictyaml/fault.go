package strictyaml

import (
	"fmt"
	"strings"
)

// A Fault is one error in a configuration: where it is, what is wrong and what to do.
type Fault struct {
	File    string // as given; empty for a flag or an environment variable
	Line    int    // zero if the fault concerns the whole file
	Path    string // `services[0].probes[1] "head": interval`, `--log.level`, `NETWATCHD_LOG_LEVEL`
	Message string // "30 has no unit: write 30s"
}

func (f Fault) String() string {
	var b strings.Builder
	if f.File != "" {
		b.WriteString(f.File)
		if f.Line > 0 {
			fmt.Fprintf(&b, ":%d", f.Line)
		}
		b.WriteString(": ")
	}
	if f.Path != "" {
		b.WriteString(f.Path + ": ")
	}
	return b.String() + f.Message
}

// Error holds all faults of a configuration, in the order of the file.
type Error struct{ Faults []Fault }

// shownFaults keeps a mistake repeated in ten thousand probes from scrolling the first fault off the screen.
const shownFaults = 100

// Error lists the faults, one per line.
func (e *Error) Error() string {
	shown := e.Faults[:min(len(e.Faults), shownFaults)]
	lines := make([]string, 0, len(shown)+1)
	for _, f := range shown {
		lines = append(lines, f.String())
	}
	if more := len(e.Faults) - len(shown); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more: fix these first", more))
	}
	return strings.Join(lines, "\n")
}
