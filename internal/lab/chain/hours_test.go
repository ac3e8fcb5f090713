package chain

import (
	"strings"
	"testing"
	"time"
)

// In quiet hours a page is told and a ticket is not; it is told when they end.
func TestQuietHours(t *testing.T) {
	c := open(t, Hurry(*hurry))
	notToday := strings.ToLower(time.Now().UTC().AddDate(0, 0, 3).Weekday().String())
	c.pair(t, release(t), hours{"weekdays": []string{notToday}}, "127.0.0.1")
	alertmanager := c.Pair[0]
	var alerts []map[string]any
	for severity, alert := range map[string]string{"ticket": "CodexAccount", "page": "CodexUpstreamOutage"} {
		alerts = append(alerts, map[string]any{"labels": map[string]string{"alertname": alert, "severity": severity, "instance": "desk"}})
	}
	if err := alertmanager.Post("/api/v2/alerts", alerts); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Inbox.Await(c.patience(), "desk", Notice{Receiver: pager, Alert: "CodexUpstreamOutage", Status: firing}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(c.Hurry.shorten("1m")) // twice as long as a ticket waits
	if told := c.Inbox.Of("desk"); len(told) != 1 {
		t.Errorf("in quiet hours %q are told, want the page alone", told)
	}

	c.routes(t, always)
	if err := alertmanager.Post("/-/reload", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Inbox.Await(c.patience(), "desk", Notice{Receiver: tickets, Alert: "CodexAccount", Status: firing}); err != nil {
		t.Error(err)
	}
}
