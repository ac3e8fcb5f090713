package metrics

import "netwatchd/internal/ledger"

// ClassicHistograms is which services export their durations in classic buckets too. Every service exports native ones.
type ClassicHistograms string

const (
	// classicAuto is those with a ladder, which has probes of several kinds, and all where there are few probes.
	classicAuto   ClassicHistograms = "auto"
	classicAlways ClassicHistograms = "always"
	classicNever  ClassicHistograms = "never"
)

// fewProbes export a megabyte of text with classic buckets. Ten thousand would export 20 MB more than without, and
// Prometheus would keep 160,000 more series.
const fewProbes = 500

// services returns whether a service exports classic buckets.
func (c ClassicHistograms) services(records []ledger.Record) func(service string) bool {
	if c == classicNever || c == classicAlways || len(records) <= fewProbes {
		return func(string) bool { return c != classicNever }
	}
	ladders := make(map[string]bool)
	for i := 1; i < len(records); i++ { // ordered by service
		if a, b := &records[i-1], &records[i]; a.Service == b.Service && a.Kind != b.Kind {
			ladders[a.Service] = true
		}
	}
	return func(service string) bool { return ladders[service] }
}
