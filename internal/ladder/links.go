package ladder

import (
	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
)

// A Link leads to a page that the owner of a service configured.
type Link struct{ Name, URL string }

// Links returns what to read about a verdict: the runbook of the service with any fault, its status page if the service
// itself is at fault.
func Links(v diagnose.Verdict) []Link {
	var all []Link
	if v.Runbook != "" && v.Cause.Fault() {
		all = append(all, Link{"runbook", v.Runbook})
	}
	if v.StatusPage != "" && v.Cause.Owner() == causes.OwnerService {
		all = append(all, Link{"status page", v.StatusPage})
	}
	return all
}
