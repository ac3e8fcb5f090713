package outcome

import (
	"testing"
	"time"

	"netwatchd/internal/probe"
)

func TestOfQuestion(t *testing.T) {
	asked := func(c probe.Class, f probe.Facts) probe.Result {
		f.Question = "example.com AAAA"
		return probe.Result{Class: c, Facts: f}
	}
	tests := map[string]probe.Result{
		"answers REFUSED for AAAA":                                   asked(probe.DNSRefused, probe.Facts{RCode: "REFUSED"}),
		"does not answer AAAA queries":                               asked(probe.DNSTimeout, probe.Facts{}),
		"truncates its answer for AAAA and does not answer over TCP": asked(probe.DNSUnreachable, probe.Facts{RCode: "NOERROR"}),
		"returns no address":                                         asked(probe.DNSNoData, probe.Facts{RCode: "NOERROR"}),
		"returns 0.0.0.0":                                            asked(probe.DNSWrongAnswer, probe.Facts{RCode: "NOERROR", Answers: []string{"0.0.0.0"}}),
		"fails for AAAA (dns.unreachable)":                           asked(probe.DNSUnreachable, probe.Facts{}),
		"answers the AAAA query with an answer about another name, example.com.lan": asked(probe.DNSFailed,
			probe.Facts{RCode: "NXDOMAIN", AnswersTo: "example.com.lan AAAA"}),
	}
	for want, r := range tests {
		if got := OfQuestion(&r); got != want {
			t.Errorf("%v: got %q, want %q", r.Class, got, want)
		}
	}
}

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
		"answers without TLS":                          {Class: probe.TLSProtocolError, Why: "tls: first record does not look like a TLS handshake"},
		"fails the TLS handshake":                      {Class: probe.TLSProtocolError, Why: "remote error: tls: handshake failure"},
	}
	for want, r := range tests {
		if got := Of(&r); got != want {
			t.Errorf("%v: got %q, want %q", r.Class, got, want)
		}
	}
}
