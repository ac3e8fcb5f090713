package world

import (
	"fmt"
	"path/filepath"
	"time"

	"netwatchd/internal/lab/parts"
)

// HostClockAhead shifts the clocks of all servers, and the validity of their certificates, into the past (into the
// future if by is negative). This is what a host sees whose own clock is ahead.
func (w *World) HostClockAhead(by time.Duration) {
	w.t.Helper()
	w.change(w.restartAtTime, func(s *site) { s.Behind = by })
}

func (w *World) restartAtTime() {
	w.t.Helper()
	w.authority.Behind = w.site.Behind
	w.authority.Issue(w.file("service"), parts.Valid, ServiceName)
	w.authority.Issue(w.file("control"), parts.Valid, Controls[2].Name)
	w.serveControls()
	w.serveService()
}

// behind is the command prefix that runs a server with the shifted clock.
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
