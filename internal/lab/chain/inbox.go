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

// A Notice is what a message says of one alert that the one before it did not say.
type Notice struct {
	Receiver string
	Alert    string
	Status   string
	At       time.Time
}

const firing, resolved = "firing", "resolved"

func (n Notice) String() string { return n.Receiver + ": " + n.Alert + " " + n.Status }

// An Inbox is the end of the chain: it gets the messages of every receiver.
type Inbox struct {
	mu      sync.Mutex
	notices map[string][]Notice // by instance
	repeats []string            // messages that said nothing new
	bad     []error             // messages that were none
	stands  map[string]string   // of an alert, by receiver, alert, instance and service
	from    map[string]int      // how many messages, by the address of the Alertmanager that sent them
}

// NewInbox returns an empty one.
func NewInbox() *Inbox {
	return &Inbox{notices: make(map[string][]Notice), stands: make(map[string]string), from: make(map[string]int)}
}

// ServeHTTP takes a message in.
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
	for _, a := range m.Alerts {
		name, instance := a.Labels["alertname"], a.Labels["instance"]
		key := m.Receiver + " " + name + " " + instance + " " + a.Labels["service"]
		if i.stands[key] == a.Status {
			continue // a message names all of its group
		}
		i.stands[key], news = a.Status, true
		i.notices[instance] = append(i.notices[instance], Notice{m.Receiver, name, a.Status, at})
	}
	if !news {
		i.repeats = append(i.repeats, fmt.Sprintf("%s %+v", m.Receiver, m.Alerts))
	}
}

// From is how many messages the Alertmanager at an address has sent.
func (i *Inbox) From(address string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.from[address]
}

// Faults are the messages that should not have come: those that said nothing new, and those that were none.
func (i *Inbox) Faults() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	all := slices.Clone(i.repeats)
	for _, err := range i.bad {
		all = append(all, err.Error())
	}
	return all
}

// Of are the notices about one instance, in the order they came in.
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
			return fmt.Errorf("nobody was told %q; told were %q", want, all)
		}
		got = all[at]
		return nil
	})
	return got, err
}
