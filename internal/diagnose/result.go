package diagnose

import (
	"net/netip"
	"netwatchd/internal/probe"
	"slices"
	"strings"
)

func isOK(r *probe.Result) bool { return r.OK() }

func hasWarning(r *probe.Result, of string) bool { return slices.Contains(r.Warnings, of) }

func succeededWithWarning(warning string) func(*probe.Result) bool {
	return func(r *probe.Result) bool { return r.OK() && hasWarning(r, warning) }
}

// inexplicable reports whether nobody can say why r failed: its error is unknown, or the fault is ours, or this host has
// run out of sockets or memory.
func isInexplicable(r *probe.Result) bool {
	return r.Class == probe.Unknown || r.Class == probe.Internal || r.Class == probe.LocalResources
}

// onWire reports whether r is a probe of the network alone, not a run of the agent.
func isNetworkProbe(r *probe.Result) bool { return r.Kind != probe.KindExec }

// nameFailed reports whether r ended for want of an address. The phase decides, not the class: DNS over TCP can be reset
// as well, and that says nothing of the service.
func isNameFailure(r *probe.Result) bool {
	return !r.OK() && (r.Kind == probe.KindDNS || isNetworkProbe(r) && r.Phase == probe.Resolve) && !isInexplicable(r) &&
		r.Class.Layer() != "local" && r.Class.Layer() != "proxy" && r.Class.Layer() != "exec"
}

// answered reports whether r got an answer of the other side's application, the expected one or not.
func isAnswered(r *probe.Result) bool {
	switch r.Class {
	case probe.OK, probe.HTTPUnexpectedStatus, probe.HTTPUnexpectedHeader, probe.HTTPUnexpectedBody, probe.HTTPServerError,
		probe.HTTPRateLimited, probe.HTTPUnauthorized, probe.HTTPEdgeBlocked, probe.HTTPRedirected,
		probe.StreamUpgradeRefused, probe.StreamCut, probe.StreamIdleCut, probe.StreamStalled:
		return true
	}
	return false
}

// someoneThere reports whether someone at the other end of r answered, be it a stranger. A nameserver's no is not counted:
// a stub on this very host says SERVFAIL when it is offline.
func isPeerReached(r *probe.Result) bool { return isAnswered(r) || isIntercepted(r) }

// stranger reports whether someone answered r who is not who should have.
func isIntercepted(r *probe.Result) bool {
	switch r.Class {
	case probe.TLSAuthorityInvalid, probe.TLSNameInvalid, probe.TLSUnexpectedIssuer:
		return true
	}
	return !r.OK() && isAnswered(r) && r.Class.Layer() == "http"
}

func isSelfSigned(r *probe.Result) bool {
	return r.TLS != nil && r.TLS.Issuer != "" && r.TLS.Issuer == r.TLS.Subject
}

// gone reports whether a nameserver answered that there is no such name, or that nobody who knows it can be asked. A
// timeout is no answer, and a refusal is the nameserver's own policy.
func nameGone(r *probe.Result) bool {
	return r.Class == probe.DNSNameNotResolved || r.Class == probe.DNSNoData || r.Class == probe.DNSServfail
}

// spoke reports whether the nameserver asked in r answered, be it with a no.
func isNameserverAnswer(r *probe.Result) bool {
	return r.OK() || nameGone(r) || r.Class == probe.DNSRefused || r.Class == probe.DNSWrongAnswer
}

func isDenied(r *probe.Result) bool { return r.Class == probe.LocalDenied }

// routeless reports whether r could not even be sent.
func isUnroutable(r *probe.Result) bool {
	return isNetworkProbe(r) && (r.Class == probe.LocalNoRoute || r.Class == probe.LocalNoInterface)
}

func isSilent(r *probe.Result) bool {
	return r.Class == probe.TCPTimedOut || r.Class == probe.TLSTimedOut || r.Class == probe.HTTPTimedOut ||
		r.Class == probe.StreamStalled
}

func isProxyFailure(r *probe.Result) bool { return r.Class.Layer() == "proxy" }

// secure reports whether r was to be made by TLS.
func isTLS(r *probe.Result) bool {
	return strings.HasPrefix(r.Target, "https://") || strings.HasPrefix(r.Target, "wss://")
}

// byHand reports whether r's addresses are from /etc/hosts.
func fromHostsFile(r *probe.Result) bool { return hasWarning(r, "dns_hosts_file") }

// blockListed reports whether every answer is an address nobody else can have: 0.0.0.0, ::, or this host's own loopback.
func isBlockListed(r *probe.Result) bool {
	return len(r.Answers) > 0 && !slices.ContainsFunc(r.Answers, func(text string) bool {
		addr, err := netip.ParseAddr(text)
		return err != nil || !addr.IsUnspecified() && !addr.IsLoopback()
	})
}

// familyOf is 4 or 6, or 0 if no address was spoken to.
func familyOf(r *probe.Result) int {
	peer, err := netip.ParseAddrPort(r.Peer)
	switch {
	case err != nil:
		return 0
	case peer.Addr().Unmap().Is4():
		return 4
	}
	return 6
}

// hostOf is the host of the URL r was made at.
func hostOf(r *probe.Result) string {
	host := authority(r)
	if name, _, numbered := strings.Cut(host, ":"); numbered && !strings.HasPrefix(host, "[") {
		return name
	}
	return host
}

// authority is the host, with its port where that is not the scheme's, of the URL r was made at.
func authority(r *probe.Result) string {
	_, rest, isURL := strings.Cut(r.Target, "://")
	if !isURL {
		return r.Target
	}
	host, _, _ := strings.Cut(rest, "/")
	return host
}

func isSamePeer(r, other *probe.Result) bool { return r.Peer != "" && r.Peer == other.Peer }
