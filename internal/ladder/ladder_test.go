package ladder

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/causes"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
)

func attempt(kind probe.Kind, role probe.Role, v probe.Vantage, phase probe.Phase, class probe.Class) probe.Result {
	r := probe.Result{Spec: probe.Spec{Service: "codex", Name: kind.String(), Kind: kind, Role: role, Vantage: v}, Class: class}
	r.Phase = phase
	return r
}

func marks(rungs []Rung, side func(Rung) Step) []Mark {
	var all []Mark
	for _, r := range rungs {
		all = append(all, side(r).Mark)
	}
	return all
}

// rungOf returns a rung by its constant: one that nothing tested may be left out.
func rungOf(s watch.ServiceStatus, rung int) Rung {
	for _, r := range Of(s) {
		if r.Name == rungNames[rung] {
			return r
		}
	}
	return Rung{}
}

func host(r Rung) Step    { return r.Host }
func sandbox(r Rung) Step { return r.Sandbox }

// TestEverySingleAttempt tries every possible attempt: a success marks no rung as failed, a failure marks exactly one on its
// own side and none on the other.
func TestEverySingleAttempt(t *testing.T) {
	for kind := probe.KindHost; kind <= probe.KindStatus; kind++ {
		for role := probe.OfService; role <= probe.AgentStub; role++ {
			for v := probe.FromHost; v <= probe.Direct; v++ {
				for _, phase := range append(probe.AllPhases(), probe.NoPhase) {
					for class := range probe.Classes() {
						checkSingle(t, attempt(kind, role, v, phase, class))
					}
				}
			}
		}
	}
}

func checkSingle(t *testing.T, r probe.Result) {
	t.Helper()
	s := watch.ServiceStatus{Results: []probe.Result{r}}
	s.Cause = causes.Sandbox // the sandbox counts as a fault
	ladder := Of(s)
	own, other := host, sandbox
	if r.Vantage == probe.FromSandbox {
		own, other = sandbox, host
	}
	failures := 0
	for _, m := range marks(ladder, own) {
		if m == Failed || m == Partial {
			failures++
		}
	}
	direct := r.Vantage == probe.Direct && r.Role != probe.OfHost                                         // the service is not used this way
	kindless := (r.Role == probe.OfService || r.Role == probe.ServiceAddress) && r.Kind == probe.KindHost // no such prober exists
	want := 1
	if r.OK() || direct || kindless || r.Role == probe.AgentStub {
		want = 0
	}
	if failures != want {
		t.Errorf("%v %v from %v, %v at %v: got %d failed rungs, want %d", r.Kind, r.Role, r.Vantage, r.Class, r.Phase, failures, want)
	}
	if slices.ContainsFunc(marks(ladder, other), func(m Mark) bool { return m != NotTested }) {
		t.Errorf("%v from %v left a mark on the other side", r.Kind, r.Vantage)
	}
}

func TestTheLowestFailureBlocksTheRest(t *testing.T) {
	refused := attempt(probe.KindHTTP, probe.OfService, probe.FromHost, probe.Connect, probe.TCPRefused)
	good := func(kind probe.Kind, role probe.Role, phase probe.Phase) probe.Result {
		return attempt(kind, role, probe.FromHost, phase, probe.OK)
	}
	offline := attempt(probe.KindHTTP, probe.ControlByAddress, probe.FromHost, probe.Connect, probe.LocalNoRoute)
	for _, test := range []struct {
		name    string
		results []probe.Result
		blocked []string
		want    []Mark
	}{
		{"edge", []probe.Result{good(probe.KindDNS, probe.OfService, probe.Resolve), good(probe.KindHTTP, probe.ControlByName, probe.Response), refused},
			nil, []Mark{NotTested, OK, OK, Failed, Blocked, NotTested, NotTested}},
		{"edge, the rest left out", []probe.Result{refused},
			[]string{"agent's run"}, []Mark{NotTested, NotTested, NotTested, Failed, Blocked, Blocked, Blocked}},
		{"offline", []probe.Result{good(probe.KindDNS, probe.OfService, probe.Resolve), offline, refused},
			nil, []Mark{NotTested, OK, Failed, Blocked, Blocked, NotTested, NotTested}},
		{"one control of three", []probe.Result{good(probe.KindHTTP, probe.ControlByName, probe.Response), good(probe.KindHTTP, probe.ControlByName, probe.Response), offline},
			nil, []Mark{NotTested, NotTested, OK, NotTested, NotTested, NotTested, NotTested}},
		{"two controls of three", []probe.Result{good(probe.KindHTTP, probe.ControlByName, probe.Response), offline, offline},
			nil, []Mark{NotTested, NotTested, Partial, NotTested, NotTested, NotTested, NotTested}},
		{"a nameserver", []probe.Result{good(probe.KindDNS, probe.OfService, probe.Resolve),
			attempt(probe.KindDNS, probe.ResolverAsksControl, probe.FromHost, probe.Resolve, probe.DNSTimeout)},
			nil, []Mark{NotTested, Partial, NotTested, NotTested, NotTested, NotTested, NotTested}},
		{"all is well", []probe.Result{good(probe.KindHost, probe.OfHost, probe.NoPhase), good(probe.KindHTTP, probe.OfService, probe.Response), good(probe.KindExec, probe.OfService, probe.Executing)},
			nil, []Mark{OK, NotTested, NotTested, OK, OK, NotTested, OK}},
		{"the agent is signed out", []probe.Result{good(probe.KindHTTP, probe.OfService, probe.Response),
			attempt(probe.KindStatus, probe.OfService, probe.FromHost, probe.Executing, probe.ExecNotLoggedIn)},
			nil, []Mark{NotTested, NotTested, NotTested, OK, OK, NotTested, Failed, NotTested}},
		{"the agent is signed in, its run fails", []probe.Result{good(probe.KindStatus, probe.OfService, probe.Executing),
			attempt(probe.KindExec, probe.OfService, probe.FromHost, probe.Executing, probe.ExecUsageLimit)},
			nil, []Mark{NotTested, NotTested, NotTested, NotTested, NotTested, NotTested, OK, Failed}},
	} {
		s := watch.ServiceStatus{Results: test.results}
		s.Service, s.Cause, s.Blocked = "codex", causes.Upstream, test.blocked
		if diff := cmp.Diff(test.want, marks(Of(s), host)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// A direct resolver that answers for a control only has not resolved the service's name.
func TestOnlyADirectResolverThatResolvesTheNameIsNamed(t *testing.T) {
	failed := attempt(probe.KindDNS, probe.OfService, probe.FromHost, probe.Resolve, probe.DNSNameNotResolved)
	for role, want := range map[probe.Role]string{
		probe.ResolverAsksControl: "name not resolved", probe.ResolverAsksService: "name not resolved; 1.1.1.1 answers",
	} {
		direct := attempt(probe.KindDNS, role, probe.Direct, probe.Resolve, probe.OK)
		direct.Server = "1.1.1.1:53"
		s := watch.ServiceStatus{Results: []probe.Result{failed, direct}}
		if got := Of(s)[Resolver].Host.Words; got != want {
			t.Errorf("%v answered: got %q, want %q", role, got, want)
		}
	}
}

func TestClosedSandboxIsNoFailure(t *testing.T) {
	s := watch.ServiceStatus{Results: []probe.Result{
		attempt(probe.KindHTTP, probe.OfService, probe.FromHost, probe.Response, probe.OK),
		attempt(probe.KindHTTP, probe.OfService, probe.FromSandbox, probe.Resolve, probe.LocalDenied),
	}}
	for cause, want := range map[causes.Cause]Mark{causes.Healthy: Closed, causes.Upstream: Closed, causes.Sandbox: Failed} {
		s.Cause = cause
		if got := Of(s)[Resolver].Sandbox.Mark; got != want {
			t.Errorf("%v: got %v, want %v", cause, got, want)
		}
	}
	if !HasSandbox(Of(s)) {
		t.Error("the sandbox was tested")
	}
}

func TestDeniedNetworkBlocksAllRungs(t *testing.T) {
	s := watch.ServiceStatus{Results: []probe.Result{
		attempt(probe.KindHTTP, probe.OfService, probe.FromHost, probe.Response, probe.OK),
		attempt(probe.KindHost, probe.OfHost, probe.FromSandbox, probe.NoPhase, probe.LocalDenied),
		attempt(probe.KindDNS, probe.OfService, probe.FromSandbox, probe.Resolve, probe.LocalDenied),
	}}
	s.Cause = causes.Sandbox
	want := []Mark{Failed, Blocked, Blocked, Blocked, Blocked, Blocked, Blocked}
	if diff := cmp.Diff(want, marks(Of(s), sandbox)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHostChecksAreSorted(t *testing.T) {
	var looks []probe.Result
	for _, name := range []string{probe.CheckRoute, probe.CheckSandbox, probe.CheckResolvConf, probe.CheckLink} {
		r := attempt(probe.KindHost, probe.OfHost, probe.FromHost, probe.NoPhase, probe.OK)
		r.Name = name
		looks = append(looks, r)
	}
	for range looks {
		looks = append(looks[1:], looks[0])
		if got := Of(watch.ServiceStatus{Results: looks})[Host].Host.Words; got != "link, resolv.conf, route" {
			t.Errorf("got %q", got)
		}
	}
}

func TestEvidenceReplacesRound(t *testing.T) {
	var s watch.ServiceStatus
	s.Evidence = []probe.Result{attempt(probe.KindExec, probe.OfService, probe.FromHost, probe.Executing, probe.ExecUsageLimit)}
	if got := rungOf(s, Agent).Host; got.Mark != Failed || got.Words != "usage limit" {
		t.Errorf("got %+v", got)
	}
}

// A namespace without routes denies nothing: attempts fail in other ways, and only the host shows that it is the sandbox.
func TestSandboxWithoutRoutesIsClosed(t *testing.T) {
	s := watch.ServiceStatus{Results: []probe.Result{
		attempt(probe.KindHTTP, probe.OfService, probe.FromHost, probe.Response, probe.OK),
		attempt(probe.KindHTTP, probe.OfService, probe.FromSandbox, probe.Resolve, probe.DNSUnreachable),
	}}
	s.Cause = causes.Healthy
	if !IsClosed(s, s.Results[1]) {
		t.Error("the host reaches the service: the sandbox is closed")
	}
	s.Results[0].Class = probe.DNSTimeout
	if IsClosed(s, s.Results[1]) {
		t.Error("the host does not reach the service either: that is no sign of a closed sandbox")
	}
	s.Results[0].Class, s.Results[1].Class = probe.OK, probe.ExecStartFailed
	if IsClosed(s, s.Results[1]) || Of(s)[Application].Sandbox.Mark != Failed {
		t.Error("a sandbox that cannot be started is not closed")
	}
}

// TestWhatTheAgentReports: the rung shows it, and what its version cannot report.
func TestWhatTheAgentReports(t *testing.T) {
	r := attempt(probe.KindStatus, probe.OfService, probe.FromHost, probe.Executing, probe.OK)
	r.Output = "signed in with ChatGPT, no doctor in 0.104.0"
	s := watch.ServiceStatus{Results: []probe.Result{r}}
	if got := rungOf(s, Status); got.Name != "status" || got.Host.Words != r.Output {
		t.Errorf("got %+v", got)
	}
	s.Results[0].Class = probe.ExecNotLoggedIn
	if got := rungOf(s, Status).Host; got.Mark != Failed || got.Words != "signed out" {
		t.Errorf("got %+v", got)
	}
}

// A service has no rungs for probes that it does not have, also when a lower rung fails.
func TestRungsOfTheServiceAlone(t *testing.T) {
	s := watch.ServiceStatus{Results: []probe.Result{
		attempt(probe.KindHTTP, probe.OfService, probe.FromHost, probe.Connect, probe.TCPRefused),
	}}
	for _, tt := range []struct {
		kinds []probe.Kind
		want  []string
	}{
		{[]probe.Kind{probe.KindHTTP}, []string{"host", "resolver", "internet", "edge", "application"}},
		{[]probe.Kind{probe.KindHTTP, probe.KindExec}, []string{"host", "resolver", "internet", "edge", "application", "agent"}},
		{nil, []string{"host", "resolver", "internet", "edge", "application", "stream", "agent"}}, // of an older daemon
	} {
		s.Kinds = tt.kinds
		var got []string
		for _, r := range Of(s) {
			got = append(got, r.Name)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tt.kinds, diff)
		}
	}
}
