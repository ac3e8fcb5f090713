package words

import (
	"netwatchd/internal/causes"
	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
)

// OwnAdvice says what to look at if a service fails that the reader runs: there is no vendor to wait for. r is the
// decisive result, or nil. It is empty if the usual advice fits the owner too.
func OwnAdvice(c causes.Cause, r *probe.Result) string {
	switch c {
	case causes.EdgeBlocked:
		return "Check the rules of the firewall, the CDN or the rate limit in front of the service: they refuse this address."
	case causes.Stream:
		return "Check the idle timeout and the WebSocket settings of the proxy or load balancer in front of the service, then " +
			"the service's log."
	case causes.UnexpectedAnswer:
		if r != nil && r.Class == probe.TLSClientCertificate {
			return ""
		}
		return "Find out what answers there: was the service deployed or moved? If the answer is right, update expect:."
	case causes.Upstream:
		return ownOutage(r)
	}
	return ""
}

func ownOutage(r *probe.Result) string {
	if r == nil {
		return "Check whether the service runs, and read its log."
	}
	at := outcome.HostOf(r)
	if r.Peer != "" {
		at = r.Peer
	}
	switch r.Class {
	case probe.TCPRefused:
		return "Nothing listens at " + at + ". Check on that host whether the service runs (systemctl status, docker ps), whether " +
			"its port and address are the configured ones (ss -ltnp), and what its log says last."
	case probe.TCPTimedOut, probe.TCPAddressUnreachable:
		return "Check whether the host of the service is up, and whether a firewall or security group lets this host reach " + at + "."
	case probe.TLSProtocolError:
		return "Check whether " + at + " speaks TLS at all: if it is a port for plain HTTP, write http:// in the target, or set the " +
			"port that has TLS. If it should speak TLS, read the log of the server."
	case probe.TLSAuthorityInvalid, probe.TLSNameInvalid, probe.TLSDateInvalid:
		return "Fix the certificate that the service presents at " + at + ": openssl s_client -connect " + at + " shows it."
	case probe.HTTPServerError:
		return "Read the log of the service, and of the proxy in front of it: the backend fails, is overloaded or does not run."
	case probe.HTTPTimedOut:
		return "The service accepts connections and does not answer in time. Check its load, its log, and what it depends on."
	case probe.DNSNameNotResolved, probe.DNSNoData:
		return "Restore the DNS record: no nameserver has an address for " + outcome.HostOf(r) + " any more."
	}
	return "Check whether the service runs at " + at + ", and read its log: did it crash or restart?"
}

// AdviceOwnAddress is AdviceOneAddress for a service that the reader runs.
const AdviceOwnAddress = "Take the address in the evidence out of DNS or out of the load balancer until the server there works, " +
	"and read its log."
