package ladder

import (
	"slices"
	"testing"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/diagnose/diagnosetest"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
)

// TestTheFailedRungIsTheDecidingOne tries every scene: a fault marks exactly one rung of its side as failed, the one of
// the evidence that decides, and the sandbox has a failed rung only if the verdict says so.
func TestTheFailedRungIsTheDecidingOne(t *testing.T) {
	for _, scene := range diagnosetest.Scenes() {
		s := watch.ServiceStatus{Verdict: diagnose.Of(scene.Round), Results: scene.Round.Results}
		e, rung := deciding(s)
		if rung < 0 {
			continue
		}
		ladder := Of(s)
		onHost, inside := failedRungs(ladder, host), failedRungs(ladder, sandbox)
		switch {
		case e.Vantage == probe.FromSandbox:
			if len(onHost) != 0 || len(inside) != 1 {
				t.Errorf("%s: %v: failed are %q on the host and %q in the sandbox; want one in the sandbox",
					scene.Name, s.Cause, onHost, inside)
			}
		case s.Cause == causes.HostOffline && !slices.Equal(onHost, []string{rungNames[rung]}):
			if !slices.Equal(onHost, []string{"host"}) && !slices.Equal(onHost, []string{"internet"}) {
				t.Errorf("%s: %v: failed are %q, want the host or the internet", scene.Name, s.Cause, onHost)
			}
		case !slices.Equal(onHost, []string{rungNames[rung]}):
			t.Errorf("%s: %v: failed are %q, but %v at %q decides", scene.Name, s.Cause, onHost, e.Class, rungNames[rung])
		}
		if e.Vantage != probe.FromSandbox && len(inside) > 0 && !s.Names(causes.Sandbox) && s.Cause != causes.SandboxOpen {
			t.Errorf("%s: %v: failed in the sandbox are %q, and the verdict does not blame it", scene.Name, s.Cause, inside)
		}
	}
}

// A captive portal may answer for the controls and stop lookups too. The sign-in is what is wrong, so the internet's
// rung is the failed one.
func TestPortalIsOnTheInternetsRung(t *testing.T) {
	portal := attempt(probe.KindHTTP, probe.ControlByName, probe.FromHost, probe.Response, probe.HTTPRedirected)
	s := watch.ServiceStatus{Results: []probe.Result{
		attempt(probe.KindDNS, probe.OfService, probe.FromHost, probe.Resolve, probe.DNSTimeout), portal}}
	s.Cause, s.Evidence = causes.Interception, []probe.Result{portal}
	got := failedRungs(Of(s), host)
	if !slices.Equal(got, []string{"internet"}) {
		t.Errorf("failed rungs: %q, want the internet", got)
	}
}

func failedRungs(ladder []Rung, side func(Rung) Step) []string {
	var names []string
	for _, r := range ladder {
		if side(r).Mark == Failed {
			names = append(names, r.Name)
		}
	}
	return names
}

// The sandbox was tested, and failed as the host did: it is neither closed nor untested.
func TestSandboxFailsAlike(t *testing.T) {
	open := attempt(probe.KindHost, probe.OfHost, probe.FromSandbox, probe.NoPhase, probe.OK)
	resolves := attempt(probe.KindDNS, probe.OfService, probe.FromSandbox, probe.Resolve, probe.OK)
	denied := attempt(probe.KindHost, probe.OfHost, probe.FromSandbox, probe.NoPhase, probe.LocalDenied)
	request := func(v probe.Vantage, phase probe.Phase, class probe.Class) probe.Result {
		return attempt(probe.KindHTTP, probe.OfService, v, phase, class)
	}
	stranger := request(probe.FromHost, probe.Handshake, probe.TLSNameInvalid)
	portal := attempt(probe.KindHTTP, probe.ControlByName, probe.FromHost, probe.Response, probe.HTTPRedirected)
	down := request(probe.FromHost, probe.Response, probe.HTTPServerError)
	cut := attempt(probe.KindStream, probe.OfService, probe.FromHost, probe.Streaming, probe.StreamIdleCut)
	for _, test := range []struct {
		name     string
		cause    causes.Cause
		evidence probe.Result
		results  []probe.Result
		rung     int
		mark     Mark
		words    string
	}{
		{"a portal, in the same round", causes.Interception, portal, []probe.Result{portal, stranger, open, resolves,
			request(probe.FromSandbox, probe.Handshake, probe.TLSNameInvalid)}, Edge, Blocked, "certificate for another name"},
		{"in a later round", causes.Upstream, down, []probe.Result{down, open, resolves},
			Application, Blocked, "fails as on this host"},
		{"before", causes.Upstream, down, []probe.Result{down, open, resolves,
			request(probe.FromSandbox, probe.Response, probe.OK)}, Application, OK, "answer, as expected"},
		{"a stream, which the sandbox has none of", causes.Stream, cut, []probe.Result{cut, open, resolves},
			Stream, NotTested, "not tested"},
		{"a sandbox without probes", causes.Upstream, down, []probe.Result{down}, Application, NotTested, "not tested"},
		{"a closed sandbox", causes.Upstream, down, []probe.Result{down, denied}, Host, Closed, "no network"},
	} {
		s := watch.ServiceStatus{Results: test.results}
		s.Cause, s.Evidence = test.cause, []probe.Result{test.evidence}
		if got := rungOf(s, test.rung).Sandbox; got.Mark != test.mark || got.Words != test.words {
			t.Errorf("%s: got %v %q in the sandbox, want %v %q", test.name, got.Mark, got.Words, test.mark, test.words)
		}
	}
}

// An upgrade that is refused without a sign-in is as expected. It opened no stream.
func TestRefusedUpgradeIsNotOpened(t *testing.T) {
	for status, want := range map[int]string{101: "opened", 0: "opened", 403: "403, as expected"} {
		r := attempt(probe.KindStream, probe.OfService, probe.FromHost, probe.Streaming, probe.OK)
		r.Status = status
		if got := rungOf(watch.ServiceStatus{Results: []probe.Result{r}}, Stream).Host.Words; got != want {
			t.Errorf("status %d: got %q, want %q", status, got, want)
		}
	}
}
