package rules

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/causes"
	"netwatchd/internal/config"
)

// Fleet alerts must fire before the host alerts and end after them: otherwise they could not silence them.
func TestFleetFiresFirstAndEndsLast(t *testing.T) {
	c := config.Builtin()
	hosts, fleet := For(c, Default()), Fleet(c, Default())
	for _, cause := range paging() {
		host := named(hosts, Name(cause))[0]
		for _, name := range []string{fleetName, singleName} {
			found := false
			for _, r := range named(fleet, name) {
				if r.Labels["cause"] != cause.String() {
					continue
				}
				found = true
				if r.Labels[scopeLabel] == everyone && r.For >= ofScope(fleet, cause, several).For {
					t.Errorf("%v: scope everyone is held for %v, not less than several", cause, r.For)
				}
				if lead := time.Duration(host.For - r.For); lead < 30*time.Second { // two evaluations of the shipped example
					t.Errorf("%s for %v fires %v before %s", name, cause, lead, host.Alert)
				}
				if r.KeepFiringFor <= host.KeepFiringFor {
					t.Errorf("%s for %v keeps firing for %v, %s for %v", name, cause, r.KeepFiringFor, host.Alert, host.KeepFiringFor)
				}
				if r.KeepFiringFor <= r.For {
					t.Errorf("%s for %v keeps firing for %v, less than the hold %v of the next", name, cause, r.KeepFiringFor, r.For)
				}
			}
			if !found {
				t.Errorf("no %s for %v", name, cause)
			}
		}
	}
}

// A severity in the configuration applies to the fleet alerts too.
func TestSeveritiesOfTheFleet(t *testing.T) {
	c := config.Builtin()
	s := c.Services[0]
	s.Name, s.Severity = "toy", map[causes.Cause]causes.Severity{causes.Upstream: causes.Ticket}
	c.Services = append(c.Services, s)
	got := make(map[string]string)
	for _, r := range named(Fleet(c, Default()), fleetName) {
		if r.Labels["cause"] == "upstream" && r.Labels[scopeLabel] == everyone {
			got[r.Labels["severity"]] = r.Expr
		}
	}
	const also = "\nand service_cause:netwatchd_hosts:count > 1"
	want := map[string]string{
		"page":   `service_cause:netwatchd_hosts:ratio{cause="upstream",service!~"toy"} >= 0.5` + also,
		"ticket": `service_cause:netwatchd_hosts:ratio{cause="upstream",service=~"toy"} >= 0.5` + also,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func ofScope(f File, c causes.Cause, scope string) Rule {
	for _, r := range named(f, fleetName) {
		if r.Labels["cause"] == c.String() && r.Labels[scopeLabel] == scope {
			return r
		}
	}
	return Rule{}
}
