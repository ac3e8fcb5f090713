package watch

import (
	"container/heap"
	"hash/fnv"
	"time"
)

// grid is what planned starts are rounded to: starts that fall on the same instant share one wake-up of the timer, which
// costs about 100 µs on a small virtual machine. Four milliseconds keep ten thousand probes a second at 250 wake-ups,
// and every start within the 5 ms it is promised.
const grid = 4 * time.Millisecond

// A entry is a place in the schedule: what is started there, how often.
type entry struct {
	key      string
	interval time.Duration
	running  bool
	gone     bool // no longer planned: dropped at its next turn
	start    func(*entry)
}

// offset spreads entries over their interval by the hash of their names: the same from start to start and from host to
// host with other names, so that neither a restart nor a fleet makes a wave.
func offset(key string, interval time.Duration) time.Duration {
	h := fnv.New64a()
	h.Write([]byte(key))
	// The low bits of FNV differ little between names that differ in a digit: spread them (Fibonacci hashing).
	spread := h.Sum64() * 0x9E3779B97F4A7C15
	return time.Duration(spread % uint64(interval)).Truncate(grid)
}

// A schedule holds entries by the time of their next start.
type schedule struct {
	epoch time.Time
	heap  slots
}

// A slot is when a entry is started next, since the epoch. The time lies beside the entry, not in it: ten thousand entries do
// not fit into a processor's cache, and each start compares with dozens.
type slot struct {
	at time.Duration
	*entry
}

type slots []slot

func (s slots) Len() int           { return len(s) }
func (s slots) Less(i, j int) bool { return s[i].at < s[j].at }
func (s slots) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *slots) Push(e any)        { *s = append(*s, e.(slot)) }
func (s *slots) Pop() any {
	last := len(*s) - 1
	popped := (*s)[last]
	(*s)[last] = slot{}
	*s = (*s)[:last]
	return popped
}

// add plans e from its first slot after now.
func (s *schedule) add(e *entry, now time.Time) {
	heap.Push(&s.heap, slot{slotAfter(e, now.Sub(s.epoch)), e})
}

// slotAfter is the first start of e after a time: its offset + a whole number of intervals, so that nothing drifts.
func slotAfter(e *entry, at time.Duration) time.Duration {
	first := offset(e.key, e.interval)
	if first > at {
		return first
	}
	return first + ((at-first)/e.interval+1)*e.interval
}

// due takes the earliest entry if its time has come, and plans its next start. Missed says how many starts went by.
func (s *schedule) due(now time.Time) (e *entry, planned time.Time, missed int) {
	s.dropGone()
	at := now.Sub(s.epoch)
	if len(s.heap) == 0 || s.heap[0].at > at {
		return nil, time.Time{}, 0
	}
	first := &s.heap[0]
	e, planned = first.entry, s.epoch.Add(first.at)
	missed = int((at - first.at) / e.interval)
	first.at += time.Duration(missed+1) * e.interval
	heap.Fix(&s.heap, 0)
	return e, planned, missed
}

// next is when the next entry is due.
func (s *schedule) next() (time.Time, bool) {
	s.dropGone()
	if len(s.heap) == 0 {
		return time.Time{}, false
	}
	return s.epoch.Add(s.heap[0].at), true
}

func (s *schedule) dropGone() {
	for len(s.heap) > 0 && s.heap[0].gone {
		heap.Pop(&s.heap)
	}
}

// replan moves every entry to its first slot after now: after a suspend nobody wants the missed ones.
func (s *schedule) replan(now time.Time) {
	for i := range s.heap {
		s.heap[i].at = slotAfter(s.heap[i].entry, now.Sub(s.epoch))
	}
	heap.Init(&s.heap)
}
