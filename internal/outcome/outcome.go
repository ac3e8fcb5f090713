// Package outcome reads what a result shows by itself, and puts into words how an attempt ended.
package outcome

import (
	"strconv"
	"strings"
	"time"

	"netwatchd/internal/probe"
)

// Of returns how r ended, to be read after its subject: "the service refuses connections".
func Of(r *probe.Result) string {
	switch r.Class {
	case probe.HTTPServerError:
		return WithStatus("fails with a server error", "fails with status", r.Status)
	case probe.HTTPUnexpectedStatus:
		return WithStatus("answers with an unexpected status", "answers", r.Status)
	case probe.TLSProtocolError:
		// crypto/tls of an answer that is no TLS at all: most often a port for plain HTTP.
		if strings.Contains(r.Why, "first record does not look like a TLS handshake") {
			return "answers without TLS"
		}
	case probe.TLSDateInvalid:
		switch {
		case r.TLS == nil || r.TLS.NotAfter.IsZero():
		case r.TLS.NotAfter.After(r.Start):
			return "presents a certificate that is not valid yet"
		default:
			return "presents a certificate that expired on " + r.TLS.NotAfter.UTC().Format(time.DateOnly)
		}
	}
	if words, known := OfClass(r.Class); known {
		return words
	}
	return "fails: " + r.Class.String()
}

// OfClass returns how attempts of class c end. It reports false for a class that has no words of its own, or only
// together with other facts.
func OfClass(c probe.Class) (words string, known bool) {
	words, known = verbs[c]
	return words, known
}

// WithStatus returns without if there was no HTTP status, or else with and the status.
func WithStatus(without, with string, status int) string {
	if status == 0 {
		return without
	}
	return with + " " + strconv.Itoa(status)
}

var verbs = map[probe.Class]string{
	probe.DNSTimeout:            "does not answer",
	probe.DNSUnreachable:        "is unreachable",
	probe.DNSNameNotResolved:    "reports that the name does not exist",
	probe.DNSNoData:             "has no address for the name",
	probe.DNSServfail:           "fails (SERVFAIL)",
	probe.DNSRefused:            "refuses to answer",
	probe.DNSFailed:             "returns malformed answers",
	probe.DNSWrongAnswer:        "returns a wrong answer",
	probe.TCPRefused:            "refuses connections",
	probe.TCPTimedOut:           "does not answer",
	probe.TCPReset:              "resets connections",
	probe.TCPClosed:             "closes connections immediately",
	probe.TCPAddressUnreachable: "is unreachable: a router reports that it cannot forward to it",
	probe.TLSAuthorityInvalid:   "presents a self-signed certificate",
	probe.TLSDateInvalid:        "presents a certificate that is expired or not valid yet",
	probe.TLSNameInvalid:        "presents a certificate for another name",
	probe.TLSTimedOut:           "accepts connections but does not answer the TLS handshake",
	probe.TLSClosed:             "closes connections during the TLS handshake",
	probe.TLSClientCertificate:  "requires a client certificate",
	probe.TLSProtocolError:      "fails the TLS handshake",
	probe.HTTPTimedOut:          "accepts requests but does not answer them",
	probe.HTTPClosed:            "closes connections without an answer",
	probe.HTTPProtocolError:     "breaks the HTTP protocol",
	probe.HTTPUnexpectedHeader:  "answers with unexpected headers",
	probe.HTTPUnexpectedBody:    "answers with an unexpected body",
	probe.HTTPUnauthorized:      "answers 401",
	probe.HTTPRedirected:        "redirects to another URL",
	probe.StreamUpgradeRefused:  "upgrade is refused",
	probe.StreamCut:             "is disconnected",
	probe.StreamIdleCut:         "is disconnected when idle",
	probe.StreamStalled:         "stalls",
	probe.ExecOverloaded:        "rejects the agent because it is overloaded",
	probe.ExecStreamCut:         "of the agent's answer is disconnected",
}
