package history

import (
	"strings"
	"testing"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/incident"
	"netwatchd/internal/vendorpage"
)

// What the vendor's status page says is a note of the open incident, and lost where there is none.
func TestHeard(t *testing.T) {
	dir := t.TempDir()
	said := vendorpage.Report{At: time.Now(), Indicator: "none", Description: "All Systems Operational"}
	l := live(t, dir)
	l.Heard(t.Context(), "codex", said)
	judged(l, "codex", causes.Upstream, causes.Healthy)
	l.stop() // the incident is written
	l = live(t, dir)
	l.Heard(t.Context(), "codex", said)
	l.Heard(t.Context(), "wiki", said)
	found, _, err := l.Incidents(t.Context(), incident.Filter{})
	if err != nil || len(found) != 1 || len(found[0].Notes) != 1 {
		t.Fatalf("got %+v, %v; want one incident with one note", found, err)
	}
	if text := found[0].Notes[0].Text; text != `hearsay: the vendor's status page says: "All Systems Operational"` {
		t.Errorf("got %q", text)
	}
	r, err := l.Record(t.Context(), found[0].ID)
	if err != nil || !strings.Contains(r.Markdown(), "All Systems Operational") {
		t.Errorf("it is not in the report: %v", err)
	}
}
