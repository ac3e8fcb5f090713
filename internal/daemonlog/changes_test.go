package daemonlog

import (
	"bytes"
	"encoding/json"
	"testing"

	"netwatchd/internal/causes"
	"netwatchd/internal/config"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/watch"
)

// A fault of this host that stops three services is explained in one line; the others name it.
func TestHostFaultIsLoggedOnce(t *testing.T) {
	var b bytes.Buffer
	changes := NewChanges(New(config.Log{Level: "info", Format: "json"}, &b))
	judged := func(service string, c, was causes.Cause) map[string]any {
		b.Reset()
		changes.Judged(watch.ServiceStatus{Verdict: diagnose.Verdict{Service: service, Cause: c, Severity: c.About().Severity,
			Title: service + ": " + c.About().Title, Advice: c.About().Advice}}, was)
		var line map[string]any
		if err := json.Unmarshal(b.Bytes(), &line); err != nil {
			t.Fatalf("%v: %s", err, b.String())
		}
		return line
	}
	for _, test := range []struct {
		service string
		cause   causes.Cause
		same    any
	}{
		{"codex", causes.HostOffline, nil},
		{"claude", causes.HostOffline, "codex"},
		{"gemini", causes.Upstream, nil},
		{"wiki", causes.HostOffline, "codex"},
		{"codex", causes.Healthy, nil},
		{"shop", causes.HostOffline, nil}, // the line that explained it is of a service that works again
	} {
		line := judged(test.service, test.cause, causes.Inconclusive)
		_, advised := line["advice"]
		if line["same_fault_as"] != test.same || advised != (test.cause.Fault() && test.same == nil) {
			t.Errorf("%s: %v, want it to be the same as %v", test.service, line, test.same)
		}
	}
}
