package screen

import (
	"strings"
	"testing"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/watch"
)

// TestStatusOfStoppedDaemon: a killed daemon leaves its status file, whose verdict says nothing about now.
func TestStatusOfStoppedDaemon(t *testing.T) {
	at := time.Date(2026, 2, 20, 2, 22, 45, 0, time.UTC)
	s := &watch.Status{At: at, Services: []watch.ServiceStatus{
		{Verdict: diagnose.Verdict{Service: "codex", Cause: causes.Healthy, Title: "reachable"}, Since: at}}}
	for age, want := range map[time.Duration]bool{staleAfter: false, staleAfter + time.Second: true} {
		var text strings.Builder
		if err := Status(&text, s, Options{Now: at.Add(age)}); err != nil {
			t.Fatal(err)
		}
		if got := strings.HasPrefix(text.String(), "  warning: the daemon has stopped"); got != want {
			t.Errorf("%v after the last status: warned: %v, want %v:\n%s", age, got, want, &text)
		}
	}
}
