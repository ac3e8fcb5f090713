// Package shortage notes when this host had no descriptors, sockets or memory left. Then probes cannot be tried, and
// nothing is concluded from that; but somebody must learn of it.
package shortage

import (
	"sync"
	"time"
)

// A Place is a part of the daemon that ran short.
type Place uint8

const (
	Probe  Place = iota // an attempt of a probe
	Web                 // a connection to the page, the API or the metrics
	places              // their number
)

var names = [places]string{"probe", "web"}

// String is the value of the label where.
func (p Place) String() string { return names[p] }

// All lists every place.
func All() []Place {
	all := make([]Place, places)
	for i := range all {
		all[i] = Place(i)
	}
	return all
}

// A Latest is the latest shortage.
type Latest struct {
	Place Place
	At    time.Time // zero: there was none
	What  string
}

// The shortages belong to the process, as its descriptors and memory do.
var (
	mu     sync.Mutex
	counts [places]uint64
	latest Latest
)

// Note notes a shortage in p; what is its error.
func Note(p Place, what string) {
	mu.Lock()
	defer mu.Unlock()
	counts[p]++
	latest = Latest{p, time.Now(), what}
}

// Count returns how many shortages were noted in p since the process started.
func Count(p Place) uint64 {
	mu.Lock()
	defer mu.Unlock()
	return counts[p]
}

// Last returns the latest shortage.
func Last() Latest {
	mu.Lock()
	defer mu.Unlock()
	return latest
}

// lasting is how long a shortage is reported: longer than a probe's usual interval, so that one that lasts does not
// seem to end between two attempts.
const lasting = 2 * time.Minute

// Warning says what is short and what to do, if there was a shortage in the last two minutes.
func Warning(now time.Time) (text string, short bool) {
	last := Last()
	if last.At.IsZero() || now.Sub(last.At) > lasting {
		return "", false
	}
	return "this host is out of descriptors, sockets or memory (" + last.What + "): probes that cannot be tried show nothing. " +
		"Find what holds them (ss -s, lsof -p PID, free -m), or raise LimitNOFILE= or MemoryMax= of the unit", true
}
