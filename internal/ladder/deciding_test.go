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
