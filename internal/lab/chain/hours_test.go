package chain

import (
	"strings"
	"testing"
	"time"
)

// In quiet hours a page is sent and a ticket is not. The ticket is sent when they end.
func TestQuietHours(t *testing.T) {
	c := open(t, TimeScale(*scale))
	notToday := strings.ToLower(time.Now().UTC().AddDate(0, 0, 3).Weekday().String())
	c.pair(t, release(t), hours{"weekdays": []string{notToday}}, "127.0.0.1")
	alertmanager := c.Pair[0]
	var alerts []map[string]any
	for severity, alert := range map[string]string{"ticket": "NetwatchdAccount", "page": "NetwatchdUpstreamOutage"} {
		alerts = append(alerts, map[string]any{"labels": map[string]string{"alertname": alert, "severity": severity, "instance": "host"}})
	}
	if err := alertmanager.Post("/api/v2/alerts", alerts); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Inbox.Await(c.patience(), "host", Notice{Receiver: pager, Alert: "NetwatchdUpstreamOutage", Status: firing}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(c.Scale.shorten("1m")) // twice a ticket's wait
	if got := c.Inbox.Of("host"); len(got) != 1 {
		t.Errorf("in quiet hours got %q, want only the page", got)
	}

	c.routes(t, always)
	if err := alertmanager.Post("/-/reload", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Inbox.Await(c.patience(), "host", Notice{Receiver: tickets, Alert: "NetwatchdAccount", Status: firing}); err != nil {
		t.Error(err)
	}
}
