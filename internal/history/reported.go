package history

import (
	"context"

	"netwatchd/internal/incident"
	"netwatchd/internal/vendorpage"
	"netwatchd/internal/watch"
)

// AgentReported records what the session files of an agent show. A failure becomes part of the open incident, and of
// the one that the next verdict opens. A command that its sandbox denied the network is an observation.
func (rec *Recorder) AgentReported(r incident.Reported) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if r.Denied {
		rec.observeDenied(r)
		return
	}
	if i := rec.book.Report(r); i != nil {
		rec.markDirty(i)
	}
}

// observeDenied records the verdict, and a snapshot of the host, of the first command only: an agent may try for hours.
func (rec *Recorder) observeDenied(r incident.Reported) {
	i, v := rec.book.ObserveDenied(r)
	rec.dirty[i] = true
	signal(rec.wake)
	if i.Recurrences > 0 {
		return
	}
	status := watch.ServiceStatus{Verdict: v, Since: i.Opened, Results: v.Evidence}
	rec.enqueue(verdictChange(status, v.Cause, i, i.Opened))
	rec.snapshotEnd(i)
	rec.withoutSnapshot = append(rec.withoutSnapshot, i.ID)
	signal(rec.needSnapshot)
}

// Heard adds what the vendor's status page says to the open incident of a service, as a note. Without a store there are
// no notes.
func (rec *Recorder) Heard(ctx context.Context, service string, r vendorpage.Report) {
	rec.mu.Lock()
	id := ""
	if i := rec.book.Latest(service); i != nil && i.IsOpen() {
		id = i.ID
	}
	rec.mu.Unlock()
	s := rec.store()
	if id == "" || s == nil {
		return
	}
	if err := s.Note(ctx, id, "hearsay: "+r.String(), r.At); err != nil {
		rec.Log.Warn("cannot note what the status page says", "incident", id, "error", err)
	}
}
