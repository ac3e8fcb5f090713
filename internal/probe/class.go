package probe

import (
	"iter"
	"strings"

	"netwatchd/internal/enum"
)

// Class is how an attempt ended: a closed list, layer first. The names are a contract (the `class` label, JSON, the
// store), so values may be appended to a layer but never renamed. Where W3C Network Error Logging has a name, it is
// used.
type Class uint8

// The zero Class is Unknown: forgetting must never look like success.
const (
	Unknown Class = iota // never guessed; the error's own text is in Result.Why
	OK
	Internal // our own fault: a missing tool, a bad directory, a prober that panicked or hangs

	LocalDenied      // EPERM or EACCES from socket or connect: a sandbox or firewall on this host said no
	LocalNoRoute     // ENETUNREACH, or EHOSTUNREACH without an answer from the network
	LocalNoInterface // no interface is up
	LocalResources   // EMFILE, ENOBUFS, ENOMEM

	DNSNoNameserver    // none is configured
	DNSTimeout         // no answer
	DNSUnreachable     // the nameserver's port is refused or its address unreachable
	DNSNameNotResolved // NXDOMAIN
	DNSNoData          // the name exists, without an address of that family
	DNSServfail
	DNSRefused
	DNSFailed      // another rcode, or a malformed answer
	DNSWrongAnswer // a known answer differs: NXDOMAIN rewritten, a bogon, a block-list's 0.0.0.0

	TCPRefused
	TCPTimedOut
	TCPReset
	TCPClosed
	TCPAddressUnreachable // the network answered that it cannot get there

	TLSAuthorityInvalid
	TLSDateInvalid
	TLSNameInvalid
	TLSUnexpectedIssuer
	TLSTimedOut
	TLSClosed
	TLSProtocolError
	TLSClientCertificate // the server wants a client certificate: it got none, or not one that it accepts

	ProxyRefused
	ProxyUnreachable
	ProxyAuthRequired
	ProxyFailed

	HTTPTimedOut
	HTTPClosed
	HTTPProtocolError
	HTTPUnexpectedStatus
	HTTPUnexpectedHeader
	HTTPUnexpectedBody
	HTTPServerError  // 5xx
	HTTPRateLimited  // 429
	HTTPUnauthorized // 401
	HTTPEdgeBlocked  // 403 or a challenge page of a CDN
	HTTPRedirected

	StreamUpgradeRefused
	StreamCut     // the connection ended while it was in use
	StreamIdleCut // the connection ended while it was idle
	StreamStalled // the connection is there and nothing comes

	ExecNotFound
	ExecStartFailed
	ExecTimedOut
	ExecKilled
	ExecConfigInvalid
	ExecHomeUnwritable
	ExecNotLoggedIn
	ExecUnauthorized
	ExecUsageLimit
	ExecRateLimited
	ExecOverloaded
	ExecModelRejected
	ExecNetwork // it could not reach its service: the agent itself cannot say why
	ExecStreamCut
	ExecUnexpectedOutput
	ExecUnexpectedExit
	ExecSignInMissing // the service answered that no sign-in came with the agent's request
)

var classNames = []string{
	Unknown: "unknown", OK: "ok", Internal: "internal",

	LocalDenied: "local.denied", LocalNoRoute: "local.no_route", LocalNoInterface: "local.no_interface",
	LocalResources: "local.resources",

	DNSNoNameserver: "dns.no_nameserver", DNSTimeout: "dns.timeout", DNSUnreachable: "dns.unreachable",
	DNSNameNotResolved: "dns.name_not_resolved", DNSNoData: "dns.no_data", DNSServfail: "dns.servfail",
	DNSRefused: "dns.refused", DNSFailed: "dns.failed", DNSWrongAnswer: "dns.wrong_answer",

	TCPRefused: "tcp.refused", TCPTimedOut: "tcp.timed_out", TCPReset: "tcp.reset", TCPClosed: "tcp.closed",
	TCPAddressUnreachable: "tcp.address_unreachable",

	TLSAuthorityInvalid: "tls.cert.authority_invalid", TLSDateInvalid: "tls.cert.date_invalid",
	TLSNameInvalid: "tls.cert.name_invalid", TLSUnexpectedIssuer: "tls.cert.unexpected_issuer",
	TLSTimedOut: "tls.timed_out", TLSClosed: "tls.closed", TLSProtocolError: "tls.protocol.error",
	TLSClientCertificate: "tls.client_certificate",

	ProxyRefused: "proxy.refused", ProxyUnreachable: "proxy.unreachable", ProxyAuthRequired: "proxy.auth_required",
	ProxyFailed: "proxy.failed",

	HTTPTimedOut: "http.timed_out", HTTPClosed: "http.closed", HTTPProtocolError: "http.protocol.error",
	HTTPUnexpectedStatus: "http.unexpected_status", HTTPUnexpectedHeader: "http.unexpected_header",
	HTTPUnexpectedBody: "http.unexpected_body", HTTPServerError: "http.server_error",
	HTTPRateLimited: "http.rate_limited", HTTPUnauthorized: "http.unauthorized", HTTPEdgeBlocked: "http.edge_blocked",
	HTTPRedirected: "http.redirected",

	StreamUpgradeRefused: "stream.upgrade_refused", StreamCut: "stream.cut", StreamIdleCut: "stream.idle_cut",
	StreamStalled: "stream.stalled",

	ExecNotFound: "exec.not_found", ExecStartFailed: "exec.start_failed", ExecTimedOut: "exec.timed_out",
	ExecKilled: "exec.killed", ExecConfigInvalid: "exec.config_invalid", ExecHomeUnwritable: "exec.home_unwritable",
	ExecNotLoggedIn: "exec.not_logged_in", ExecUnauthorized: "exec.unauthorized", ExecUsageLimit: "exec.usage_limit",
	ExecRateLimited: "exec.rate_limited", ExecOverloaded: "exec.overloaded", ExecModelRejected: "exec.model_rejected",
	ExecNetwork: "exec.network", ExecStreamCut: "exec.stream_cut", ExecUnexpectedOutput: "exec.unexpected_output",
	ExecUnexpectedExit: "exec.unexpected_exit", ExecSignInMissing: "exec.sign_in_missing",
}

func (c Class) String() string                { return enum.String(classNames, c, "class") }
func (c Class) MarshalText() ([]byte, error)  { return []byte(c.String()), nil }
func (c *Class) UnmarshalText(b []byte) error { return enum.Parse(classNames, c, b, "class") }

// Layer is the part of the name before the first dot: "dns", "tls", "exec"; empty for unknown, ok and internal.
func (c Class) Layer() string {
	layer, _, dotted := strings.Cut(c.String(), ".")
	if !dotted {
		return ""
	}
	return layer
}

// Classes lists every class.
func Classes() iter.Seq[Class] {
	return func(yield func(Class) bool) {
		for c := range classNames {
			if !yield(Class(c)) {
				return
			}
		}
	}
}
