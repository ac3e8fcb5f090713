package incident

import (
	"strings"
)

// SameFault returns, by ID, the incident of all that shows the same fault of this host first: same host cause and
// same title, at the same time, on another service. Incidents that show a fault of their own are missing.
func SameFault(all []*Incident) map[string]*Incident {
	same := make(map[string]*Incident)
	first := make(map[string][]*Incident) // by cause and title
	for i := len(all) - 1; i >= 0; i-- {  // the latest comes first
		one := all[i]
		if one.Observation || !one.Cause().OfHost() {
			continue
		}
		key := one.Cause().String() + " " + strings.TrimPrefix(one.Title, one.Service+": ")
		if of := firstAtTheSameTime(first[key], one); of != nil {
			same[one.ID] = of
		} else {
			first[key] = append(first[key], one)
		}
	}
	return same
}

func firstAtTheSameTime(known []*Incident, one *Incident) *Incident {
	for _, k := range known {
		if k.Service != one.Service && (k.IsOpen() || !one.Opened.After(*k.Closed)) &&
			(one.IsOpen() || !k.Opened.After(*one.Closed)) {
			return k
		}
	}
	return nil
}
