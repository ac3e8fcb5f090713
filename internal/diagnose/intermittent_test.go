package diagnose_test

import (
	"testing"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/diagnose/diagnosetest"
	"netwatchd/internal/probe"
)

// That a probe of the service fails now and then makes no scene a fault, hides none, and never looks healthy.
func TestIntermittentIsNoFault(t *testing.T) {
	degraded := 0
	for _, s := range diagnosetest.Scenes() {
		for _, r := range s.Round.Results {
			if r.Role != probe.OfService || r.Vantage != probe.FromHost || r.Kind != probe.KindHTTP && r.Kind != probe.KindDNS {
				continue
			}
			last := r
			last.Class = probe.HTTPServerError
			round := s.Round
			round.Counted = true
			round.Intermittent = []diagnose.Intermittent{{Probe: r.Name, Kind: r.Kind, Class: last.Class, Failed: 4, Of: 20, Last: last}}
			was, got := diagnose.Of(s.Round), diagnose.Of(round)
			switch {
			case got.Cause.Fault() && got.Cause != was.Cause, was.Cause.Fault() && !got.Cause.Fault(),
				got.Cause == causes.Healthy, got.Cause.Usable() != (len(got.Intermittent) > 0):
				t.Errorf("%s: %v becomes %v (%s), with %d intermittent probes", s.Name, was.Cause, got.Cause, got.Title,
					len(got.Intermittent))
			case got.Cause == causes.Degraded:
				degraded++
			}
		}
	}
	if degraded == 0 {
		t.Error("no scene becomes degraded")
	}
}
