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
	next     time.Time
	running  bool
	cut      time.Time // when the attempt began that is being made once more; zero: none. See cutAnew
	gone     bool      // no longer planned: dropped at its next turn
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
	lanes []*lane
}

func (s *schedule) Len() int           { return len(s.lanes) }
func (s *schedule) Less(i, j int) bool { return s.lanes[i].next.Before(s.lanes[j].next) }
func (s *schedule) Swap(i, j int)      { s.lanes[i], s.lanes[j] = s.lanes[j], s.lanes[i] }
func (s *schedule) Push(l any)         { s.lanes = append(s.lanes, l.(*lane)) }
func (s *schedule) Pop() any {
	last := s.lanes[len(s.lanes)-1]
	s.lanes = s.lanes[:len(s.lanes)-1]
	return last
}

// add plans l from its first slot after now.
func (s *schedule) add(l *lane, now time.Time) {
	l.next = s.slotAfter(l, now)
	heap.Push(s, l)
}

// slotAfter is the first start of l after now: epoch + offset + a whole number of intervals, so that nothing drifts.
func (s *schedule) slotAfter(l *lane, now time.Time) time.Time {
	first := s.epoch.Add(offset(l.key, l.interval))
	if first.After(now) {
		return first
	}
	return first.Add((now.Sub(first)/l.interval + 1) * l.interval)
}

// due takes the earliest lane if its time has come, and plans its next start. Missed says how many starts went by.
func (s *schedule) due(now time.Time) (l *lane, planned time.Time, missed int) {
	for len(s.lanes) > 0 && s.lanes[0].gone {
		heap.Pop(s)
	}
	if len(s.lanes) == 0 || s.lanes[0].next.After(now) {
		return nil, time.Time{}, 0
	}
	l = s.lanes[0]
	planned = l.next
	l.next = planned.Add(l.interval)
	if !l.next.After(now) {
		missed = int(now.Sub(planned) / l.interval)
		l.next = planned.Add(time.Duration(missed+1) * l.interval)
	}
	heap.Fix(s, 0)
	return l, planned, missed
}

// next is when the next lane is due.
func (s *schedule) next() (time.Time, bool) {
	for len(s.lanes) > 0 && s.lanes[0].gone {
		heap.Pop(s)
	}
	if len(s.lanes) == 0 {
		return time.Time{}, false
	}
	return s.lanes[0].next, true
}

// replan moves every lane to its first slot after now: after a suspend nobody wants the missed ones.
func (s *schedule) replan(now time.Time) {
	for _, l := range s.lanes {
		l.next = s.slotAfter(l, now)
	}
	heap.Init(s)
}
