package watch

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"netwatchd/internal/causes"
	"netwatchd/internal/probe"
	"netwatchd/internal/tally"
)

// A world decides how every attempt ends.
type world struct {
	mu     sync.Mutex
	ends   map[string]end
	begun  map[string][]time.Time
	open   map[string]int
	losses map[string]int
	over   []string // probes of which two attempts overlapped

	pieces map[string]func() end // see inPieces

	warnings map[string][]string // of the probes' attempts; set before the watcher starts
	used     probe.Facts         // by each run: its requests, tokens and cost; set before the watcher starts
}

type end struct {
	class probe.Class
	after time.Duration
	phase probe.Phase // where it ended, if not where the probe always does
}

func newWorld() *world {
	return &world{ends: make(map[string]end), begun: make(map[string][]time.Time), open: make(map[string]int), losses: make(map[string]int),
		pieces: make(map[string]func() end)}
}

func (w *world) set(name string, class probe.Class, after time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ends[name] = end{class: class, after: after}
}

// fail makes the attempts of a probe fail in that phase.
func (w *world) fail(name string, class probe.Class, phase probe.Phase) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ends[name] = end{class, usually, phase}
}

// usually is how long a successful attempt takes.
const usually = 20 * time.Millisecond

func (w *world) begin(name string) end {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begun[name] = append(w.begun[name], time.Now())
	if w.open[name]++; w.open[name] > 1 {
		w.over = append(w.over, name)
	}
	if w.losses[name] > 0 {
		w.losses[name]--
		return end{class: probe.TCPTimedOut, after: usually}
	}
	if piece := w.pieces[name]; piece != nil {
		return piece()
	}
	e, injected := w.ends[name]
	if !injected {
		e = end{class: probe.OK, after: usually}
	}
	return e
}

// lose makes the next n attempts of a probe time out.
func (w *world) lose(name string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.losses[name] = n
}

func (w *world) lost(name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.losses[name]
}

func (w *world) finish(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[name]--
}

func (w *world) starts(name string) []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.begun[name])
}

type actor struct {
	world   *world
	name    string
	phase   probe.Phase
	answers []string // the addresses of its name
}

func (a actor) Probe(ctx context.Context) (probe.Facts, error) {
	e := a.world.begin(a.name)
	defer a.world.finish(a.name)
	facts := probe.Facts{Phase: cmp.Or(e.phase, a.phase), Answers: a.answers, Warnings: a.world.warnings[a.name]}
	if a.name == "exec" {
		facts.Requests, facts.Tokens, facts.CostUSD = a.world.used.Requests, a.world.used.Tokens, a.world.used.CostUSD
	}
	select {
	case <-time.After(e.after):
	case <-ctx.Done():
		return facts, ctx.Err()
	}
	if e.class != probe.OK {
		return facts, probe.Failf(e.class, "as the test wants it")
	}
	return facts, nil
}

func (w *world) probe(service, name string, kind probe.Kind, role probe.Role, from probe.Vantage, phase probe.Phase) *probe.Probe {
	return &probe.Probe{
		Spec:   probe.Spec{Service: service, Name: name, Kind: kind, Role: role, Vantage: from, Timeout: 5 * time.Second},
		Prober: actor{world: w, name: name, phase: phase},
	}
}

func (w *world) environment() []*probe.Probe {
	return []*probe.Probe{
		w.probe("host", probe.CheckSandbox, probe.KindHost, probe.OfHost, probe.FromHost, probe.NoPhase),
		w.probe("resolvers", "ns", probe.KindDNS, probe.ResolverAsksControl, probe.FromHost, probe.Resolve),
		w.probe("resolvers", "direct", probe.KindDNS, probe.ResolverAsksService, probe.Direct, probe.Resolve),
		w.probe("controls", "one", probe.KindHTTP, probe.ControlByName, probe.FromHost, probe.Response),
		w.probe("controls", "two", probe.KindHTTP, probe.ControlByName, probe.FromHost, probe.Response),
		w.probe("controls", "three", probe.KindHTTP, probe.ControlByAddress, probe.FromHost, probe.Response),
	}
}

const interval = 30 * time.Second

func (w *world) ladder() Service {
	dns := w.probe("codex", "dns", probe.KindDNS, probe.OfService, probe.FromHost, probe.Resolve)
	head := w.probe("codex", "head", probe.KindHTTP, probe.OfService, probe.FromHost, probe.Connect)
	return Service{
		Name: "codex", Every: interval, Confirmation: Confirmation{Votes: 2, Of: 3}, Intermittent: tally.Limits{Failures: 3, Of: 20},
		Tasks: []Task{{Probe: dns, Interval: interval, RoundProbe: dns}, {Probe: head, Interval: interval, RoundProbe: head}},
	}
}

func (w *world) withExec(daily int, every time.Duration) Service {
	s := w.ladder()
	exec := w.probe("codex", "exec", probe.KindExec, probe.OfService, probe.FromHost, probe.Executing)
	s.Tasks = append(s.Tasks, Task{Probe: exec, Interval: every, Costly: true, Daily: daily})
	return s
}

// withStub has runs of the agent that are made again against a stub, if that may explain a failure.
func (w *world) withStub() Service {
	s := w.withExec(0, time.Hour)
	s.Tasks[2].Stub = w.probe("codex", "exec/stub", probe.KindExec, probe.AgentStub, probe.FromHost, probe.Executing)
	return s
}

// held is how long the stream is held.
const held = time.Minute

func (w *world) withStream() Service {
	s := w.ladder()
	long := w.probe("codex", "stream", probe.KindStream, probe.OfService, probe.FromHost, probe.Streaming)
	long.Timeout += held
	quick := w.probe("codex", "upgrade", probe.KindStream, probe.OfService, probe.FromHost, probe.Streaming)
	quick.Name = long.Name
	s.Tasks = append(s.Tasks, Task{Probe: long, Interval: 5 * time.Minute, RoundProbe: quick})
	w.set("stream", probe.OK, held)
	return s
}

func (w *world) plan(services ...Service) Plan {
	environment := func() Environment { return Environment{Probes: w.environment()} }
	return Plan{Environment: environment, Services: services}
}

// watching runs a watcher of plan while do runs.
func watching(t *testing.T, plan Plan, o Options, do func(t *testing.T, w *Watcher)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		w := New(plan, o)
		var running sync.WaitGroup
		running.Go(func() { w.Run(ctx) })
		<-w.Ready()
		do(t, w)
		stop()
		running.Wait()
	})
}

func serviceStatus(t *testing.T, w *Watcher) ServiceStatus {
	t.Helper()
	status, err := w.Status(t.Context())
	if err != nil {
		t.Fatalf("Status: %v", err)
	}
	return status.Services[0]
}

func wantCause(t *testing.T, w *Watcher, want causes.Cause) ServiceStatus {
	t.Helper()
	got := serviceStatus(t, w)
	if got.Cause != want {
		t.Fatalf("cause: got %v (%s), want %v", got.Cause, got.Title, want)
	}
	return got
}

func TestFirstFailureIsConfirmedAtOnce(t *testing.T) {
	world := newWorld()
	watching(t, world.plan(world.ladder()), Options{}, func(t *testing.T, w *Watcher) {
		wantCause(t, w, causes.Healthy)
		world.set("head", probe.TCPRefused, time.Millisecond)
		time.Sleep(interval + 2*time.Second)
		got := wantCause(t, w, causes.Upstream)
		if limit := probe.InSeconds(2 * time.Second); got.Delay > limit {
			t.Errorf("delay: got %v s, want at most %v s", got.Delay, limit)
		}
	})
}

func TestTimeoutIsDiagnosedWithinTwoSecondsOfItsEnd(t *testing.T) {
	world := newWorld()
	watching(t, world.plan(world.ladder()), Options{}, func(t *testing.T, w *Watcher) {
		world.set("head", probe.OK, time.Hour) // accepts the connection and never answers
		time.Sleep(2 * interval)
		got := wantCause(t, w, causes.Upstream)
		if limit := probe.InSeconds(5*time.Second + 2*time.Second); got.Delay > limit {
			t.Errorf("delay: got %v s, want at most the attempt's 5 s and 2 s", got.Delay)
		}
	})
}

func TestOneFailedAttemptDoesNotChangeTheVerdict(t *testing.T) {
	world := newWorld()
	moved := new(moves)
	watching(t, world.plan(world.ladder()), Options{Observers: []Observer{moved}}, func(t *testing.T, w *Watcher) {
		world.set("head", probe.TCPReset, 100*time.Millisecond)
		for len(world.starts("head")) < 2 {
			time.Sleep(time.Millisecond)
		}
		world.set("head", probe.OK, usually)
		time.Sleep(2 * interval)
		wantCause(t, w, causes.Healthy)
		if diff := gocmp.Diff([]string{"starting -> healthy"}, moved.seen); diff != "" {
			t.Errorf("moves (-want +got):\n%s", diff)
		}
	})
}

func TestRoundHasEveryAttemptOnce(t *testing.T) {
	world := newWorld()
	watching(t, world.plan(world.ladder()), Options{}, func(t *testing.T, w *Watcher) {
		world.set("one", probe.OK, time.Second) // the environment ends last
		time.Sleep(2 * interval)
		seen := make(map[string]int)
		for _, r := range serviceStatus(t, w).Results {
			seen[r.Service+"/"+r.Name]++
		}
		for name, times := range seen {
			if times != 1 {
				t.Errorf("%s is in the round %d times", name, times)
			}
		}
		if len(seen) != len(world.environment())+len(world.ladder().Tasks) {
			t.Errorf("the round has %v", seen)
		}
	})
}

func TestPacketLossIsNoOutage(t *testing.T) {
	world := newWorld()
	moved := new(moves)
	watching(t, world.plan(world.ladder()), Options{Observers: []Observer{moved}}, func(t *testing.T, w *Watcher) {
		world.lose("head", 3) // the first attempt, and two of the three that confirm it
		time.Sleep(2 * interval)
		synctest.Wait()
		if slices.ContainsFunc(moved.seen, func(m string) bool { return strings.Contains(m, "upstream") }) {
			t.Errorf("moves: %v, want no outage among them", moved.seen)
		}
		if left := world.lost("head"); left > 0 {
			t.Errorf("%d attempts too few were made for all losses to happen", left)
		}
	})
}

func TestOnceRepeatsWhatFailedBeforeItBlames(t *testing.T) {
	world := newWorld()
	for _, test := range []struct {
		lost  int
		cause causes.Cause
		asked int
	}{
		{0, causes.Healthy, 1},
		{1, causes.Degraded, 1 + confirmRepeats},
		{confirmRepeats, causes.Degraded, 1 + confirmRepeats},
		{1 + confirmRepeats, causes.Upstream, 1 + confirmRepeats},
	} {
		before := len(world.starts("head"))
		world.lose("head", test.lost)
		got := Once(t.Context(), world.plan(world.ladder()), "").Services[0]
		if asked := len(world.starts("head")) - before; got.Cause != test.cause || asked != test.asked {
			t.Errorf("%d lost: got %v (%s) of %d attempts, want %v of %d", test.lost, got.Cause, got.Title, asked, test.cause, test.asked)
		}
	}
}

func TestRecoveryIsConfirmedAtOnce(t *testing.T) {
	world := newWorld()
	watching(t, world.plan(world.ladder()), Options{}, func(t *testing.T, w *Watcher) {
		world.set("head", probe.HTTPServerError, usually)
		time.Sleep(2 * interval)
		wantCause(t, w, causes.Upstream)
		world.set("head", probe.OK, usually)
		time.Sleep(interval + time.Second)
		wantCause(t, w, causes.Healthy)
	})
}

type moves struct {
	NopObserver
	seen []string
}

func (m *moves) Judged(now ServiceStatus, was causes.Cause) {
	if now.Cause != was {
		m.seen = append(m.seen, fmt.Sprintf("%v -> %v", was, now.Cause))
	}
}

// nap is a clock that reports one suspend, once.
type nap struct{ taken atomic.Bool }

func (n *nap) Jump() (time.Duration, time.Duration) {
	if n.taken.CompareAndSwap(true, false) {
		return time.Hour, 0
	}
	return 0, 0
}

func TestFailuresDuringResumeAreIgnored(t *testing.T) {
	world, clock, moved := newWorld(), new(nap), new(moves)
	resumed := new(resumes)
	watching(t, world.plan(world.ladder()), Options{Clock: clock, Observers: []Observer{moved, resumed}}, func(t *testing.T, w *Watcher) {
		world.set("head", probe.LocalNoRoute, 2*time.Second)
		world.set("one", probe.LocalNoRoute, 2*time.Second)
		for before := len(world.starts("head")); len(world.starts("head")) == before; {
			time.Sleep(100 * time.Millisecond)
		}
		clock.taken.Store(true) // in the middle of a round
		time.Sleep(3 * time.Second)
		wantCause(t, w, causes.Suspended)
		if resumed.count != 1 || resumed.discarded != 2 {
			t.Errorf("resumed %d times, %d attempts discarded; want once, and the two that were running", resumed.count, resumed.discarded)
		}
		world.set("head", probe.OK, usually)
		world.set("one", probe.OK, usually)
		time.Sleep(resumeGrace + time.Second)
		wantCause(t, w, causes.Healthy)
		synctest.Wait()
		if diff := gocmp.Diff([]string{"starting -> healthy", "healthy -> suspended", "suspended -> healthy"}, moved.seen); diff != "" {
			t.Errorf("moves (-want +got):\n%s", diff)
		}
		if resumed.count != 1 {
			t.Errorf("resumed %d times, want once", resumed.count)
		}
	})
}

type resumes struct {
	NopObserver
	count, discarded int
}

func (r *resumes) Resumed(_ time.Duration, discarded int) {
	r.count++
	r.discarded += discarded
}

func TestCostlyRunsStayWithinTheDailyBudget(t *testing.T) {
	t.Parallel()
	world := newWorld()
	watching(t, world.plan(world.withExec(24, 10*time.Minute)), Options{}, func(t *testing.T, w *Watcher) {
		time.Sleep(24 * time.Hour)
		if got := len(world.starts("exec")); got != 24 {
			t.Errorf("runs in a day: got %d, want the 24 of the budget", got)
		}
		if left := serviceStatus(t, w).Budget; left == nil || *left > 24 {
			t.Errorf("budget left: got %v", left)
		}
	})
}

type memory map[string]Kept

func (m memory) Recall(service string) Kept      { return m[service] }
func (m memory) Remember(service string, k Kept) { m[service] = k }

// A restart forgets neither what was spent nor that the account refused a run.
func TestRestartKeepsTheBudget(t *testing.T) {
	kept := make(memory)
	world := newWorld()
	plan := world.plan(world.withExec(3, 10*time.Minute))
	synctest.Test(t, func(t *testing.T) {
		live := func(plan Plan, lives int) {
			for range lives {
				ctx, stop := context.WithTimeout(t.Context(), 30*time.Minute)
				New(plan, Options{Memory: kept}).Run(ctx)
				stop()
			}
		}
		live(plan, 3)
		if got := len(world.starts("exec")); got != 3 {
			t.Errorf("runs in three lives of half an hour: got %d, want the 3 of the day", got)
		}
		clear(kept)
		world.set("exec", probe.ExecUsageLimit, usually)
		live(world.plan(world.withExec(0, 10*time.Minute)), 3)
		if got := len(world.starts("exec")) - 3; got != 2 {
			t.Errorf("runs in an hour and a half while the account refuses them: got %d, want one now and one after half an hour", got)
		}
	})
}

func TestCostlyRunsWaitWhileTheServiceCannotBeReached(t *testing.T) {
	world := newWorld()
	watching(t, world.plan(world.withExec(0, time.Hour)), Options{}, func(t *testing.T, w *Watcher) {
		time.Sleep(2 * time.Hour) // one succeeds
		world.set("head", probe.HTTPServerError, usually)
		time.Sleep(time.Minute)
		now := wantCause(t, w, causes.Upstream)
		if !slices.Contains(now.Blocked, "exec") {
			t.Errorf("blocked: %v, want exec among them", now.Blocked)
		}
		if slices.ContainsFunc(now.Results, func(r probe.Result) bool { return r.Name == "exec" }) {
			t.Error("the round still has a run from before the outage")
		}
		before := len(world.starts("exec"))
		time.Sleep(6 * time.Hour)
		if got := len(world.starts("exec")); got != before {
			t.Errorf("%d runs during the outage, want none", got-before)
		}
		world.set("head", probe.OK, usually)
		time.Sleep(time.Minute)
		wantCause(t, w, causes.Healthy)
		if got := len(world.starts("exec")) - before; got != 1 {
			t.Errorf("%d runs at the recovery, want one to confirm it", got)
		}
	})
}

// No agent is run while someone else answers in place of the service, from the first round on: its requests, with the
// user's key, would go there.
func TestNoRunUnderInterception(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"head", "routing"} {
		world := newWorld()
		world.warnings = map[string][]string{"routing": {probe.WarnRouting}}
		world.fail(name, probe.TLSAuthorityInvalid, probe.Handshake)
		s := world.withBuiltin()
		routing := world.probe("codex", "routing", probe.KindHTTP, probe.OfService, probe.FromHost, probe.Response)
		s.Tasks = append(s.Tasks, Task{Probe: routing, Interval: interval, RoundProbe: routing})
		watching(t, world.plan(s), Options{}, func(t *testing.T, w *Watcher) {
			runs := func() int { return len(world.starts("exec")) + len(world.starts("exec/builtin")) }
			time.Sleep(30 * time.Hour)
			wantCause(t, w, causes.Interception)
			if got := runs(); got != 0 {
				t.Errorf("%s: %d runs from the start on, want none", name, got)
			}
			world.set(name, probe.OK, usually)
			time.Sleep(3 * time.Hour)
			wantCause(t, w, causes.Healthy)
			before := runs()
			if before == 0 {
				t.Errorf("%s: no run after the interception", name)
			}
			world.fail(name, probe.TLSAuthorityInvalid, probe.Handshake)
			time.Sleep(30 * time.Hour)
			wantCause(t, w, causes.Interception)
			if got := runs() - before; got > 1 { // one may begin in the seconds before the verdict
				t.Errorf("%s: %d runs under interception, want none", name, got)
			}
		})
	}
}

// The edge may refuse only the agent's requests. That is a cause of the network, but no reason to forget the run that
// showed it, or to make no other.
func TestCauseThatOnlyARunShowsLastsUntilTheNextRun(t *testing.T) {
	t.Parallel()
	for class, cause := range map[probe.Class]causes.Cause{
		probe.HTTPEdgeBlocked: causes.EdgeBlocked, probe.ExecSignInMissing: causes.Interception,
		probe.ExecOverloaded: causes.Upstream,
	} {
		t.Run(class.String(), func(t *testing.T) {
			world := newWorld()
			watching(t, world.plan(world.withExec(0, time.Hour)), Options{}, func(t *testing.T, w *Watcher) {
				time.Sleep(2 * time.Hour)
				world.set("exec", class, usually)
				time.Sleep(time.Hour + time.Minute)
				since := wantCause(t, w, cause).Since
				before := len(world.starts("exec"))
				time.Sleep(3 * time.Hour)
				if now := wantCause(t, w, cause); !now.Since.Equal(since) {
					t.Errorf("holds since %s, want %s: the verdict changed in between", now.Since, since)
				}
				if len(world.starts("exec")) == before {
					t.Error("no further run was made")
				}
				world.set("exec", probe.OK, usually)
				time.Sleep(7 * time.Hour) // a refused account waits up to six hours
				wantCause(t, w, causes.Healthy)
			})
		})
	}
}

// A run that a stub may help to explain is followed by one against the stub, and rounds have both results.
func TestStubFollowsARunThatItMayExplain(t *testing.T) {
	for _, test := range []struct {
		run, stub probe.Class
		follows   bool
		want      causes.Cause
	}{
		{probe.OK, probe.OK, false, causes.Healthy},
		{probe.ExecUsageLimit, probe.OK, false, causes.Account},
		{probe.ExecTimedOut, probe.OK, true, causes.Upstream},
		{probe.ExecTimedOut, probe.ExecTimedOut, true, causes.Agent},
		{probe.ExecTimedOut, probe.Internal, true, causes.Agent},
		{probe.ExecNetwork, probe.OK, true, causes.Agent},
		{probe.ExecUnexpectedExit, probe.OK, true, causes.UnexpectedAnswer},
		{probe.Unknown, probe.OK, true, causes.UnexpectedAnswer},
	} {
		t.Run(test.run.String()+", "+test.stub.String(), func(t *testing.T) {
			world, seen := newWorld(), new(moves)
			world.set("exec", test.run, usually)
			world.set("exec/stub", test.stub, 3*time.Second)
			watching(t, world.plan(world.withStub()), Options{Observers: []Observer{seen}}, func(t *testing.T, w *Watcher) {
				time.Sleep(time.Hour) // one run at its interval
				now := wantCause(t, w, test.want)
				want := 0
				if test.follows {
					want = len(world.starts("exec"))
				}
				if got := len(world.starts("exec/stub")); got != want {
					t.Errorf("%d runs against the stub, want %d", got, want)
				}
				shown := slices.ContainsFunc(now.Results, func(r probe.Result) bool { return r.Role == probe.AgentStub })
				if shown != test.follows {
					t.Errorf("the round has the run against the stub: %v", shown)
				}
				if got := len(seen.seen); test.want != causes.Healthy && got != 2 {
					t.Errorf("the verdict moved more than once: %v", seen.seen)
				}
			})
		})
	}
}

// Under a fault of the network a run says nothing, and neither does one against a stub.
func TestNoStubUnderANetworkFault(t *testing.T) {
	world := newWorld()
	world.set("exec", probe.ExecNetwork, 10*time.Minute)
	service := world.withStub()
	service.Tasks[2].Timeout = time.Hour
	watching(t, world.plan(service), Options{}, func(t *testing.T, w *Watcher) {
		for len(world.starts("exec")) == 0 {
			time.Sleep(time.Second)
		}
		world.set("head", probe.TCPRefused, usually) // while the run is under way
		time.Sleep(20 * time.Minute)
		wantCause(t, w, causes.Upstream)
		if got := len(world.starts("exec/stub")); got != 0 {
			t.Errorf("%d runs against the stub, want none", got)
		}
	})
}

// A run that the service failed is made again before the fault pages anyone, and then ever more rarely: one lost answer
// is forgotten, and the end of a fault is noticed.
func TestFailedRunIsMadeAgain(t *testing.T) {
	world := newWorld()
	watching(t, world.plan(world.withExec(0, time.Hour)), Options{}, func(t *testing.T, w *Watcher) {
		time.Sleep(2 * time.Hour)
		world.set("exec", probe.ExecOverloaded, usually)
		for before := len(world.starts("exec")); len(world.starts("exec")) == before; {
			time.Sleep(time.Second)
		}
		begun := time.Now()
		time.Sleep(10 * time.Second)
		wantCause(t, w, causes.Upstream)
		time.Sleep(time.Hour)
		var waits []time.Duration
		for _, at := range world.starts("exec") {
			if at.After(begun) {
				waits = append(waits, at.Sub(begun).Round(time.Minute))
			}
		}
		if diff := gocmp.Diff([]time.Duration{2 * time.Minute, 6 * time.Minute, 14 * time.Minute, 30 * time.Minute, time.Hour}, waits); diff != "" {
			t.Errorf("made again after (-want +got):\n%s", diff)
		}
		world.set("exec", probe.OK, usually)
		time.Sleep(time.Hour)
		wantCause(t, w, causes.Healthy)

		world.set("exec", probe.ExecOverloaded, usually)
		for before := len(world.starts("exec")); len(world.starts("exec")) == before; {
			time.Sleep(time.Second)
		}
		world.set("exec", probe.OK, usually)
		time.Sleep(firstRecheck + 10*time.Second)
		wantCause(t, w, causes.Healthy)
	})
}

// What a run against a stub shows to be the installation is not tried again at once, and neither is a refused account.
func TestOtherFailedRunsWait(t *testing.T) {
	for run, stub := range map[probe.Class]probe.Class{
		probe.ExecTimedOut: probe.ExecTimedOut, probe.ExecNotFound: probe.OK, probe.ExecModelRejected: probe.OK,
	} {
		world := newWorld()
		world.set("exec", run, usually)
		world.set("exec/stub", stub, usually)
		watching(t, world.plan(world.withStub()), Options{}, func(t *testing.T, w *Watcher) {
			time.Sleep(3 * time.Hour)
			if got := len(world.starts("exec")); got != 3 {
				t.Errorf("%v: %d runs in three hours", run, got)
			}
		})
	}
}

// withBuiltin has runs of the agent with its own provider, once a day.
func (w *world) withBuiltin() Service {
	s := w.withStub()
	s.Tasks[2].Daily = 24
	s.Tasks[2].Builtin = w.probe("codex", "exec/builtin", probe.KindExec, probe.OfService, probe.FromHost, probe.Executing)
	s.Tasks[2].BuiltinEvery = 24 * time.Hour
	return s
}

// A run with the agent's own provider takes the place of a usual one once a day, after a usual one that succeeded. A
// restart does not repeat it, and it counts.
func TestBuiltinRunOnceADay(t *testing.T) {
	t.Parallel()
	kept := make(memory)
	world := newWorld()
	plan := world.plan(world.withBuiltin())
	synctest.Test(t, func(t *testing.T) {
		live := func(life time.Duration) {
			ctx, stop := context.WithTimeout(t.Context(), life)
			defer stop()
			New(plan, Options{Memory: kept}).Run(ctx)
		}
		live(time.Hour)
		if got := len(world.starts("exec/builtin")); got != 0 {
			t.Errorf("%d runs before a usual one succeeded", got)
		}
		for range 10 {
			live(2 * time.Hour)
		}
		if got := len(world.starts("exec/builtin")); got != 1 {
			t.Errorf("%d runs in a day of ten lives, want one", got)
		}
		live(72*time.Hour + time.Minute)
		if got := len(world.starts("exec/builtin")); got != 4 {
			t.Errorf("%d runs in four days, want one a day", got)
		}
		if usual, own := len(world.starts("exec")), len(world.starts("exec/builtin")); usual+own > 4*24+1 || len(kept["codex"].Spent) > 24 {
			t.Errorf("%d and %d runs in four days, %d counted in the last one", usual, own, len(kept["codex"].Spent))
		}
	})
}

// It is also made when something else is wrong, once for each verdict, and until it succeeds if it fails.
func TestBuiltinRunOnSuspicion(t *testing.T) {
	t.Parallel()
	world := newWorld()
	plan := world.plan(world.withBuiltin())
	watching(t, plan, Options{}, func(t *testing.T, w *Watcher) {
		time.Sleep(5 * time.Hour)
		before := len(world.starts("exec/builtin"))
		world.set("exec/builtin", probe.ExecNetwork, usually)
		world.set("head", probe.HTTPServerError, usually) // explains runs, so that none is made
		time.Sleep(2 * time.Hour)
		wantCause(t, w, causes.Upstream)
		if got := len(world.starts("exec/builtin")) - before; got != 0 {
			t.Errorf("%d runs during a fault of the network", got)
		}
		world.set("head", probe.OK, usually)
		time.Sleep(20 * time.Hour) // the next day's
		now := wantCause(t, w, causes.Upstream)
		if now.Evidence[0].Name != "exec/builtin" {
			t.Errorf("shown by %s", now.Evidence[0].Name)
		}
		world.set("exec/builtin", probe.OK, usually)
		time.Sleep(2 * time.Hour)
		wantCause(t, w, causes.Healthy)
	})
	stream := newWorld()
	s := stream.withStream()
	s.Tasks = append(s.Tasks, stream.withBuiltin().Tasks[2])
	watching(t, stream.plan(s), Options{}, func(t *testing.T, w *Watcher) {
		time.Sleep(5 * time.Hour)
		before := len(stream.starts("exec/builtin"))
		stream.fail("stream", probe.StreamCut, probe.Streaming)
		stream.fail("upgrade", probe.StreamUpgradeRefused, probe.Streaming)
		time.Sleep(3 * time.Hour)
		wantCause(t, w, causes.Stream)
		if got := len(stream.starts("exec/builtin")) - before; got != 1 {
			t.Errorf("%d runs for a broken stream, want one", got)
		}
	})
}

// If routing discovery fails, one run with the agent's own provider shows what that means, although the verdict
// explains it. Once the request works again, the run is no reason to doubt that.
func TestBuiltinRunIfRoutingFails(t *testing.T) {
	t.Parallel()
	world := newWorld()
	world.warnings = map[string][]string{"routing": {probe.WarnRouting}}
	s := world.withBuiltin()
	routing := world.probe("codex", "routing", probe.KindHTTP, probe.OfService, probe.FromHost, probe.Response)
	s.Tasks = append(s.Tasks, Task{Probe: routing, Interval: interval, RoundProbe: routing})
	watching(t, world.plan(s), Options{}, func(t *testing.T, w *Watcher) {
		time.Sleep(5 * time.Hour)
		before := len(world.starts("exec/builtin"))
		world.set("exec/builtin", probe.ExecNetwork, usually)
		world.set("routing", probe.HTTPServerError, usually)
		time.Sleep(4 * time.Hour)
		wantCause(t, w, causes.Upstream)
		if got := len(world.starts("exec/builtin")) - before; got != 1 {
			t.Errorf("%d runs while routing discovery fails, want one", got)
		}
		world.set("routing", probe.OK, usually)
		time.Sleep(2 * time.Minute)
		wantCause(t, w, causes.Healthy)

		// The run is the first to show it.
		world.set("exec/builtin", probe.ExecNetwork, usually)
		for wantCause(t, w, causes.Healthy); serviceStatus(t, w).Cause == causes.Healthy; {
			time.Sleep(10 * time.Minute)
		}
		wantCause(t, w, causes.Upstream)
		for before := len(world.starts("exec/builtin")); len(world.starts("exec/builtin")) == before; {
			time.Sleep(time.Second) // until after a recheck: the next one is not before four minutes
		}
		world.set("routing", probe.HTTPServerError, usually)
		time.Sleep(70 * time.Second)
		world.set("routing", probe.OK, usually)
		world.set("exec/builtin", probe.OK, usually)
		time.Sleep(70 * time.Second)
		wantCause(t, w, causes.Healthy)
	})
}

func TestRefusedRunsBackOff(t *testing.T) {
	t.Parallel()
	world := newWorld()
	watching(t, world.plan(world.withExec(0, 10*time.Minute)), Options{}, func(t *testing.T, w *Watcher) {
		world.set("exec", probe.ExecUsageLimit, usually)
		time.Sleep(24 * time.Hour)
		wantCause(t, w, causes.Account)
		if got := len(world.starts("exec")); got < 5 || got > 9 {
			t.Errorf("runs in a day: got %d, want the few that 30m, 1h, 2h, 4h, 6h, 6h… leave", got)
		}
	})
}

// A network fault makes the refusal of a run say nothing. Once the network is back, the next run shows it again:
// without that, the verdict would be healthy for as long as the backoff lasts.
func TestRefusalIsFoundAgainAfterANetworkFault(t *testing.T) {
	for name, pause := range map[string]time.Duration{"during the fault": 0, "before it": 20 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			world := newWorld()
			watching(t, world.plan(world.withExec(0, 10*time.Minute)), Options{}, func(t *testing.T, w *Watcher) {
				world.set("exec", probe.ExecUsageLimit, 5*time.Second)
				if pause == 0 {
					for len(world.starts("exec")) == 0 {
						time.Sleep(time.Second)
					}
				}
				time.Sleep(pause)
				world.set("head", probe.HTTPServerError, usually)
				time.Sleep(2 * time.Minute)
				wantCause(t, w, causes.Upstream)
				world.set("head", probe.OK, usually)
				time.Sleep(12 * time.Minute)
				wantCause(t, w, causes.Account)
			})
		})
	}
}

func TestHangingProbeNeitherOverlapsNorBlocksOthers(t *testing.T) {
	world := newWorld()
	slow := world.probe("many", "slow", probe.KindDNS, probe.OfService, probe.FromHost, probe.Resolve)
	quick := world.probe("many", "quick", probe.KindDNS, probe.OfService, probe.FromHost, probe.Resolve)
	service := Service{Name: "many", Confirmation: Confirmation{Votes: 2, Of: 3}, Tasks: []Task{
		{Probe: slow, Interval: time.Second}, {Probe: quick, Interval: time.Second, RoundProbe: quick},
	}}
	world.set("slow", probe.OK, 2500*time.Millisecond)
	missed := new(misses)
	watching(t, world.plan(service), Options{Observers: []Observer{missed}}, func(t *testing.T, _ *Watcher) {
		time.Sleep(time.Minute)
		synctest.Wait()
		if slices.Contains(world.over, "slow") {
			t.Errorf("attempts overlapped: %v", world.over)
		}
		if got := len(world.starts("quick")); got < 59 {
			t.Errorf("the other probe ran %d times in a minute, want every second", got)
		}
		if missed.count < 35 {
			t.Errorf("missed starts counted: %d, want two of three in a minute", missed.count)
		}
	})
}

// stall blocks the watcher once.
type stall struct {
	NopObserver
	length  time.Duration
	started int
	late    time.Duration // the latest start that was made
	missed  int
}

func (s *stall) Started(late time.Duration, missed int) {
	if s.started++; s.started == 1000 {
		time.Sleep(s.length)
	}
	if s.missed += missed; missed == 0 {
		s.late = max(s.late, late)
	}
}

func TestLongOverdueStartsAreSkippedAfterAStall(t *testing.T) {
	const probes, every = 1000, time.Second
	world := newWorld()
	service := Service{Name: "many", Confirmation: Confirmation{Votes: 2, Of: 3}}
	for i := range probes {
		p := world.probe("many", fmt.Sprintf("p%d", i), probe.KindDNS, probe.OfService, probe.FromHost, probe.Resolve)
		service.Tasks = append(service.Tasks, Task{Probe: p, Interval: every, RoundProbe: p})
	}
	stalled := &stall{length: 800 * time.Millisecond}
	watching(t, world.plan(service), Options{Observers: []Observer{stalled}}, func(t *testing.T, w *Watcher) {
		time.Sleep(5*time.Second + every/2)
		serviceStatus(t, w) // synchronizes with the watcher's goroutine, whose writes are read below
		if stalled.missed < probes/3 || stalled.missed > probes {
			t.Errorf("%d skipped, want about half of %d: those more than 250 ms late", stalled.missed, probes)
		}
		if stalled.late > every/overdueShare {
			t.Errorf("started %v late, want at most %v", stalled.late, every/overdueShare)
		}
		if got := stalled.started; got < 4*probes {
			t.Errorf("%d turns in five seconds, want all of %d a second after the stall", got, probes)
		}
	})
}

// The watchdog relies on this: it must kill a daemon that starts nothing, and spare one whose network is slow.
func TestLagGrowsOnlyIfNothingStarts(t *testing.T) {
	world := newWorld()
	for _, name := range []string{"dns", "head", "one", "two", "three"} {
		world.set(name, probe.OK, time.Hour) // until it times out
	}
	watching(t, world.plan(world.ladder()), Options{}, func(t *testing.T, w *Watcher) {
		lag := func() time.Duration {
			time.Sleep(2 * interval)
			late, err := w.Lag(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return late
		}
		if late := lag(); late > grid {
			t.Errorf("nothing answers: lag %v, want less than %v", late, grid)
		}
		w.goroutines.queued.Add(maxQueued) // as if no processor were free for them
		if late := lag(); late < interval {
			t.Errorf("nothing can start: lag %v, want at least %v", late, interval)
		}
		w.goroutines.queued.Add(-maxQueued)
	})
}

type misses struct {
	NopObserver
	count int
}

func (m *misses) Started(_ time.Duration, missed int) { m.count += missed }

func TestStartsNeitherDriftNorBunch(t *testing.T) {
	t.Parallel()
	const probes, every = 1000, 10 * time.Second
	world := newWorld()
	service := Service{Name: "many", Confirmation: Confirmation{Votes: 2, Of: 3}}
	for i := range probes {
		p := world.probe("many", fmt.Sprintf("p%d", i), probe.KindDNS, probe.OfService, probe.FromHost, probe.Resolve)
		service.Tasks = append(service.Tasks, Task{Probe: p, Interval: every, RoundProbe: p})
	}
	watching(t, world.plan(service), Options{}, func(t *testing.T, _ *Watcher) {
		time.Sleep(10 * time.Minute)
		perSecond := make(map[int64]int)
		for i := range probes {
			starts := world.starts(fmt.Sprintf("p%d", i))
			last := starts[len(starts)-1]
			perSecond[last.Unix()]++
			onGrid := slices.IndexFunc(starts, func(at time.Time) bool { return last.Sub(at)%every != 0 })
			if onGrid > 1 { // the first round's attempt is not on the schedule
				t.Fatalf("p%d drifted: %v and %v are not whole intervals apart", i, starts[onGrid], last)
			}
		}
		for second, n := range perSecond {
			if n > 2*probes/10 {
				t.Errorf("%d of %d probes start in second %d: they bunch", n, probes, second)
			}
		}
	})
}

func TestReloadKeepsState(t *testing.T) {
	world := newWorld()
	watching(t, world.plan(world.ladder()), Options{}, func(t *testing.T, w *Watcher) {
		world.set("head", probe.HTTPServerError, usually)
		time.Sleep(2 * interval)
		before := wantCause(t, w, causes.Upstream)
		other := world.ladder()
		other.Name = "other"
		if err := w.Reload(t.Context(), world.plan(world.ladder(), other)); err != nil {
			t.Fatalf("Reload: %v", err)
		}
		after := wantCause(t, w, causes.Upstream)
		if !after.Since.Equal(before.Since) {
			t.Errorf("since: got %v, want %v as before the reload", after.Since, before.Since)
		}
		starts := world.starts("head")
		time.Sleep(interval)
		again := world.starts("head")
		if gap := again[len(starts)].Sub(starts[len(starts)-1]) % time.Second; len(again) == len(starts) || gap > interval {
			t.Errorf("the schedule was not kept: %v after %v", again, starts)
		}
	})
}

func TestStoppedWatcherReturnsErrStopped(t *testing.T) {
	world := newWorld()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		w := New(world.plan(world.ladder()), Options{})
		stop()
		w.Run(ctx)
		if _, err := w.Status(t.Context()); err != ErrStopped {
			t.Errorf("Status of a stopped watcher: got %v, want %v", err, ErrStopped)
		}
	})
}

// pool is a Starter that knows the probes of one name only.
type pool struct {
	goroutines
	name    string
	started atomic.Int32
}

func (p *pool) Start(one *probe.Probe, done func(probe.Result)) bool {
	if one.Name != p.name {
		return false
	}
	p.started.Add(1)
	return p.goroutines.Start(one, done)
}

func TestPoolStartsTheProbesItKnows(t *testing.T) {
	world, pooled := newWorld(), &pool{name: "dns"}
	newPool := func(ctx context.Context) Starter {
		pooled.ctx = ctx
		return pooled
	}
	watching(t, world.plan(world.ladder()), Options{Pool: newPool}, func(t *testing.T, w *Watcher) {
		time.Sleep(10 * interval)
		wantCause(t, w, causes.Healthy)
	})
	if got, want := int(pooled.started.Load()), len(world.starts("dns")); got != want || want < 10 {
		t.Errorf("the pool started %d of %d attempts", got, want)
	}
	if got := len(world.starts("head")); got < 10 {
		t.Errorf("%d attempts that the pool does not know, want one each round", got)
	}
}

// A name that was at a private address belongs to a VPN or a company: that public resolvers do not know it says
// nothing.
func TestNameThatWasPrivateIsNotGone(t *testing.T) {
	for answer, want := range map[string]causes.Cause{"10.20.0.7": causes.Resolver, "104.18.32.47": causes.Inconclusive} {
		t.Run(answer, func(t *testing.T) {
			world := newWorld()
			s := world.ladder()
			head := s.Tasks[1].Probe
			head.Prober = actor{world: world, name: "head", phase: probe.Response, answers: []string{answer}}
			watching(t, world.plan(s), Options{}, func(t *testing.T, w *Watcher) {
				time.Sleep(5 * time.Minute)
				wantCause(t, w, causes.Healthy)
				for _, name := range []string{"dns", "head", "direct"} {
					world.fail(name, probe.DNSNameNotResolved, probe.Resolve)
				}
				time.Sleep(5 * time.Minute)
				wantCause(t, w, want)
			})
		})
	}
}

// A fault that outlives a restart goes on: it keeps its begin, and is no change for the observers.
func TestFaultOutlivesARestart(t *testing.T) {
	for _, test := range []struct {
		name     string
		before   causes.Cause
		head     probe.Class
		want     causes.Cause
		goesOn   bool
		isChange bool
	}{
		{"the same", causes.Upstream, probe.HTTPServerError, causes.Upstream, true, false},
		{"another one", causes.Resolver, probe.HTTPServerError, causes.Upstream, false, true},
		{"it is over", causes.Upstream, probe.OK, causes.Healthy, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			world := newWorld()
			world.fail("head", test.head, probe.Response)
			var changes []causes.Cause
			var since time.Time
			o := Options{Observers: []Observer{changesOf{changes: &changes}},
				Ongoing: func(string) (causes.Cause, time.Time, bool) {
					since = time.Now().Add(-time.Hour)
					return test.before, since, true
				}}
			watching(t, world.plan(world.ladder()), o, func(t *testing.T, w *Watcher) {
				time.Sleep(time.Minute)
				now := wantCause(t, w, test.want)
				if now.Since.Equal(since) != test.goesOn || test.goesOn && now.Delay != 0 {
					t.Errorf("since %v (after %v), begun %v: goes on: want %v", now.Since, now.Delay, since, test.goesOn)
				}
				// What ends and comes back is a change again.
				world.set("head", probe.OK, usually)
				time.Sleep(2 * time.Minute)
				world.fail("head", probe.HTTPServerError, probe.Response)
				time.Sleep(2 * time.Minute)
				if now := wantCause(t, w, causes.Upstream); !now.Since.After(since.Add(time.Hour)) {
					t.Errorf("the second outage holds since %v", now.Since)
				}
			})
			if got := len(changes) > 0 && changes[0] == test.want; got != test.isChange {
				t.Errorf("changes: %v; want %v first: %v", changes, test.want, test.isChange)
			}
		})
	}
}

// changesOf notes every change of the verdict.
type changesOf struct {
	NopObserver
	changes *[]causes.Cause
}

func (c changesOf) Judged(now ServiceStatus, was causes.Cause) {
	if now.Cause != was {
		*c.changes = append(*c.changes, now.Cause)
	}
}
