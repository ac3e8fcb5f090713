// Package doctor says whether an installation of netwatchd is well.
//
// It looks and asks, and changes nothing.
package doctor

import (
	"context"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"netwatchd/internal/config"
	"netwatchd/internal/host"
	"netwatchd/internal/plan"
)

// An Outcome is what became of a check, the worst last.
type Outcome uint8

const (
	OK    Outcome = iota
	Note            // neither well nor wrong: worth knowing
	Advice          // it works, and would be better otherwise
	Unknown         // cannot be seen from here
	Fault
)

// outcomeNames are the JSON values; scripts rely on them.
var outcomeNames = []string{OK: "well", Note: "note", Advice: "advice", Unknown: "unknown", Fault: "fault"}

func (o Outcome) String() string               { return outcomeNames[o] }
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// A Finding is what a check found, in a sentence, and what to change if that is not as it should be.
type Finding struct {
	Check   string   `json:"check"`
	Outcome Outcome  `json:"outcome"`
	Message string   `json:"says"`
	Fix     []Change `json:"do,omitempty"`
}

// A Change is lines to write into a file or, if it names none, commands to run.
type Change struct {
	File  string   `json:"in,omitempty"`
	Lines []string `json:"lines"`
}

// A Report is what an examination came to.
type Report struct {
	Version  string    `json:"version"` // of the program that examined
	Findings []Finding `json:"findings"`
}

// Worst is the worst outcome of all.
func (r Report) Worst() Outcome {
	worst := OK
	for _, f := range r.Findings {
		worst = max(worst, f.Outcome)
	}
	return worst
}

func run(lines ...string) Change { return Change{Lines: lines} }

func write(file string, lines ...string) Change { return Change{File: file, Lines: lines} }

// A Host is where an installation is.
type Host struct {
	Root    fs.FS    // its files
	Environ []string // of the shell that asks
	UID     int
	// Run runs a program and returns what it printed; an error says that it could not be run or did not exit with 0.
	Run    func(ctx context.Context, argv ...string) (string, error)
	Client *http.Client
	// Synchronised reports whether the kernel takes its clock to be synchronised.
	Synchronised func() (bool, error)
	Now          func() time.Time
	Denied       bool // the network, in a sandbox
}

// answerLimit bounds what answers at once if it answers at all: systemctl, cmd.exe, a daemon on this host.
const answerLimit = 3 * time.Second

// Here is this host.
func Here() Host {
	return Host{
		Root: os.DirFS("/"), Environ: os.Environ(), UID: os.Getuid(), Now: time.Now,
		Client:       &http.Client{Timeout: answerLimit, Transport: &http.Transport{}}, // no proxy: the daemon is on this host
		Run:          runProgram,
		Synchronised: synchronised,
		Denied:       host.DetectSandbox().Denied,
	}
}

func runProgram(ctx context.Context, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second
	said, err := cmd.Output()
	return string(said), err
}

func synchronised() (bool, error) {
	state, err := unix.Adjtimex(&unix.Timex{}) // asks; modes of zero change nothing
	return state != unix.TIME_ERROR, err
}

// An Installation is what is examined.
type Installation struct {
	Host
	Config  *config.Config
	Plan    *plan.Plan
	Version string // of this program
}

// Examine makes every check that there is to make here. It starts the agent's sandbox, and takes a second or two.
func Examine(ctx context.Context, in Installation) Report {
	r := Report{Version: in.Version}
	if in.Denied {
		r.Findings = []Finding{{"sandbox", Unknown, "this runs where the network is denied: an installation cannot be seen from inside a sandbox",
			[]Change{run("netwatchd doctor # outside of it")}}}
		return r
	}
	e := &examination{Installation: in, wsl: host.WSLIn(in.Root)}
	e.daemon = e.findDaemon()
	if e.answer = e.ask(ctx); e.answer.free {
		e.daemon, e.stray = nil, e.daemon
	}
	for _, check := range []func(context.Context) []Finding{
		e.configuration, e.codex, e.sandbox, e.unit, e.running, e.statusFile, e.storage, e.prometheus, e.clock, e.proxies, e.windows,
	} {
		r.Findings = append(r.Findings, check(ctx)...)
	}
	return r
}

// An examination is an installation with what several checks want to know.
type examination struct {
	Installation
	wsl    host.WSLFacts
	daemon *process // of this configuration; nil: none is seen
	stray  *process // of another
	answer answer
	own    unit // under which it runs, or would; known once there was a look at units
}

func (e *examination) getenv(name string) string { return lookup(e.Environ, name) }

func lookup(environ []string, name string) string {
	for _, entry := range slices.Backward(environ) {
		if value, is := strings.CutPrefix(entry, name+"="); is {
			return value
		}
	}
	return ""
}

func (e *examination) exists(name string) bool {
	_, err := fs.Stat(e.Root, name)
	return err == nil
}
