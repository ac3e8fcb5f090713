package outcome

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"netwatchd/internal/clientrules"
	"netwatchd/internal/probe"
)

// IsSelfSigned reports whether the server's certificate names itself as its issuer.
func IsSelfSigned(r *probe.Result) bool {
	return r.TLS != nil && r.TLS.Issuer != "" && r.TLS.Issuer == r.TLS.Subject
}

// NameGone reports whether a nameserver answered that the name does not exist, or that the nameservers responsible
// for it fail. A timeout is no answer, and a refusal is the nameserver's own policy.
func NameGone(r *probe.Result) bool {
	return r.Class == probe.DNSNameNotResolved || r.Class == probe.DNSNoData || r.Class == probe.DNSServfail
}

// IsNameserverAnswer reports whether the nameserver that r queried answered, even negatively.
func IsNameserverAnswer(r *probe.Result) bool {
	return r.OK() || NameGone(r) || r.Class == probe.DNSRefused || r.Class == probe.DNSWrongAnswer
}

// IsBlockListed reports whether every answer is an address that no server can have: 0.0.0.0, ::, or this host's
// loopback.
func IsBlockListed(r *probe.Result) bool {
	return len(r.Answers) > 0 && !slices.ContainsFunc(r.Answers, func(text string) bool {
		addr, err := netip.ParseAddr(text)
		return err != nil || !addr.IsUnspecified() && !addr.IsLoopback()
	})
}

// FamilyOf returns the address family of r's peer: 4, 6, or 0 if it has none.
func FamilyOf(r *probe.Result) int {
	peer, err := netip.ParseAddrPort(r.Peer)
	switch {
	case err != nil:
		return 0
	case peer.Addr().Unmap().Is4():
		return 4
	}
	return 6
}

// HostOf returns the host of r's target.
func HostOf(r *probe.Result) string {
	host := Authority(r)
	if name, _, numbered := strings.Cut(host, ":"); numbered && !strings.HasPrefix(host, "[") {
		return name
	}
	return host
}

// Authority returns the host of r's target, with its port if the URL has one.
func Authority(r *probe.Result) string {
	_, rest, isURL := strings.Cut(r.Target, "://")
	if !isURL {
		return r.Target
	}
	host, _, _ := strings.Cut(rest, "/")
	return host
}

// Addresses returns the addresses among r's answers.
func Addresses(r *probe.Result) (all []netip.Addr) {
	for _, text := range r.Answers {
		if addr, err := netip.ParseAddr(text); err == nil {
			all = append(all, addr.Unmap())
		}
	}
	return all
}

// Overlaps reports whether an address is in both lists.
func Overlaps(a, b []netip.Addr) bool {
	return slices.ContainsFunc(a, func(addr netip.Addr) bool { return slices.Contains(b, addr) })
}

// IsAnswered reports whether the application at the other end answered r, as expected or not.
func IsAnswered(r *probe.Result) bool {
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

// IsForeignAnswer reports whether r was answered by someone else than its target, or not as its target should answer.
func IsForeignAnswer(r *probe.Result) bool {
	switch r.Class {
	case probe.TLSAuthorityInvalid, probe.TLSNameInvalid, probe.TLSUnexpectedIssuer:
		return true
	}
	return !r.OK() && IsAnswered(r) && r.Class.Layer() == "http"
}

// IsControl reports whether r is an attempt at a control.
func IsControl(r *probe.Result) bool {
	return r.Role == probe.ControlByName || r.Role == probe.ControlByAddress
}

// Compare sorts by rung, then by everything that a verdict shows of a result.
func Compare(a, b *probe.Result) int {
	return cmp.Or(
		cmp.Compare(Rung(a), Rung(b)), cmp.Compare(a.Role, b.Role), cmp.Compare(a.Vantage, b.Vantage),
		cmp.Compare(a.Name, b.Name), cmp.Compare(a.Server, b.Server), cmp.Compare(a.Target, b.Target),
		a.Start.Compare(b.Start), cmp.Compare(a.Class, b.Class), cmp.Compare(a.Phase, b.Phase),
		cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Elapsed, b.Elapsed), cmp.Compare(a.Why, b.Why),
		slices.Compare(a.Answers, b.Answers))
}

// Rung returns the step of the ladder that an attempt belongs to.
func Rung(r *probe.Result) int {
	switch {
	case r.Role == probe.OfHost:
		return 0
	case IsControl(r):
		return 2
	case r.Role == probe.AgentStub:
		return 7
	case r.Role != probe.OfService && r.Role != probe.ServiceAddress || r.Kind == probe.KindDNS:
		return 1
	case r.Kind == probe.KindHTTP:
		return 3
	case r.Kind == probe.KindStream:
		return 5
	case r.Kind == probe.KindStatus:
		return 6
	case r.Kind == probe.KindExec:
		return 7
	}
	return 0
}

// IsOfAccount reports whether the account is why the agent failed: signed out, rejected, or over a limit.
func IsOfAccount(r *probe.Result) bool {
	switch r.Class {
	case probe.ExecNotLoggedIn, probe.ExecUnauthorized, probe.ExecUsageLimit, probe.ExecRateLimited:
		return true
	}
	return false
}

// IsUntried reports whether r was never tried: this host has run out of descriptors, sockets or memory, or netwatchd
// is at fault.
func IsUntried(r *probe.Result) bool {
	return r.Class == probe.Internal || r.Class == probe.LocalResources
}

// IsInexplicable reports whether r's failure shows nothing about the network: its error is unknown, or r was never
// tried.
func IsInexplicable(r *probe.Result) bool { return r.Class == probe.Unknown || IsUntried(r) }

// IsAgentProbe reports whether r was made by the agent: a run of it, or its report about itself.
func IsAgentProbe(r *probe.Result) bool {
	return r.Kind == probe.KindExec || r.Kind == probe.KindStatus
}

// IsNetworkProbe reports whether r is a probe of the network alone: not made by the agent, and not ended in what the
// agent alone would make of it.
func IsNetworkProbe(r *probe.Result) bool { return !IsAgentProbe(r) && !IsDistrustedByAgent(r) }

// IsDistrustedByAgent reports whether r reached the service, whose certificate this host trusts and the agent does not.
func IsDistrustedByAgent(r *probe.Result) bool {
	return !r.OK() && r.Warned(clientrules.TrustedByHostOnly)
}

// IsNameFailure reports whether r failed because it got no address. The phase decides, not the class: DNS over TCP
// can be reset too, and that shows nothing about the service.
func IsNameFailure(r *probe.Result) bool {
	return !r.OK() && (r.Kind == probe.KindDNS || IsNetworkProbe(r) && r.Phase == probe.Resolve) && !IsInexplicable(r) &&
		r.Class.Layer() != "local" && r.Class.Layer() != "proxy" && r.Class.Layer() != "exec"
}

// IsPeerReached reports whether anyone at the other end of r answered, even an unexpected peer. A nameserver's
// negative answer does not count: a stub resolver on this very host reports SERVFAIL when the host is offline.
func IsPeerReached(r *probe.Result) bool { return IsAnswered(r) || IsForeignAnswer(r) }

// IsUnroutable reports whether r could not even be sent.
func IsUnroutable(r *probe.Result) bool {
	return IsNetworkProbe(r) && (r.Class == probe.LocalNoRoute || r.Class == probe.LocalNoInterface)
}

func IsSilent(r *probe.Result) bool {
	return r.Class == probe.TCPTimedOut || r.Class == probe.TLSTimedOut || r.Class == probe.HTTPTimedOut ||
		r.Class == probe.StreamStalled
}

// IsTLS reports whether r's target is reached by TLS. It does not tell whether the handshake succeeded.
func IsTLS(r *probe.Result) bool {
	return strings.HasPrefix(r.Target, "https://") || strings.HasPrefix(r.Target, "wss://")
}

// TimedOutTooSoon reports whether r was given up before an answer could arrive: it waited for less than two round
// trips, of which the TCP connect took one.
func TimedOutTooSoon(r *probe.Result) bool {
	trip := r.Phases[probe.Connect]
	return IsSilent(r) && r.Phase > probe.Connect && trip > 0 && r.Phases[r.Phase] < 2*trip
}
