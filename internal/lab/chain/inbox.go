package chain

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/prom"
)

// A Notice is a change of one alert: what a message says that the message before it did not.
type Notice struct {
	Receiver string
	Alert    string
	Status   string
	At       time.Time
	// Description is the annotation of the alert, for a person.
	Description string
}

const firing, resolved = "firing", "resolved"

func (n Notice) String() string { return n.Receiver + ": " + n.Alert + " " + n.Status }

// An Inbox is the end of the chain: it gets the messages for all receivers.
type Inbox struct {
	mu      sync.Mutex
	notices map[string][]Notice // by instance
	repeats []string            // messages without news
	bad     []error             // invalid messages
	stands  map[string]string   // of an alert, by receiver, alert, instance and service
	ends    map[string][]string // the resolved alerts of a group's last message, by receiver and group
	from    map[string]int      // how many messages, by the address of the Alertmanager that sent them
}

// NewInbox returns an empty inbox.
func NewInbox() *Inbox {
	return &Inbox{
		notices: make(map[string][]Notice),
		stands:  make(map[string]string),
		ends:    make(map[string][]string),
		from:    make(map[string]int),
	}
}

// ServeHTTP receives a message.
func (i *Inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := time.Now()
	m, err := prom.ReadMessage(w, r)
	i.mu.Lock()
	defer i.mu.Unlock()
	if err != nil {
		i.bad = append(i.bad, err)
		return
	}
	i.from[strings.TrimPrefix(m.ExternalURL, "http://")]++
	news := false
	var ends []string
	for _, a := range m.Alerts {
		name, instance := a.Labels["alertname"], a.Labels["instance"]
		key := m.Receiver + " " + name + " " + instance + " " + a.Labels["service"]
		if a.Status == resolved {
			ends = append(ends, key)
		}
		if i.stands[key] == a.Status {
			continue // a message lists its whole group
		}
		i.stands[key], news = a.Status, true
		i.notices[instance] = append(i.notices[instance], Notice{m.Receiver, name, a.Status, at, a.Annotations["description"]})
	}
	if again := i.listsEndsAgain(m.Receiver+" "+m.GroupKey, ends); !news && !again {
		i.repeats = append(i.repeats, fmt.Sprintf("%s %+v", m.Receiver, m.Alerts))
	}
}

// listsEndsAgain reports whether a message lists an end that its group's last message did not, and keeps the ends.
//
// Prometheus sends the end of an alert again for a quarter of an hour. Alertmanager 0.32 and later forget a group as
// soon as none of its alerts fires. If another fires within that time, the first message of the new group lists only
// the ends that came during group_wait, and the flush after it notifies of the others. Two Alertmanagers that both
// send a message list the same ends.
func (i *Inbox) listsEndsAgain(group string, ends []string) bool {
	before := i.ends[group]
	i.ends[group] = ends
	return slices.ContainsFunc(ends, func(end string) bool { return !slices.Contains(before, end) })
}

// From returns how many messages the Alertmanager at this address has sent.
func (i *Inbox) From(address string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.from[address]
}

// Faults are the unexpected messages: those without news and invalid ones.
func (i *Inbox) Faults() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	all := slices.Clone(i.repeats)
	for _, err := range i.bad {
		all = append(all, err.Error())
	}
	return all
}

// Of returns the notices about one instance, in order of arrival.
func (i *Inbox) Of(instance string) []Notice {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.notices[instance])
}

// Await waits for a notice about an instance.
func (i *Inbox) Await(within time.Duration, instance string, want Notice) (Notice, error) {
	var got Notice
	err := parts.Eventually(within, func() error {
		all := i.Of(instance)
		at := slices.IndexFunc(all, func(n Notice) bool { return n.String() == want.String() })
		if at < 0 {
			return fmt.Errorf("no notice %q; got %q", want, all)
		}
		got = all[at]
		return nil
	})
	return got, err
}
