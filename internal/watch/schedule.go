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

// A lane is a place in the schedule: what is started there, how often.
type lane struct {
	key      string
	interval time.Duration
	running  bool
	gone     bool // no longer planned: dropped at its next turn
	start    func(*lane)
}

// offset spreads lanes over their interval by the hash of their names: the same from start to start and from host to
// host with other names, so that neither a restart nor a fleet makes a wave.
func offset(key string, interval time.Duration) time.Duration {
	h := fnv.New64a()
	h.Write([]byte(key))
	// The low bits of FNV differ little between names that differ in a digit: spread them (Fibonacci hashing).
	spread := h.Sum64() * 0x9E3779B97F4A7C15
	return time.Duration(spread % uint64(interval)).Truncate(grid)
}

// A schedule holds lanes by the time of their next start.
type schedule struct {
	epoch time.Time
	heap  slots
}

// A slot is when a lane is started next, since the epoch. The time lies beside the lane, not in it: ten thousand lanes do
// not fit into a processor's cache, and each start compares with dozens.
type slot struct {
	at time.Duration
	*lane
}

type slots []slot

func (s slots) Len() int           { return len(s) }
func (s slots) Less(i, j int) bool { return s[i].at < s[j].at }
func (s slots) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *slots) Push(l any)        { *s = append(*s, l.(slot)) }
func (s *slots) Pop() any {
	last := len(*s) - 1
	popped := (*s)[last]
	(*s)[last] = slot{}
	*s = (*s)[:last]
	return popped
}

// add plans l from its first slot after now.
func (s *schedule) add(l *lane, now time.Time) {
	heap.Push(&s.heap, slot{slotAfter(l, now.Sub(s.epoch)), l})
}

// slotAfter is the first start of l after a time: its offset + a whole number of intervals, so that nothing drifts.
func slotAfter(l *lane, at time.Duration) time.Duration {
	first := offset(l.key, l.interval)
	if first > at {
		return first
	}
	return first + ((at-first)/l.interval+1)*l.interval
}

// due takes the earliest lane if its time has come, and plans its next start. Missed says how many starts went by.
func (s *schedule) due(now time.Time) (l *lane, planned time.Time, missed int) {
	s.dropGone()
	at := now.Sub(s.epoch)
	if len(s.heap) == 0 || s.heap[0].at > at {
		return nil, time.Time{}, 0
	}
	first := &s.heap[0]
	l, planned = first.lane, s.epoch.Add(first.at)
	missed = int((at - first.at) / l.interval)
	first.at += time.Duration(missed+1) * l.interval
	heap.Fix(&s.heap, 0)
	return l, planned, missed
}

// next is when the next lane is due.
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

// replan moves every lane to its first slot after now: after a suspend nobody wants the missed ones.
func (s *schedule) replan(now time.Time) {
	for i := range s.heap {
		s.heap[i].at = slotAfter(s.heap[i].lane, now.Sub(s.epoch))
	}
	heap.Init(&s.heap)
}
