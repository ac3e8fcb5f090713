package metrics

import "netwatchd/internal/ledger"

// A Detail is which services export something that large ones had better leave out.
type Detail string

const (
	// detailAuto is those with a ladder, which has probes of several kinds, and all where there are few probes.
	detailAuto   Detail = "auto"
	detailAlways Detail = "always"
	detailNever  Detail = "never"
)

// includes reports whether a service exports the detail; auto is what detailAuto says of it.
func (d Detail) includes(auto bool) bool { return d == detailAlways || d != detailNever && auto }

// fewProbes export 1.5 MB of text with all details. Ten thousand would export 29 MB instead of 5.5, and Prometheus
// would keep 220,000 more series.
const fewProbes = 500

// autoDetail returns which services detailAuto is.
func autoDetail(records []ledger.Record) func(service string) bool {
	if len(records) <= fewProbes {
		return func(string) bool { return true }
	}
	ladders := make(map[string]bool)
	for i := 1; i < len(records); i++ { // ordered by service
		if a, b := &records[i-1], &records[i]; a.Service == b.Service && a.Kind != b.Kind {
			ladders[a.Service] = true
		}
	}
	return func(service string) bool { return ladders[service] }
}
