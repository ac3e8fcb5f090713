package scenes

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/world"
)

// A status is what netwatchd says, by the names that users hold.
type status struct {
	At       time.Time
	Services []verdict
}

type verdict struct {
	Service  string
	Cause    string
	Severity string
	Title    string
	Since    time.Time
	Delay    float64 `json:"delay_seconds"`
	Also     []struct{ Cause string }
	Evidence []struct{ Probe, Class, Why string }
	Results  []result
}

type result struct {
	Start                    time.Time
	Role, Probe, Class, Peer string
}

// after reports whether every attempt the verdict stands on was made after that time.
func (v verdict) after(at time.Time) bool {
	return len(v.Results) > 0 && !slices.ContainsFunc(v.Results, func(r result) bool { return r.Start.Before(at) })
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
	if len(s.Services) != 1 {
		return verdict{}, fmt.Errorf("%d services, want one", len(s.Services))
	}
	return s.Services[0], nil
}

// An Outcome is what came of a scene.
type Outcome struct {
	Scene  *Scene
	Check  verdict       // of netwatchd check
	Daemon verdict       // of the daemon that was running when the world was bent
	Waited time.Duration // from the bend to the daemon's verdict, the wait for its next round included
}

// patience only tells slow from stuck; a verdict takes an interval, a timeout and less than two seconds.
const patience = 20 * time.Second

// play plays a scene: a daemon that finds all well, the bend, then a check and the daemon's own verdict.
func play(t testing.TB, w *world.World, s *Scene) Outcome {
	t.Helper()
	d := begin(t, w, s)
	bent := time.Now()
	if s.Bend != nil {
		s.Bend(w)
	}
	o := Outcome{Scene: s}
	checked := make(chan parts.Exit, 1)
	go func() { checked <- w.Netwatchd().Run(t, "check", "--config.file="+w.WriteConfig(), "--json") }()
	o.Daemon, o.Waited = await(t, w, s, d, bent)
	exit := <-checked
	var err error
	if o.Check, err = parse([]byte(exit.Stdout)); err != nil {
		t.Fatalf("check --json: %v\nstdout: %s\nstderr: %s", err, exit.Stdout, exit.Stderr)
	}
	return o
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
		v = latest
		for _, name := range v.names() {
			if slices.Contains(s.Forbidden(), name) && !said[name] {
				said[name] = true
				t.Errorf("the daemon names %q (%s), which must not be named here: %+v", name, v.Title, v.Evidence)
			}
		}
		switch {
		case !v.after(bent):
			return fmt.Errorf("cause %q is of before the bend", v.Cause)
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
	s := o.Scene
	if o.Check.Cause != s.Cause && !slices.Contains(s.Or, o.Check.Cause) {
		t.Errorf("check: cause %q (%s), want %q: %+v", o.Check.Cause, o.Check.Title, s.Cause, o.Check.Evidence)
	}
	for _, name := range o.Check.names() {
		if slices.Contains(s.Forbidden(), name) {
			t.Errorf("check names %q, which must not be named here: %+v", name, o.Check.Evidence)
		}
	}
	for by, v := range map[string]verdict{"check": o.Check, "the daemon": o.Daemon} {
		if s.Class != "" && v.decisive() != s.Class {
			t.Errorf("%s: decisive class %q, want %q: %+v", by, v.decisive(), s.Class, v.Evidence)
		}
	}
	if late := o.lateness(); late > promised {
		t.Errorf("the verdict came %v after the first failed attempt, timeouts aside: want at most %v", late, promised)
	}
}

// promised is how soon after the first failed attempt the cause is named, timeouts of the failing kind aside.
const promised = 2 * time.Second

// waitsForTimeout reports whether the failed attempt that showed the cause had to run into its timeout first.
func (o Outcome) waitsForTimeout() bool { return timedOut(o.Daemon.decisive()) }

func timedOut(class string) bool {
	switch class {
	case "dns.timeout", "tcp.timed_out", "tls.timed_out", "http.timed_out":
		return true
	}
	return false
}

// slow reports whether nothing failed that could be timed: good answers took their time, or chance decides.
func (o Outcome) slow() bool {
	return o.Daemon.decisive() == "" || o.Daemon.decisive() == "ok" || len(o.Scene.Or) > 0
}

func (o Outcome) lateness() time.Duration {
	if o.slow() {
		return 0
	}
	late := time.Duration(o.Daemon.Delay * float64(time.Second))
	if slices.ContainsFunc(o.Daemon.Results, func(r result) bool { return timedOut(r.Class) }) {
		late -= world.TimeoutOf(o.Scene.Config)
	}
	return late
}

// delay is how long the verdict takes, so coarsely that it says the same tomorrow.
func (o Outcome) delay() string {
	switch {
	case o.Scene.Cause == "healthy":
		return "–"
	case o.slow():
		return "two rounds"
	case o.waitsForTimeout():
		return "timeout + < 2 s"
	}
	return "< 2 s"
}
