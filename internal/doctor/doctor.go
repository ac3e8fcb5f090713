// Package doctor checks an installation of netwatchd.
//
// It only reads and queries; it changes nothing.
package doctor

import (
	"context"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"netwatchd/internal/clientrules"
	"netwatchd/internal/config"
	"netwatchd/internal/host"
	"netwatchd/internal/plan"
	"netwatchd/internal/probe/execprobe"
)

// An Outcome is the result of a check; the worst comes last.
type Outcome uint8

const (
	OK      Outcome = iota
	Note            // neither right nor wrong, but worth knowing
	Advice          // works, but could be better
	Unknown         // cannot be determined from here
	Fault
)

// outcomeNames are the JSON values; scripts rely on them.
var outcomeNames = []string{OK: "well", Note: "note", Advice: "advice", Unknown: "unknown", Fault: "fault"}

func (o Outcome) String() string               { return outcomeNames[o] }
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// A Finding is the result of a check, in a sentence, and what to change if something is wrong.
type Finding struct {
	Check   string   `json:"check"`
	Outcome Outcome  `json:"outcome"`
	Message string   `json:"says"`
	Fix     []Change `json:"do,omitempty"`
}

func newFinding(check string, o Outcome, message string, fix ...Change) Finding {
	return Finding{Check: check, Outcome: o, Message: message, Fix: fix}
}

func one(check string, o Outcome, message string, fix ...Change) []Finding {
	return []Finding{newFinding(check, o, message, fix...)}
}

// A Change is a list of lines to write into File or, without a File, of commands to run.
type Change struct {
	File  string   `json:"in,omitempty"`
	Lines []string `json:"lines"`
}

// A Report holds all findings.
type Report struct {
	Version  string    `json:"version"` // of the program that made the report
	Findings []Finding `json:"findings"`
}

// Worst returns the worst outcome of all findings.
func (r Report) Worst() Outcome {
	worst := OK
	for _, f := range r.Findings {
		worst = max(worst, f.Outcome)
	}
	return worst
}

func run(lines ...string) Change { return Change{Lines: lines} }

func write(file string, lines ...string) Change { return Change{File: file, Lines: lines} }

// A Host gives access to the host that is examined.
type Host struct {
	Root    fs.FS    // its files
	Environ []string // of the shell in which doctor runs
	UID     int
	// Run runs a program and returns its output. It fails if the program cannot be started or does not exit with 0.
	Run    func(ctx context.Context, argv ...string) (string, error)
	Client *http.Client
	// Synchronized reports whether the kernel considers its clock synchronized.
	Synchronized func() (bool, error)
	Now          func() time.Time
	Denied       bool // this process is denied the network
}

// localTimeout limits what answers at once or never: systemctl, cmd.exe, a daemon on this host.
const localTimeout = 3 * time.Second

// Here returns this host.
func Here() Host {
	return Host{
		Root: os.DirFS("/"), Environ: os.Environ(), UID: os.Getuid(), Now: time.Now,
		// An empty Transport uses no proxy: the daemon is on this host.
		Client:       &http.Client{Timeout: localTimeout, Transport: &http.Transport{}},
		Run:          runProgram,
		Synchronized: synchronized,
		Denied:       host.DetectSandbox().Denied,
	}
}

func runProgram(ctx context.Context, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, localTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = execprobe.Environment(nil)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	return string(out), err
}

func synchronized() (bool, error) {
	state, err := unix.Adjtimex(&unix.Timex{}) // a query: Modes of zero changes nothing
	return state != unix.TIME_ERROR, err
}

// An Installation is what Examine examines.
type Installation struct {
	Host
	Config  *config.Config
	Plan    *plan.Plan
	Version string // of this program
}

// Examine runs every check that applies here. It starts the agent's sandbox and takes one or two seconds.
func Examine(ctx context.Context, in Installation) Report {
	r := Report{Version: in.Version}
	if in.Denied {
		r.Findings = one("sandbox", Unknown,
			"the network is denied here: an installation cannot be checked from inside a sandbox",
			run("netwatchd doctor # outside the sandbox"))
		return r
	}
	e := &examination{Installation: in, wsl: host.WSLIn(in.Root)}
	e.answer = e.queryDaemon(ctx)
	e.daemon = theDaemon(e.findDaemons(), e.answer.status)
	if e.answer.free {
		e.daemon, e.other = nil, e.daemon
	}
	for _, check := range []func(context.Context) []Finding{
		e.configuration, e.permissions, e.exposure, e.agents, e.sandbox, e.unit, e.secrets, e.running, e.statusFile,
		e.storage, e.prometheus, e.clock, e.proxies, e.reach, e.windows,
	} {
		r.Findings = append(r.Findings, check(ctx)...)
	}
	return r
}

// An examination is an installation with what several checks need.
type examination struct {
	Installation
	wsl    host.WSLFacts
	daemon *process // of this configuration; nil: none found
	other  *process // of another configuration
	answer answer
	own    unit // the unit netwatchd runs under, or would; set by the unit check
}

func (e *examination) getenv(name string) string { return lookup(e.Environ, name) }

func lookup(environ []string, name string) string {
	value, _ := clientrules.EnvironmentOf(environ)(name)
	return value
}

func (e *examination) exists(name string) bool {
	_, err := fs.Stat(e.Root, name)
	return err == nil
}
