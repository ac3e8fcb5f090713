package history

import (
	"time"

	"netwatchd/internal/causes"
)

// Ongoing returns the current cause of a service's open incident, and since when it holds. It reports false if no
// incident of the service is open.
func (rec *Recorder) Ongoing(service string) (cause causes.Cause, since time.Time, open bool) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	i := rec.book.Latest(service)
	if i == nil || !i.IsOpen() || len(i.Causes) == 0 {
		return causes.Inconclusive, time.Time{}, false
	}
	span := i.Causes[len(i.Causes)-1]
	return span.Cause, span.From, true
}
