package gen

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/rules"
)

// Every cause with a severity has an alert of that severity.
func TestEveryCauseIsAnnounced(t *testing.T) {
	var want, got []diagnose.Cause
	for c := range diagnose.Causes() {
		if c.About().Severity != diagnose.None {
			want = append(want, c)
		}
	}
	for _, a := range announced {
		got = append(got, a.cause)
		if rules.Name(a.cause) != a.alert {
			t.Errorf("the alert for %v is %q, want %q", a.cause, rules.Name(a.cause), a.alert)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("causes with a severity (-want +tested):\n%s", diff)
	}
}
