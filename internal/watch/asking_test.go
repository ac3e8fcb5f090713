package watch

import (
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"netwatchd/internal/causes"
	"netwatchd/internal/probe"
)

// asked is how often the agent is asked about itself.
const asked = 5 * time.Minute

// withStatus is a ladder with runs of the agent, hourly, that is also asked about itself.
func (w *world) withStatus() Service {
	s := w.withExec(24, time.Hour)
	s.Tasks = append(s.Tasks, w.statusTask())
	return s
}

func (w *world) statusTask() Task {
	status := w.probe("codex", "status", probe.KindStatus, probe.OfService, probe.FromHost, probe.Executing)
	status.Timeout = 0
	return Task{Probe: status, RoundProbe: &probe.Probe{Spec: status.Spec, Prober: status.Prober}, Interval: asked, Status: true}
}

func statusOf(t *testing.T, w *Watcher) (found []probe.Result) {
	t.Helper()
	for _, r := range serviceStatus(t, w).Results {
		if r.Name == "status" {
			found = append(found, r)
		}
	}
	return found
}

// The agent is asked at the start and at its interval, and each round has its last report. No budget is charged.
func TestAgentIsAskedAboutItself(t *testing.T) {
	world := newWorld()
	s := world.withStatus()
	s.Tasks = slices.DeleteFunc(s.Tasks, func(t Task) bool { return t.Costly })
	s.Tasks = append(s.Tasks, Task{Probe: world.probe("codex", "exec", probe.KindExec, probe.OfService, probe.FromHost, probe.Executing),
		Interval: 1000 * time.Hour, Costly: true, Daily: 3})
	watching(t, world.plan(s), Options{}, func(t *testing.T, w *Watcher) {
		time.Sleep(time.Second)
		if n := len(world.starts("status")); n != 1 {
			t.Fatalf("asked %d times at the start, want once", n)
		}
		time.Sleep(interval)
		if got := statusOf(t, w); len(got) != 1 || !got[0].OK() {
			t.Errorf("the round has %v of the agent's reports, want one", got)
		}
		time.Sleep(10*asked - interval)
		if n := len(world.starts("status")); n != 11 {
			t.Errorf("asked %d times in ten intervals, want 11", n)
		}
		if got := serviceStatus(t, w); got.Budget == nil || *got.Budget != 3 {
			t.Errorf("budget %v, want 3 runs left", got.Budget)
		}
	})
}

// A report of a fault is confirmed by a second one within the promised two seconds.
func TestReportOfTheAgentIsConfirmedAtOnce(t *testing.T) {
	world := newWorld()
	watching(t, world.plan(world.withStatus()), Options{}, func(t *testing.T, w *Watcher) {
		time.Sleep(time.Second)
		before := len(world.starts("status"))
		world.set("status", probe.ExecNotLoggedIn, usually)
		time.Sleep(asked + 2*time.Second)
		got := wantCause(t, w, causes.Account)
		if limit := probe.InSeconds(2 * time.Second); got.Delay > limit {
			t.Errorf("delay: got %v s, want at most %v s", got.Delay, limit)
		}
		if n := len(world.starts("status")) - before; n != 2 {
			t.Errorf("asked %d times, want once by schedule and once to confirm", n)
		}
		world.set("status", probe.OK, usually)
		time.Sleep(asked + 2*time.Second)
		wantCause(t, w, causes.Healthy)
	})
}

func TestOneReportOfTheAgentDoesNotChangeTheVerdict(t *testing.T) {
	for name, took := range map[string]time.Duration{"at once": usually, "later than a confirming round waits": 10 * time.Second} {
		t.Run(name, func(t *testing.T) {
			world, moved := newWorld(), new(moves)
			watching(t, world.plan(world.withStatus()), Options{Observers: []Observer{moved}}, func(t *testing.T, w *Watcher) {
				time.Sleep(time.Second)
				world.set("status", probe.ExecNetwork, usually)
				for len(world.starts("status")) < 2 {
					time.Sleep(time.Millisecond)
				}
				world.set("status", probe.OK, took)
				time.Sleep(time.Minute)
				if diff := gocmp.Diff([]string{"starting -> healthy"}, moved.seen); diff != "" {
					t.Errorf("moves (-want +got):\n%s", diff)
				}
				if got := statusOf(t, w); len(got) != 1 || !got[0].OK() {
					t.Errorf("the round has %v of the agent's reports, want the later one", got)
				}
			})
		})
	}
}

// A confirming round that has nothing to do with the agent does not ask it; one after a failed run does.
func TestOnlyADoubtAboutTheAgentAsksIt(t *testing.T) {
	world := newWorld()
	s := world.withStatus()
	watching(t, world.plan(s), Options{}, func(t *testing.T, w *Watcher) {
		time.Sleep(time.Second)
		world.set("head", probe.HTTPServerError, usually)
		time.Sleep(interval + 2*time.Second)
		wantCause(t, w, causes.Upstream)
		if n := len(world.starts("status")); n != 1 {
			t.Errorf("asked %d times, want once at the start", n)
		}
		world.set("head", probe.OK, usually)
		time.Sleep(interval + 2*time.Second)
		wantCause(t, w, causes.Healthy)
		if n := len(world.starts("status")); n != 2 {
			t.Errorf("asked %d times, want once more to confirm the recovery", n)
		}
	})
	world = newWorld()
	watching(t, world.plan(world.withStatus()), Options{}, func(t *testing.T, w *Watcher) {
		world.set("exec", probe.ExecConfigInvalid, usually)
		for len(world.starts("exec")) == 0 {
			time.Sleep(time.Second)
		}
		failed := world.starts("exec")[0]
		time.Sleep(2 * time.Second)
		if !slices.ContainsFunc(world.starts("status"), func(at time.Time) bool {
			return at.After(failed) && at.Sub(failed) < 2*time.Second
		}) {
			t.Errorf("not asked after the run at %v: %v", failed, world.starts("status"))
		}
	})
}

// The agent is not asked while it runs, but right after.
func TestAgentIsNotAskedWhileItRuns(t *testing.T) {
	world := newWorld()
	const run = 4 * time.Minute
	s := world.withStatus()
	for i := range s.Tasks {
		if s.Tasks[i].Costly {
			s.Tasks[i].Timeout, s.Tasks[i].Interval, s.Tasks[i].Daily = 2*run, 7*time.Minute, 0
		}
	}
	world.set("exec", probe.OK, run)
	watching(t, world.plan(s), Options{}, func(t *testing.T, w *Watcher) {
		time.Sleep(6 * time.Hour)
		runs, asks := world.starts("exec"), world.starts("status")
		delayed := 0
		for _, at := range asks {
			for _, began := range runs {
				if at.After(began) && at.Before(began.Add(run)) {
					t.Fatalf("asked at %v, while a run from %v took until %v", at, began, began.Add(run))
				}
				if at.Equal(began.Add(run)) {
					delayed++
				}
			}
		}
		if delayed == 0 || len(asks) < 60 {
			t.Errorf("asked %d times, %d of them after waiting for a run", len(asks), delayed)
		}
		if len(world.over) > 0 {
			t.Errorf("attempts overlapped: %v", world.over)
		}
	})
}

// What the agent reports while the network is down says nothing once it is back.
func TestReportDuringANetworkFaultIsForgotten(t *testing.T) {
	world, moved := newWorld(), new(moves)
	watching(t, world.plan(world.withStatus()), Options{Observers: []Observer{moved}}, func(t *testing.T, w *Watcher) {
		time.Sleep(time.Second)
		world.set("head", probe.TCPRefused, usually)
		world.set("status", probe.ExecNetwork, usually)
		world.set("exec", probe.ExecNetwork, usually)
		time.Sleep(2 * time.Hour)
		wantCause(t, w, causes.Upstream)
		world.set("head", probe.OK, usually)
		world.set("status", probe.OK, usually)
		world.set("exec", probe.OK, usually)
		time.Sleep(time.Hour)
		wantCause(t, w, causes.Healthy)
		if slices.ContainsFunc(moved.seen, func(m string) bool { return strings.Contains(m, "agent") }) {
			t.Errorf("moves: %v, want nobody to blame the agent", moved.seen)
		}
	})
}

// A single round asks the agent once, and does not ask it again to confirm a fault of the network.
func TestOnceAsksTheAgentOnce(t *testing.T) {
	world := newWorld()
	world.set("head", probe.TCPRefused, usually)
	world.set("status", probe.ExecNetwork, usually)
	got := Once(t.Context(), world.plan(world.withStatus()), "").Services[0]
	if n := len(world.starts("status")); n != 1 || got.Cause != causes.Upstream {
		t.Errorf("asked %d times, cause %v", n, got.Cause)
	}
	if n := len(world.starts("exec")); n != 0 {
		t.Errorf("%d runs, want none", n)
	}
}
