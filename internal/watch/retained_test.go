package watch

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/causes"
	"netwatchd/internal/probe"
)

var (
	shortStream = &probe.Probe{Spec: probe.Spec{Service: "codex", Name: "stream", Kind: probe.KindStream}}
	heldStream  = Task{Probe: &probe.Probe{Spec: shortStream.Spec}, RoundProbe: shortStream, Interval: 5 * time.Minute}
	agentRun    = Task{Probe: &probe.Probe{Spec: probe.Spec{Service: "codex", Name: "exec", Kind: probe.KindExec}}, Costly: true}
	headProbe   = &probe.Probe{Spec: probe.Spec{Service: "codex", Name: "head", Kind: probe.KindHTTP}}
	headTask    = Task{Probe: headProbe, RoundProbe: headProbe, Interval: interval}
)

// minute is the time n minutes into the test.
func minute(n int) time.Time {
	return time.Date(2026, 2, 20, 12, n, 0, 0, time.UTC)
}

func attempt(t Task, at int, class probe.Class, phase probe.Phase) probe.Result {
	return probe.Result{Spec: t.Spec, Start: minute(at), Class: class, Facts: probe.Facts{Phase: phase}}
}

func inSandbox(t Task, at int, class probe.Class) probe.Result {
	r := attempt(t, at, class, probe.Connect)
	r.Vantage = probe.FromSandbox
	return r
}

// contents lists the names of results, with their classes.
func contents(results []probe.Result) []string {
	var list []string
	for _, r := range results {
		name := r.Name
		if r.Vantage == probe.FromSandbox {
			name += "@sandbox"
		}
		list = append(list, name+" "+r.Class.String())
	}
	slices.Sort(list)
	return list
}

func withSandbox(tasks ...Task) *Service {
	return &Service{Name: "codex", Tasks: tasks, SandboxProbes: &SandboxProbes{Interval: 5 * time.Minute}}
}

func wantRound(t *testing.T, m *retained, at int, want ...string) {
	t.Helper()
	got := contents(m.into(nil, withSandbox(), minute(at), false))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("retained at minute %d (-want +got):\n%s", at, diff)
	}
}

func TestObserve(t *testing.T) {
	ok := func(task Task) probe.Result { return attempt(task, 0, probe.OK, probe.Executing) }
	dropped := attempt(heldStream, 0, probe.StreamCut, probe.Streaming)
	refused := attempt(heldStream, 0, probe.TCPRefused, probe.Connect)
	limit := attempt(agentRun, 0, probe.ExecUsageLimit, probe.Executing)
	for _, test := range []struct {
		name   string
		before *probe.Result // observed first, while the service is healthy
		task   Task
		r      probe.Result
		cause  causes.Cause
		do     action
		want   []string // retained afterwards
	}{
		{"a probe of rounds", nil, headTask, attempt(headTask, 1, probe.TCPRefused, probe.Connect), causes.Healthy, confirm, nil},
		{"a stream that holds", nil, heldStream, ok(heldStream), causes.Healthy, confirm, []string{"stream ok"}},
		{"a first drop", nil, heldStream, dropped, causes.Healthy, repeat, nil},
		{"a first drop after one that held", new(ok(heldStream)), heldStream, dropped, causes.Healthy, repeat, []string{"stream ok"}},
		{"a stream that does not open", nil, heldStream, refused, causes.Healthy, confirm, []string{"stream tcp.refused"}},
		{"a drop after one that did not open", &refused, heldStream, dropped, causes.Healthy, confirm, []string{"stream stream.cut"}},
		{"a run that succeeds", nil, agentRun, ok(agentRun), causes.Healthy, confirm, []string{"exec ok"}},
		{"a run that fails by itself", nil, agentRun, limit, causes.Healthy, confirm, []string{"exec exec.usage_limit"}},
		{"a run that fails with the network", new(ok(agentRun)), agentRun, limit, causes.Upstream, ignore, nil},
		{"a run that fails beside a broken stream", new(ok(agentRun)), agentRun, limit, causes.Stream, confirm, []string{"exec exec.usage_limit"}},
		{"a run that succeeds without the network", nil, agentRun, ok(agentRun), causes.Upstream, confirm, []string{"exec ok"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := new(retained)
			if test.before != nil {
				m.observe(test.task, *test.before, causes.Healthy)
			}
			do, since := m.observe(test.task, test.r, test.cause)
			if do != test.do || !since.IsZero() {
				t.Errorf("action: got %v since %v, want %v", do, since, test.do)
			}
			wantRound(t, m, 0, test.want...)
		})
	}
}

func TestTwoDropsConfirmEachOther(t *testing.T) {
	for _, test := range []struct {
		name   string
		second probe.Class
		phase  probe.Phase
		since  time.Time
	}{
		{"dropped again", probe.StreamIdleCut, probe.Streaming, minute(0)},
		{"does not open", probe.TCPRefused, probe.Connect, minute(0)},
		{"holds", probe.OK, probe.Streaming, time.Time{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := new(retained)
			if do, _ := m.observe(heldStream, attempt(heldStream, 0, probe.StreamCut, probe.Streaming), causes.Healthy); do != repeat {
				t.Fatalf("first drop: got %v, want %v", do, repeat)
			}
			do, since := m.observe(heldStream, attempt(heldStream, 1, test.second, test.phase), causes.Healthy)
			if do != confirm || !since.Equal(test.since) {
				t.Errorf("second attempt: got %v since %v, want %v since %v", do, since, confirm, test.since)
			}
			wantRound(t, m, 1, "stream "+test.second.String())
			if test.second != probe.StreamIdleCut {
				return
			}
			if do, _ := m.observe(heldStream, attempt(heldStream, 5, probe.StreamIdleCut, probe.Streaming), causes.Stream); do != confirm {
				t.Errorf("a drop that is known: got %v, want %v", do, confirm)
			}
		})
	}
}

// A drop that is being confirmed is forgotten with the attempt that was to confirm it.
func TestAnInterruptedConfirmationStartsOver(t *testing.T) {
	for name, interrupt := range map[string]func(*retained){
		"suspend": (*retained).suspend,
		"reload":  func(m *retained) { m.replan(withSandbox(heldStream)) },
	} {
		m := new(retained)
		dropped := attempt(heldStream, 0, probe.StreamCut, probe.Streaming)
		m.observe(heldStream, dropped, causes.Healthy)
		interrupt(m)
		if do, _ := m.observe(heldStream, dropped, causes.Healthy); do != repeat {
			t.Errorf("%s: the next drop: got %v, want %v", name, do, repeat)
		}
	}
}

func drop(m *retained) {
	m.observe(heldStream, attempt(heldStream, 0, probe.StreamCut, probe.Streaming), causes.Healthy)
	m.observe(heldStream, attempt(heldStream, 1, probe.StreamCut, probe.Streaming), causes.Healthy)
}

func TestInto(t *testing.T) {
	upgrade := func(class probe.Class) probe.Result { return attempt(heldStream, 3, class, probe.Streaming) }
	for _, test := range []struct {
		name  string
		last  func(*retained)
		round []probe.Result
		want  []string
	}{
		{"nothing known", func(*retained) {}, []probe.Result{upgrade(probe.OK)}, []string{"stream ok"}},
		{"no attempt in the round", drop, nil, []string{"stream stream.cut"}},
		{"an upgrade works, held it is dropped", drop, []probe.Result{upgrade(probe.OK)}, []string{"stream stream.cut"}},
		{"an upgrade fails", drop, []probe.Result{upgrade(probe.HTTPEdgeBlocked)}, []string{"stream http.edge_blocked"}},
		{"an upgrade works again", func(m *retained) {
			m.observe(heldStream, attempt(heldStream, 0, probe.TCPRefused, probe.Connect), causes.Healthy)
		}, []probe.Result{upgrade(probe.OK)}, []string{"stream ok"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := new(retained)
			test.last(m)
			before := slices.Clone(test.round)
			got := contents(m.into(test.round, withSandbox(), minute(3), false))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, test.round); diff != "" {
				t.Errorf("the round was changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestALaterAttemptEndsAFailure(t *testing.T) {
	m := new(retained)
	drop(m)
	m.observeRound(m.into(nil, withSandbox(), minute(2), false), causes.Healthy) // it is in the round itself
	wantRound(t, m, 2, "stream stream.cut")
	m.observeRound([]probe.Result{attempt(heldStream, 3, probe.HTTPEdgeBlocked, probe.Response)}, causes.Healthy)
	wantRound(t, m, 3)

	m.observe(heldStream, attempt(heldStream, 4, probe.OK, probe.Streaming), causes.Healthy)
	m.observeRound([]probe.Result{attempt(heldStream, 5, probe.HTTPEdgeBlocked, probe.Response)}, causes.Healthy)
	wantRound(t, m, 5, "stream ok")
}

func TestRevalidate(t *testing.T) {
	for _, test := range []struct {
		name   string
		causes []causes.Cause // of the rounds after the drop
		again  []string       // after the last of them
	}{
		{"nothing else is wrong", []causes.Cause{causes.Stream}, nil},
		{"the network is down", []causes.Cause{causes.HostOffline}, nil},
		{"the network is down and back", []causes.Cause{causes.HostOffline, causes.Healthy}, []string{"stream"}},
		{"no control is reached, then one is", []causes.Cause{causes.Inconclusive, causes.Stream}, []string{"stream"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := new(retained)
			drop(m)
			var again []string
			for _, cause := range test.causes {
				if len(again) > 0 {
					t.Fatalf("held again too early: %v", again)
				}
				again = m.revalidate(cause)
			}
			if diff := cmp.Diff(test.again, again); diff != "" {
				t.Errorf("held again (-want +got):\n%s", diff)
			}
			if again != nil {
				wantRound(t, m, 2)
			} else {
				wantRound(t, m, 2, "stream stream.cut")
			}
		})
	}
	t.Run("runs and successes stay", func(t *testing.T) {
		m := new(retained)
		m.observe(agentRun, attempt(agentRun, 0, probe.ExecTimedOut, probe.Executing), causes.Healthy)
		m.observe(heldStream, attempt(heldStream, 0, probe.OK, probe.Streaming), causes.Healthy)
		for _, cause := range []causes.Cause{causes.HostOffline, causes.Inconclusive, causes.Healthy} {
			if again := m.revalidate(cause); again != nil {
				t.Errorf("%v: %v again", cause, again)
			}
		}
		wantRound(t, m, 1, "exec exec.timed_out", "stream ok")
	})
}

// A stream that failed during a network fault is held again even if no round saw that fault.
func TestAFailureDuringANetworkFaultIsUnproven(t *testing.T) {
	m := new(retained)
	m.observe(heldStream, attempt(heldStream, 0, probe.TCPTimedOut, probe.Connect), causes.Upstream)
	wantRound(t, m, 0, "stream tcp.timed_out")
	if do, _ := m.observe(heldStream, attempt(heldStream, 1, probe.StreamCut, probe.Streaming), causes.Healthy); do != repeat {
		t.Errorf("a drop after it: got %v, want %v", do, repeat)
	}
	if diff := cmp.Diff([]string{"stream"}, m.revalidate(causes.Healthy)); diff != "" {
		t.Errorf("held again (-want +got):\n%s", diff)
	}
}

func TestExplain(t *testing.T) {
	known := func() *retained {
		m := new(retained)
		drop(m)
		m.observe(agentRun, attempt(agentRun, 0, probe.ExecTimedOut, probe.Executing), causes.Healthy)
		return m
	}
	m := known()
	m.explain(causes.Stream)
	wantRound(t, m, 1, "exec exec.timed_out", "stream stream.cut")
	m.explain(causes.Upstream)
	wantRound(t, m, 1, "stream stream.cut")
}

func TestSuspend(t *testing.T) {
	m := new(retained)
	drop(m)
	m.observe(agentRun, attempt(agentRun, 0, probe.OK, probe.Executing), causes.Healthy)
	m.observeSandbox(minute(0), []probe.Result{inSandbox(headTask, 0, probe.LocalDenied)})
	wantRound(t, m, 1, "exec ok", "head@sandbox local.denied", "stream stream.cut")
	m.suspend()
	wantRound(t, m, 1, "exec ok", "stream stream.cut")
	if diff := cmp.Diff([]string{"stream"}, m.revalidate(causes.Healthy)); diff != "" {
		t.Errorf("held again (-want +got):\n%s", diff)
	}
}

func TestSandboxProbesCountForTwoIntervals(t *testing.T) {
	m := new(retained)
	results := []probe.Result{
		inSandbox(headTask, 0, probe.LocalDenied), attempt(headTask, 0, probe.OK, probe.Response),
	}
	m.observeSandbox(minute(0), results)
	wantRound(t, m, 10, "head@sandbox local.denied")
	wantRound(t, m, 11)
	if got := m.into(nil, withSandbox(), minute(1), true); len(got) > 0 {
		t.Errorf("a round with sandbox probes of its own has others too: %v", contents(got))
	}
	if got := m.into(nil, &Service{Name: "codex"}, minute(1), false); len(got) > 0 {
		t.Errorf("a service without a sandbox has %v", contents(got))
	}
	m.observeSandbox(minute(12), []probe.Result{
		inSandbox(headTask, 12, probe.TCPRefused), attempt(headTask, 12, probe.TCPRefused, probe.Connect),
	})
	wantRound(t, m, 12) // the host shared that failure
}

func TestReplan(t *testing.T) {
	known := func() *retained {
		m := new(retained)
		drop(m)
		m.observe(agentRun, attempt(agentRun, 0, probe.OK, probe.Executing), causes.Healthy)
		m.observeSandbox(minute(0), []probe.Result{inSandbox(headTask, 0, probe.LocalDenied)})
		return m
	}
	unheld := Task{Probe: shortStream, RoundProbe: shortStream}
	for _, test := range []struct {
		name string
		s    *Service
		want []string
	}{
		{"unchanged", withSandbox(headTask, heldStream, agentRun), []string{"exec ok", "head@sandbox local.denied", "stream stream.cut"}},
		{"no run", withSandbox(headTask, heldStream), []string{"head@sandbox local.denied", "stream stream.cut"}},
		{"rounds make the stream", withSandbox(headTask, unheld), []string{"head@sandbox local.denied"}},
		{"no head", withSandbox(heldStream), []string{"stream stream.cut"}},
		{"no sandbox", &Service{Tasks: []Task{headTask, heldStream}}, []string{"stream stream.cut"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := known()
			m.replan(test.s)
			wantRound(t, m, 1, test.want...)
		})
	}
}

// A run that failed beside a broken stream is made again once the stream works: the agent uses one, too. What the
// account or the installation is to blame for needs no proof.
func TestRunThatFailedBesideABrokenStreamIsUnproven(t *testing.T) {
	for class, again := range map[probe.Class][]string{
		probe.ExecTimedOut: {"exec"}, probe.ExecNetwork: {"exec"}, probe.ExecUsageLimit: nil, probe.ExecNotFound: nil,
	} {
		m := new(retained)
		drop(m)
		m.observe(agentRun, attempt(agentRun, 2, class, probe.Executing), causes.Stream)
		if got := m.revalidate(causes.Stream); got != nil {
			t.Errorf("%v: %v again while the stream is broken", class, got)
		}
		m.observe(heldStream, attempt(heldStream, 3, probe.OK, probe.Streaming), causes.Stream)
		if diff := cmp.Diff(again, m.revalidate(causes.Healthy)); diff != "" {
			t.Errorf("%v: again (-want +got):\n%s", class, diff)
		}
	}
}
