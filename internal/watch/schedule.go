package watch

import (
	"container/heap"
	"hash/fnv"
	"time"

	"netwatchd/internal/probe"
)

// grid is what planned starts are rounded to. Starts at the same instant share one wake-up of the timer, which costs
// about 100 µs on a small virtual machine. With 10 ms, ten thousand probes a second need a hundred wake-ups, and the
// last of a hundred DNS probes, 30 µs each, starts within 3 ms of its plan. A probe keeps its slot: its interval is
// exact.
const grid = 10 * time.Millisecond

// An entry is what is started at an interval.
type entry struct {
	key      string
	interval time.Duration
	running  bool
	gone     bool // no longer planned: dropped when it is due
	start    func()

	// Of a task:
	form  *Task // of the attempt that runs: see service.form
	ended func(r probe.Result, valid bool)
}

// offset spreads entries over their interval by a hash of their names. It is the same after every restart, so that a
// restart does not make all probes start together.
func offset(key string, interval time.Duration) time.Duration {
	h := fnv.New64a()
	h.Write([]byte(key))
	// Names that differ in one digit get similar low bits from FNV. Spread them (Fibonacci hashing).
	spread := h.Sum64() * 0x9E3779B97F4A7C15
	return time.Duration(spread % uint64(interval)).Truncate(grid)
}

// A schedule orders entries by the time of their next start.
type schedule struct {
	epoch time.Time
	heap  slots
}

// A slot is an entry with its next start, as time since the epoch. The time is not in the entry, because ten thousand
// entries do not fit into a processor's cache and each start compares dozens of times.
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

// add schedules e from its first slot after now.
func (s *schedule) add(e *entry, now time.Time) {
	heap.Push(&s.heap, slot{slotAfter(e, now.Sub(s.epoch)), e})
}

// slotAfter returns the first start of e after at: its offset plus a whole number of intervals, so that starts do not
// drift.
func slotAfter(e *entry, at time.Duration) time.Duration {
	first := offset(e.key, e.interval)
	if first > at {
		return first
	}
	return first + ((at-first)/e.interval+1)*e.interval
}

// due returns the earliest entry if it is due, and schedules its next start. Missed is how many starts were missed
// since planned. If nothing is due, due returns nil.
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

// next returns when the next entry is due. It reports false if there is none.
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

// replan moves every entry to its first slot after now, so that the starts missed during a suspend are skipped.
func (s *schedule) replan(now time.Time) {
	for i := range s.heap {
		s.heap[i].at = slotAfter(s.heap[i].entry, now.Sub(s.epoch))
	}
	heap.Init(&s.heap)
}
