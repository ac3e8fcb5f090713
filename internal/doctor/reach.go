package doctor

import (
	"context"
	"slices"

	"netwatchd/internal/plan"
)

// reach reports what is odd about the settings by which the agents reach their services: proxies, and the certificates
// that they trust. The words are those of the probes' notes, and of the verdicts made from them. What only a
// connection shows, such as a CA bundle without the issuer of the service's certificate, is what the daemon's latest
// probes have noted.
func (e *examination) reach(context.Context) []Finding {
	const check = "reach"
	remarks := e.Plan.Remarks()
	if e.answer.status != nil {
		for _, s := range e.answer.status.Services {
			for _, r := range s.Results {
				for _, note := range r.Notes {
					if !slices.ContainsFunc(remarks, func(known plan.Remark) bool { return known.Text == note }) {
						remarks = append(remarks, plan.Remark{Text: note, Fatal: !r.OK()})
					}
				}
			}
		}
	}
	var all []Finding
	for _, r := range remarks {
		outcome := Advice
		if r.Fatal {
			outcome = Fault
		}
		all = append(all, newFinding(check, outcome, r.Text))
	}
	if len(all) == 0 {
		return one(check, OK, "nothing is odd about the proxies and CA certificates that agents in this shell use")
	}
	return all
}
