package chain

import (
	"net/http/httptest"
	"strings"
	"testing"
)

// A message that repeats the last one is a fault, unless it lists an end that the last one did not.
func TestInboxFaults(t *testing.T) {
	one := `{"status": "resolved", "labels": {"alertname": "Outage", "instance": "one"}}`
	two := `{"status": "firing", "labels": {"alertname": "Outage", "instance": "two"}}`
	for _, test := range []struct {
		name   string
		last   string // after a message of one's end, and one that two fires
		faults int
	}{
		{"the same", two, 1},
		{"with the end of one", one + ", " + two, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			inbox := NewInbox()
			for _, alerts := range []string{one, two, test.last} {
				body := `{"receiver": "pager", "groupKey": "Outage", "alerts": [` + alerts + `]}`
				inbox.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/", strings.NewReader(body)))
			}
			if got := inbox.Faults(); len(got) != test.faults {
				t.Errorf("faults: %q, want %d", got, test.faults)
			}
		})
	}
}
