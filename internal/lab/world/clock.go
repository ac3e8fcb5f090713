package world

import (
	"fmt"
	"path/filepath"
	"time"

	"netwatchd/internal/lab/parts"
)

// HostAhead has everyone beyond the gateway live that far behind this host (ahead of it, if negative), in what their
// servers say of the time and in what their certificates do: what a host sees whose own clock is ahead.
func (w *World) HostAhead(by time.Duration) {
	w.t.Helper()
	w.bend(w.liveAt, func(s *site) { s.Behind = by })
}

func (w *World) liveAt() {
	w.t.Helper()
	w.authority.Behind = w.site.Behind
	w.authority.Issue(w.file("service"), parts.Valid, ServiceName)
	w.authority.Issue(w.file("control"), parts.Valid, Controls[2].Name)
	w.serveControls()
	w.serveService()
}

// behind is the command that gives what it runs everyone's clock.
func (w *World) behind() []string {
	if w.site.Behind == 0 {
		return nil
	}
	// Not the program faketime: it runs its command as a child, which would outlive it.
	libraries, _ := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	if len(libraries) == 0 {
		w.t.Skip("needs faketime: apt-get install faketime")
	}
	return []string{"env", "LD_PRELOAD=" + libraries[0], fmt.Sprintf("FAKETIME=%+.0f", -w.site.Behind.Seconds())}
}
