package outcome

import (
	"testing"
	"time"

	"netwatchd/internal/probe"
)

func TestOf(t *testing.T) {
	now := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
	until := func(at time.Time) probe.Facts { return probe.Facts{TLS: &probe.TLS{NotAfter: at}} }
	tests := map[string]probe.Result{
		"refuses connections":       {Class: probe.TCPRefused},
		"fails with status 503":     {Class: probe.HTTPServerError, Facts: probe.Facts{Status: 503}},
		"fails with a server error": {Class: probe.HTTPServerError},
		"answers 404":               {Class: probe.HTTPUnexpectedStatus, Facts: probe.Facts{Status: 404}},
		"presents a certificate that expired on 2026-11-27": {
			Class: probe.TLSDateInvalid, Start: now, Facts: until(now.Add(-time.Hour)),
		},
		"presents a certificate that is not valid yet": {Class: probe.TLSDateInvalid, Start: now, Facts: until(now.Add(time.Hour))},
		"fails: exec.killed":                           {Class: probe.ExecKilled},
	}
	for want, r := range tests {
		if got := Of(&r); got != want {
			t.Errorf("%v: got %q, want %q", r.Class, got, want)
		}
	}
}
