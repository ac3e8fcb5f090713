package gen

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/causes"
	"netwatchd/internal/rules"
)

// Every cause with a severity has an alert of that severity.
func TestEveryCauseIsAnnounced(t *testing.T) {
	var want, got []causes.Cause
	for c := range causes.All() {
		if c.About().Severity != causes.None {
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

// The program does not link what only generates files.
func TestNetwatchdDoesNotLinkGen(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "netwatchd/cmd/netwatchd").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.Lines(string(out)) {
		if strings.HasPrefix(dep, "netwatchd/internal/gen") {
			t.Errorf("cmd/netwatchd links %s", strings.TrimSpace(dep))
		}
	}
}
