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

// A status is what netwatchd says, by the names that users hold.
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
	Start, Date                 time.Time // Date is what the other side said
	Role, Probe, Class, Vantage string
}

// of is the class of the service's own probe of that name from there; empty: it was not made.
func (v verdict) of(probe, vantage string) string {
	for _, r := range v.Results {
		if r.Role == "" && r.Probe == probe && r.Vantage == vantage {
			return r.Class
		}
	}
	return ""
}

// after reports whether every attempt the verdict stands on was made after that time. Runs of the agent are rare: one that
// was under way then shows as much.
func (v verdict) after(at time.Time) bool {
	return len(v.Results) > 0 && !slices.ContainsFunc(v.Results, func(r result) bool { return r.Probe != "exec" && r.Start.Before(at) })
}

// decisive is the class of the result that shows the cause best; what shows health is not asked for.
func (v verdict) decisive() string {
	if v.Cause == "healthy" || len(v.Evidence) == 0 {
		return ""
	}
	return v.Evidence[0].Class
}

// names are the cause and what stands beside it.
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

// An Outcome is what came of a scene.
type Outcome struct {
	Scene  *Scene
	Asked  verdict       // of the command
	Daemon verdict       // of the daemon that was running when the world was bent
	Waited time.Duration // from the bend to the daemon's verdict, the wait for its next round included
}

// patience only tells slow from stuck; a verdict takes an interval, a timeout and less than two seconds.
var patience = 30 * time.Second

// play plays a scene: a daemon that finds all well, the bend, then a check and the daemon's own verdict.
func play(t testing.TB, w *world.World, s *Scene) Outcome {
	t.Helper()
	d := begin(t, w, s)
	if s.Bend != nil {
		s.Bend(w)
	}
	bent := time.Now() // while it is being bent a server is gone for a moment
	o := Outcome{Scene: s}
	asked := make(chan parts.Exit, 1)
	go func() { asked <- ask(t, w, s.asked()) }()
	o.Daemon, o.Waited = await(t, w, s, d, bent)
	exit := <-asked
	var err error
	if o.Asked, err = parse([]byte(exit.Stdout)); err != nil {
		t.Fatalf("%v --json: %v\nstdout: %s\nstderr: %s", s.asked().Command, err, exit.Stdout, exit.Stderr)
	}
	return o
}

func ask(t testing.TB, w *world.World, a Asked) parts.Exit {
	n := w.Netwatchd()
	if a.Inside {
		n.Via = w.Agent.Sandbox()
	}
	return n.Run(t, append(a.Command[:len(a.Command):len(a.Command)], "--config.file="+w.WriteConfig(), "--json")...)
}

// begin has a daemon find all well.
func begin(t testing.TB, w *world.World, s *Scene) *parts.Daemon {
	t.Helper()
	w.Begin(t, s.Config)
	if s.Before != nil {
		s.Before(w)
	}
	os.Remove(w.StatusFile())
	d := w.Netwatchd().Start(t, "--config.file="+w.WriteConfig())
	d.Await(patience, func() error {
		v, err := read(w)
		if err == nil && v.Cause != "healthy" {
			err = fmt.Errorf("before anything was bent: cause %q: %s", v.Cause, v.Title)
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

// await follows the status file until the scene's cause stands, on attempts that were made after the bend.
func await(t testing.TB, w *world.World, s *Scene, d *parts.Daemon, bent time.Time) (verdict, time.Duration) {
	t.Helper()
	var v verdict
	said := make(map[string]bool)
	err := d.Eventually(patience, func() error {
		latest, err := read(w)
		if err != nil {
			return err
		}
		if v = latest; !v.after(bent) {
			return fmt.Errorf("cause %q is of before the bend", v.Cause)
		}
		for _, name := range v.names() {
			if slices.Contains(s.Forbidden(s.Cause), name) && !said[name] {
				said[name] = true
				t.Errorf("the daemon names %q (%s), which must not be named here: %+v", name, v.Title, v.Evidence)
			}
		}
		switch {
		case s.Inside != "" && v.of("head", "sandbox") != s.Inside:
			return fmt.Errorf("inside the sandbox %q, want %q", v.of("head", "sandbox"), s.Inside)
		case s.Cause == "healthy" && v.of("stream", "host") != "ok":
			return fmt.Errorf("no stream has been held yet")
		case v.Cause != s.Cause && !slices.Contains(s.Or, v.Cause):
			return fmt.Errorf("cause %q (%s), want %q", v.Cause, v.Title, s.Cause)
		}
		return nil
	})
	if err != nil {
		t.Errorf("the daemon: %v: %+v", err, v.Evidence)
	}
	return v, time.Since(bent)
}

// judge compares what came of a scene with what must.
func (o Outcome) judge(t testing.TB) {
	t.Helper()
	s, asked := o.Scene, o.Scene.asked()
	by := asked.Command[0]
	if o.Asked.Cause != asked.Cause && !slices.Contains(s.Or, o.Asked.Cause) {
		t.Errorf("%s: cause %q (%s), want %q: %+v", by, o.Asked.Cause, o.Asked.Title, asked.Cause, o.Asked.Evidence)
	}
	for _, name := range o.Asked.names() {
		if slices.Contains(s.Forbidden(asked.Cause), name) {
			t.Errorf("%s names %q, which must not be named here: %+v", by, name, o.Asked.Evidence)
		}
	}
	if asked.Class != "" && o.Asked.decisive() != asked.Class {
		t.Errorf("%s: decisive class %q, want %q: %+v", by, o.Asked.decisive(), asked.Class, o.Asked.Evidence)
	}
	if s.Class != "" && o.Daemon.decisive() != s.Class {
		t.Errorf("the daemon: decisive class %q, want %q: %+v", o.Daemon.decisive(), s.Class, o.Daemon.Evidence)
	}
	if s.Inside != "" && len(o.Asked.Results) > 0 && o.Asked.of("head", "sandbox") != s.Inside {
		t.Errorf("%s: inside the sandbox %q, want %q", by, o.Asked.of("head", "sandbox"), s.Inside)
	}
}

// punctual holds a verdict to its promise, which only a machine that does nothing else can keep.
func (o Outcome) punctual(t testing.TB) {
	t.Helper()
	if late := o.lateness(); late > promised {
		t.Errorf("the verdict came %v after the first failed attempt, timeouts aside: want at most %v", late, promised)
	}
}

// promised is how soon after the first failed attempt the cause is named, timeouts of the failing kind aside.
const promised = 2 * time.Second

// effort is what the failed attempt takes by itself that shows the cause, in words as well: nobody can know sooner.
func (o Outcome) effort() (words string, takes time.Duration) {
	timeout := world.TimeoutOf(o.Scene.Config)
	switch decisive := o.Daemon.decisive(); {
	case decisive == "stream.stalled": // a stream is held again before it is called cut
		return "2 × (hold + timeout) + ", 2 * (world.Hold + timeout)
	case decisive == "stream.idle_cut", decisive == "stream.cut":
		return "2 × hold + ", 2 * world.Hold
	case decisive == "exec.timed_out":
		return "timeout + ", world.SandboxTimeout
	case timedOut(decisive):
		return "timeout + ", timeout
	case decisive == "local.denied" && o.Daemon.Evidence[0].Elapsed >= 1: // what is dropped shows when it is sent again (RFC 6298)
		return "1 s + ", time.Second
	case strings.HasPrefix(decisive, "exec.") && len(o.Scene.Asked.Command) > 0: // only a run of the agent shows it
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

// slow reports whether nothing failed that could be timed: good answers took their time, or chance decides.
func (o Outcome) slow() bool {
	late := o.Daemon.decisive() == "ok" && o.Scene.Cause != "sandbox_open"
	return o.Daemon.decisive() == "" || late || len(o.Scene.Or) > 0
}

func (o Outcome) lateness() time.Duration {
	if o.slow() {
		return 0
	}
	_, takes := o.effort()
	return time.Duration(o.Daemon.Delay*float64(time.Second)) - takes
}

// delay is how long the verdict takes, so coarsely that it says the same tomorrow.
func (o Outcome) delay() string {
	switch {
	case o.Scene.Cause == "healthy":
		return "–"
	case o.slow():
		return "two rounds"
	}
	words, _ := o.effort()
	return words + "< 2 s"
}
