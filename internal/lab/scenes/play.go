package scenes

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/world"
)

// A status is netwatchd's JSON, by the names of its contract.
type status struct {
	At       time.Time
	Services []verdict
	Verdict  verdict // of a backtest
}

type verdict struct {
	Service  string
	Cause    string
	Severity string
	Title    string
	Advice   string
	Since    time.Time
	Delay    float64 `json:"delay_seconds"`
	Also     []struct{ Cause string }
	Evidence []evidence
	Results  []result
}

type evidence struct {
	Probe, Class, Why string
	Elapsed           float64 `json:"elapsed_seconds"`
}

type result struct {
	Start, Date                 time.Time // Date is the server's clock
	Role, Probe, Class, Vantage string
}

// of returns the class of the service's probe from this vantage; empty if there is no result.
func (v verdict) of(probe, vantage string) string {
	for _, r := range v.Results {
		if r.Role == "" && r.Probe == probe && r.Vantage == vantage {
			return r.Class
		}
	}
	return ""
}

// after reports whether all attempts of the verdict started after that time. Those made by the agent are rare and exempt.
func (v verdict) after(at time.Time) bool {
	return len(v.Results) > 0 && !slices.ContainsFunc(v.Results, func(r result) bool {
		byAgent := r.Probe == "exec" || r.Probe == "exec/stub" || r.Probe == "exec-status"
		return !byAgent && r.Start.Before(at)
	})
}

// decisive is the class of the first evidence; empty if healthy.
func (v verdict) decisive() string {
	if v.Cause == "healthy" || len(v.Evidence) == 0 {
		return ""
	}
	return v.Evidence[0].Class
}

// stub is the run of the agent against a stub of its service that the verdict shows.
func (v verdict) stub() (evidence, bool) {
	i := slices.IndexFunc(v.Evidence, func(e evidence) bool { return e.Probe == "exec/stub" })
	if i < 0 {
		return evidence{}, false
	}
	return v.Evidence[i], true
}

// names are the main cause and the others found.
func (v verdict) names() []string {
	all := []string{v.Cause}
	for _, also := range v.Also {
		all = append(all, also.Cause)
	}
	return all
}

func parse(text []byte) (verdict, error) {
	var s status
	if err := json.Unmarshal(text, &s); err != nil {
		return verdict{}, err
	}
	if s.Verdict.Cause != "" {
		return s.Verdict, nil
	}
	if len(s.Services) != 1 {
		return verdict{}, fmt.Errorf("%d services, want one", len(s.Services))
	}
	return s.Services[0], nil
}

// An Outcome is the result of playing a scene.
type Outcome struct {
	Scene  *Scene
	ByHand verdict       // of the command
	Daemon verdict       // of the daemon that ran during the fault
	Waited time.Duration // from the fault to the daemon's verdict, including the wait for its next round
}

// patience bounds each wait. A verdict takes an interval, a timeout and less than two seconds; one on a fault in pieces,
// three failures among some twenty attempts.
var patience = time.Minute

// play plays a scene: a daemon finds the world healthy, the fault is injected, then the command and the daemon give
// verdicts.
func play(t testing.TB, w *world.World, s *Scene) Outcome {
	t.Helper()
	d := begin(t, w, s)
	if s.Inject != nil {
		s.Inject(w)
	}
	injected := time.Now() // after the injection, during which a server may be gone for a moment
	o := Outcome{Scene: s}
	exits := make(chan parts.Exit, 1)
	go func() { exits <- runByHand(t, w, s.byHand()) }()
	o.Daemon, o.Waited = await(t, w, s, d, injected)
	exit := <-exits
	var err error
	if o.ByHand, err = parse([]byte(exit.Stdout)); err != nil {
		t.Fatalf("%v --json: %v\nstdout: %s\nstderr: %s", s.byHand().Command, err, exit.Stdout, exit.Stderr)
	}
	return o
}

func runByHand(t testing.TB, w *world.World, a ByHand) parts.Exit {
	n := w.Netwatchd()
	if a.Inside {
		n.Via = w.Agent.Sandbox()
	}
	return n.Run(t, append(a.Command[:len(a.Command):len(a.Command)], "--config.file="+w.WriteConfig(), "--json")...)
}

// begin starts a daemon and waits until it finds the world healthy.
func begin(t testing.TB, w *world.World, s *Scene) *parts.Daemon {
	t.Helper()
	w.Begin(t, s.Config)
	if s.Before != nil {
		s.Before(w)
	}
	os.Remove(w.StatusFile())
	os.RemoveAll(w.Storage()) // the daemon of an earlier scene has stored what it knew of its faults
	d := w.Netwatchd().Start(t, "--config.file="+w.WriteConfig())
	d.Await(patience, func() error {
		v, err := read(w)
		if err == nil && v.Cause != "healthy" {
			err = fmt.Errorf("before the fault: cause %q: %s", v.Cause, v.Title)
		}
		return err
	})
	return d
}

func read(w *world.World) (verdict, error) {
	text, err := os.ReadFile(w.StatusFile())
	if err != nil {
		return verdict{}, err
	}
	return parse(text)
}

// await follows the status file until it has the scene's cause, based on attempts after the injection.
func await(t testing.TB, w *world.World, s *Scene, d *parts.Daemon, injected time.Time) (verdict, time.Duration) {
	t.Helper()
	var v verdict
	reported := make(map[string]bool)
	err := d.Eventually(patience, func() error {
		latest, err := read(w)
		if err != nil {
			return err
		}
		if v = latest; !v.after(injected) {
			return fmt.Errorf("cause %q is from before the fault", v.Cause)
		}
		for _, name := range v.names() {
			if slices.Contains(s.Forbidden(s.Cause), name) && !reported[name] {
				reported[name] = true
				t.Errorf("the daemon found %q (%s), which is forbidden here: %+v", name, v.Title, v.Evidence)
			}
		}
		switch {
		case s.Inside != "" && v.of("head", "sandbox") != s.Inside:
			return fmt.Errorf("inside the sandbox %q, want %q", v.of("head", "sandbox"), s.Inside)
		case s.Cause == "healthy" && v.of("stream", "host") != "ok":
			return fmt.Errorf("no stream held yet")
		case v.Cause != s.Cause && !slices.Contains(s.Or, v.Cause):
			return fmt.Errorf("cause %q (%s), want %q", v.Cause, v.Title, s.Cause)
		}
		return nil
	})
	if err != nil {
		t.Errorf("the daemon: %v: %+v", err, v.Evidence)
	}
	return v, time.Since(injected)
}

// judge compares the outcome with the scene.
func (o Outcome) judge(t testing.TB) {
	t.Helper()
	s, want := o.Scene, o.Scene.byHand()
	by := want.Command[0]
	if o.ByHand.Cause != want.Cause && !slices.Contains(slices.Concat(s.Or, want.Or), o.ByHand.Cause) {
		t.Errorf("%s: cause %q (%s), want %q: %+v", by, o.ByHand.Cause, o.ByHand.Title, want.Cause, o.ByHand.Evidence)
	}
	for _, name := range o.ByHand.names() {
		if slices.Contains(s.Forbidden(want.Cause), name) {
			t.Errorf("%s found %q, which is forbidden here: %+v", by, name, o.ByHand.Evidence)
		}
	}
	if want.Class != "" && o.ByHand.decisive() != want.Class {
		t.Errorf("%s: decisive class %q, want %q: %+v", by, o.ByHand.decisive(), want.Class, o.ByHand.Evidence)
	}
	if s.Class != "" && o.Daemon.decisive() != s.Class {
		t.Errorf("the daemon: decisive class %q, want %q: %+v", o.Daemon.decisive(), s.Class, o.Daemon.Evidence)
	}
	if s.Inside != "" && len(o.ByHand.Results) > 0 && o.ByHand.of("head", "sandbox") != s.Inside {
		t.Errorf("%s: inside the sandbox %q, want %q", by, o.ByHand.of("head", "sandbox"), s.Inside)
	}
}

// says checks that every verdict has the words of the scene.
func (o Outcome) says(t testing.TB) {
	t.Helper()
	for by, v := range map[string]verdict{"the daemon": o.Daemon, o.Scene.byHand().Command[0]: o.ByHand} {
		text := []string{v.Title, v.Advice}
		for _, e := range v.Evidence {
			text = append(text, e.Why)
		}
		for _, words := range o.Scene.Says {
			if v.Cause == o.Scene.Cause && !strings.Contains(strings.Join(text, "\n"), words) {
				t.Errorf("%s does not say %q: %q", by, words, text)
			}
		}
	}
}

// punctual checks the promised delay of the verdict. Only a machine without other load can keep it.
func (o Outcome) punctual(t testing.TB) {
	t.Helper()
	if late := o.lateness(); late > promised {
		t.Errorf("the verdict came %v after the first failed attempt, without its timeouts: want at most %v", late, promised)
	}
}

// promised is the longest delay from the first failed attempt to the verdict, without the timeouts of the failing
// kind.
const promised = 2 * time.Second

// effort is how long the decisive attempt itself takes, as text and as a duration. No verdict can be sooner.
func (o Outcome) effort() (words string, takes time.Duration) {
	timeout := world.TimeoutOf(o.Scene.Config)
	if stub, repeated := o.Daemon.stub(); repeated {
		both := o.Daemon.Evidence[0].Elapsed + stub.Elapsed
		return "run + run against a stub + ", time.Duration(both * float64(time.Second))
	}
	switch decisive := o.Daemon.decisive(); {
	case decisive == "stream.stalled": // a stream is held a second time before it counts as dropped
		return "2 × (hold + timeout) + ", 2 * (world.Hold + timeout)
	case decisive == "stream.idle_cut", decisive == "stream.cut":
		return "2 × hold + ", 2 * world.Hold
	case decisive == "exec.timed_out":
		return "timeout + ", world.SandboxTimeout
	case timedOut(decisive) && timeout > time.Second: // the attempt that confirms it takes as long
		return "2 × timeout + ", 2 * timeout
	case timedOut(decisive):
		return "timeout + ", timeout
	case decisive == "local.denied" && o.Daemon.Evidence[0].Elapsed >= 1: // a dropped SYN is sent again after 1 s (RFC 6298)
		return "1 s + ", time.Second
	case strings.HasPrefix(decisive, "exec.") && len(o.Scene.ByHand.Command) > 0: // only a run of the agent shows it
		return "run + ", time.Duration(o.Daemon.Evidence[0].Elapsed * float64(time.Second))
	case slices.ContainsFunc(o.Daemon.Results, func(r result) bool { return timedOut(r.Class) }):
		return "", timeout
	}
	return "", 0
}

func timedOut(class string) bool {
	switch class {
	case "dns.timeout", "tcp.timed_out", "tls.timed_out", "http.timed_out":
		return true
	}
	return false
}

// inPieces reports whether the fault is one that single failures show, each of which may be chance: a check, which
// makes one round, finds the service healthy.
func (o Outcome) inPieces() bool {
	return o.Scene.Cause == "degraded" && o.Scene.ByHand.Cause == "healthy"
}

// slow reports whether no failure can be timed: answers were only slow, chance decides, or several failures.
func (o Outcome) slow() bool {
	late := o.Daemon.decisive() == "ok" && o.Scene.Cause != "sandbox_open"
	return o.Daemon.decisive() == "" || late || o.inPieces() || len(o.Scene.Or) > 0
}

func (o Outcome) lateness() time.Duration {
	if o.slow() {
		return 0
	}
	_, takes := o.effort()
	return time.Duration(o.Daemon.Delay*float64(time.Second)) - takes
}

// delay is the verdict's delay for the truth table, coarse enough to be the same in every run.
func (o Outcome) delay() string {
	switch {
	case o.Scene.Cause == "healthy":
		return "–"
	case o.inPieces():
		return "three failures"
	case o.slow():
		return "two rounds"
	}
	words, _ := o.effort()
	return words + "< 2 s"
}
