package diagnose

import (
	"net/netip"
	"slices"
	"strings"

	"netwatchd/internal/probe"
)

func isOK(r *probe.Result) bool { return r.OK() }

func hasWarning(r *probe.Result, name string) bool { return slices.Contains(r.Warnings, name) }

func succeededWithWarning(warning string) func(*probe.Result) bool {
	return func(r *probe.Result) bool { return r.OK() && hasWarning(r, warning) }
}

// isUntried reports whether r was never tried: this host has run out of descriptors, sockets or memory, or netwatchd
// is at fault.
func isUntried(r *probe.Result) bool {
	return r.Class == probe.Internal || r.Class == probe.LocalResources
}

// isInexplicable reports whether r's failure shows nothing about the network: its error is unknown, or r was never
// tried.
func isInexplicable(r *probe.Result) bool { return r.Class == probe.Unknown || isUntried(r) }

// isAgentProbe reports whether r was made by the agent: a run of it, or its report about itself.
func isAgentProbe(r *probe.Result) bool {
	return r.Kind == probe.KindExec || r.Kind == probe.KindStatus
}

// isNetworkProbe reports whether r is a probe of the network alone, not made by the agent.
func isNetworkProbe(r *probe.Result) bool { return !isAgentProbe(r) }

// isNameFailure reports whether r failed because it got no address. The phase decides, not the class: DNS over TCP
// can be reset too, and that shows nothing about the service.
func isNameFailure(r *probe.Result) bool {
	return !r.OK() && (r.Kind == probe.KindDNS || isNetworkProbe(r) && r.Phase == probe.Resolve) && !isInexplicable(r) &&
		r.Class.Layer() != "local" && r.Class.Layer() != "proxy" && r.Class.Layer() != "exec"
}

// isAnswered reports whether the application at the other end answered r, as expected or not.
func isAnswered(r *probe.Result) bool {
	if r.Kind == probe.KindStatus {
		return false // the agent answered, and not every version of it asks the service
	}
	switch r.Class {
	case probe.OK, probe.HTTPUnexpectedStatus, probe.HTTPUnexpectedHeader, probe.HTTPUnexpectedBody,
		probe.HTTPServerError, probe.HTTPRateLimited, probe.HTTPUnauthorized, probe.HTTPEdgeBlocked, probe.HTTPRedirected,
		probe.TLSClientCertificate, // the server, verified by its certificate: it wants to know who asks
		probe.StreamUpgradeRefused, probe.StreamCut, probe.StreamIdleCut, probe.StreamStalled:
		return true
	}
	return false
}

// isPeerReached reports whether anyone at the other end of r answered, even an unexpected peer. A nameserver's
// negative answer does not count: a stub resolver on this very host reports SERVFAIL when the host is offline.
func isPeerReached(r *probe.Result) bool { return isAnswered(r) || isForeignAnswer(r) }

// isForeignAnswer reports whether r was answered by someone else than its target, or not as its target should answer.
func isForeignAnswer(r *probe.Result) bool {
	switch r.Class {
	case probe.TLSAuthorityInvalid, probe.TLSNameInvalid, probe.TLSUnexpectedIssuer:
		return true
	}
	return !r.OK() && isAnswered(r) && r.Class.Layer() == "http"
}

func isSelfSigned(r *probe.Result) bool {
	return r.TLS != nil && r.TLS.Issuer != "" && r.TLS.Issuer == r.TLS.Subject
}

// nameGone reports whether a nameserver answered that the name does not exist, or that the nameservers responsible
// for it fail. A timeout is no answer, and a refusal is the nameserver's own policy.
func nameGone(r *probe.Result) bool {
	return r.Class == probe.DNSNameNotResolved || r.Class == probe.DNSNoData || r.Class == probe.DNSServfail
}

// isNameserverAnswer reports whether the nameserver that r queried answered, even negatively.
func isNameserverAnswer(r *probe.Result) bool {
	return r.OK() || nameGone(r) || r.Class == probe.DNSRefused || r.Class == probe.DNSWrongAnswer
}

func isControl(r *probe.Result) bool {
	return r.Role == probe.ControlByName || r.Role == probe.ControlByAddress
}

func isDenied(r *probe.Result) bool { return r.Class == probe.LocalDenied }

// isUnroutable reports whether r could not even be sent.
func isUnroutable(r *probe.Result) bool {
	return isNetworkProbe(r) && (r.Class == probe.LocalNoRoute || r.Class == probe.LocalNoInterface)
}

func isSilent(r *probe.Result) bool {
	return r.Class == probe.TCPTimedOut || r.Class == probe.TLSTimedOut || r.Class == probe.HTTPTimedOut ||
		r.Class == probe.StreamStalled
}

func isProxyFailure(r *probe.Result) bool { return r.Class.Layer() == "proxy" }

// isTLS reports whether r's target is reached by TLS. It does not tell whether the handshake succeeded.
func isTLS(r *probe.Result) bool {
	return strings.HasPrefix(r.Target, "https://") || strings.HasPrefix(r.Target, "wss://")
}

// fromHostsFile reports whether r's addresses are from /etc/hosts.
func fromHostsFile(r *probe.Result) bool { return hasWarning(r, probe.WarnHostsFile) }

// isBlockListed reports whether every answer is an address that no server can have: 0.0.0.0, ::, or this host's
// loopback.
func isBlockListed(r *probe.Result) bool {
	return len(r.Answers) > 0 && !slices.ContainsFunc(r.Answers, func(text string) bool {
		addr, err := netip.ParseAddr(text)
		return err != nil || !addr.IsUnspecified() && !addr.IsLoopback()
	})
}

// familyOf returns the address family of r's peer: 4, 6, or 0 if it has none.
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

// hostOf returns the host of r's target.
func hostOf(r *probe.Result) string {
	host := authority(r)
	if name, _, numbered := strings.Cut(host, ":"); numbered && !strings.HasPrefix(host, "[") {
		return name
	}
	return host
}

// authority returns the host of r's target, with its port if the URL has one.
func authority(r *probe.Result) string {
	_, rest, isURL := strings.Cut(r.Target, "://")
	if !isURL {
		return r.Target
	}
	host, _, _ := strings.Cut(rest, "/")
	return host
}

func isSamePeer(r, other *probe.Result) bool { return r.Peer != "" && r.Peer == other.Peer }
