package incident_test

import (
	"testing"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/incident"
)

func TestSameFault(t *testing.T) {
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	const offline = ": this host is offline"
	b := incident.NewBook()
	enter := func(service string, c causes.Cause, title string, after time.Duration) *incident.Incident {
		i, _ := b.Enter(diagnose.Verdict{Service: service, Cause: c, Title: service + title}, noon.Add(after))
		return i
	}
	codex := enter("codex", causes.HostOffline, offline, 0)
	claude := enter("claude", causes.HostOffline, offline, time.Second)
	wiki := enter("wiki", causes.Upstream, ": the service is down", time.Second)
	shop := enter("shop", causes.Upstream, ": the service is down", 2*time.Second)
	enter("codex", causes.Healthy, "", time.Minute)
	enter("claude", causes.Healthy, "", time.Minute)
	gemini := enter("gemini", causes.HostOffline, offline, time.Hour)
	same := incident.SameFault([]*incident.Incident{gemini, shop, wiki, claude, codex})
	if same[claude.ID] != codex {
		t.Errorf("claude's is not that of codex: %v", same)
	}
	if len(same) != 1 {
		t.Errorf("got %v, want claude's alone: services are down by themselves, and gemini's was an hour later", same)
	}
}
