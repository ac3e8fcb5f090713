package diagnose

import (
	"slices"
	"strings"

	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
)

// What a result shows by itself is in package outcome. These are the rules' names for it.
var (
	addresses          = outcome.Addresses
	authority          = outcome.Authority
	compareResults     = outcome.Compare
	familyOf           = outcome.FamilyOf
	hostOf             = outcome.HostOf
	isAnswered         = outcome.IsAnswered
	isBlockListed      = outcome.IsBlockListed
	isControl          = outcome.IsControl
	isForeignAnswer    = outcome.IsForeignAnswer
	isNameserverAnswer = outcome.IsNameserverAnswer
	isOfAccount        = outcome.IsOfAccount
	isSelfSigned       = outcome.IsSelfSigned
	nameGone           = outcome.NameGone
	overlaps           = outcome.Overlaps
	rung               = outcome.Rung
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

// isPeerReached reports whether anyone at the other end of r answered, even an unexpected peer. A nameserver's
// negative answer does not count: a stub resolver on this very host reports SERVFAIL when the host is offline.
func isPeerReached(r *probe.Result) bool { return isAnswered(r) || isForeignAnswer(r) }

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

func isSamePeer(r, other *probe.Result) bool { return r.Peer != "" && r.Peer == other.Peer }

// isRouting reports whether r failed at the request that tells the agent where to send its turns: every turn fails.
func isRouting(r *probe.Result) bool { return hasWarning(r, probe.WarnRouting) }
