package chain

import (
	"fmt"
	"testing"

	"netwatchd/internal/lab/parts"
)

// One fault of a host that stops three services is one message, as a page and as a ticket. An outage of three services
// is three pages.
func TestHostFaultIsOneMessage(t *testing.T) {
	c := open(t, TimeScale(*scale))
	c.pair(t, release(t), always, "127.0.0.1")
	for _, test := range []struct {
		instance, alert, cause, severity string
		messages                         int
	}{
		{"paged", "NetwatchdHostOffline", "host_offline", "page", 1},
		{"ticket", "NetwatchdHostOffline", "host_offline", "ticket", 1},
		{"outage", "NetwatchdUpstreamOutage", "upstream", "page", 3},
	} {
		services := []string{"claude", "codex", "gemini"}
		var alerts []map[string]any
		for _, service := range services {
			alerts = append(alerts, map[string]any{"labels": map[string]string{"alertname": test.alert, "severity": test.severity,
				"cause": test.cause, "job": "netwatchd", "instance": test.instance, "service": service}})
		}
		before := c.Inbox.From(c.Pair[0].Address)
		if err := c.Pair[0].Post("/api/v2/alerts", alerts); err != nil {
			t.Fatal(err)
		}
		if err := parts.Eventually(c.patience(), func() error {
			if got := c.Inbox.Of(test.instance); len(got) < len(services) {
				return fmt.Errorf("%s: got %q, want a notice of each service", test.instance, got)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		if got := c.Inbox.From(c.Pair[0].Address) - before; got != test.messages {
			t.Errorf("%s: %d messages, want %d", test.instance, got, test.messages)
		}
	}
}
