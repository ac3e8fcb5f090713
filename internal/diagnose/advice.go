package diagnose

import (
	"cmp"
	"net"
	"strings"

	"netwatchd/internal/clientrules"
	"netwatchd/internal/probe"
	"netwatchd/internal/words"
)

// Advice that compares results of a round. That on single results is in internal/words, and each cause has its own in
// internal/causes.

// strictClientAdvice is what to do about a nameserver whose answers a strict client does not forgive. The order of the
// nameservers and the options in resolv.conf do not help: musl asks all at once, and has none of single-request,
// no-aaaa and use-vc.
func strictClientAdvice(g *groupedRound, r *probe.Result) string {
	host, _, _ := net.SplitHostPort(r.Server)
	another := func(other *probe.Result) bool { return other.Server != r.Server }
	switch {
	case host == words.WSLTunnel:
		return words.ResolverAdvice(r)
	case strings.HasPrefix(r.AnswersTo, r.Target+"."):
		return words.AdviceSuffixed
	case r.Class == probe.DNSNameNotResolved && g.nameserver(probe.FromHost, probe.ResolverAsksService, another) != nil:
		return "Remove the nameserver " + host + " from /etc/resolv.conf, or all others: " + g.Expect.Client.Name +
			" asks all of them at once and takes the first answer. Their order does not help."
	}
	return "Use another nameserver in /etc/resolv.conf, or make this one answer AAAA queries of names without IPv6 with " +
		"NOERROR and no records: " + g.Expect.Client.Name + " needs an answer to both A and AAAA. No option of " +
		"resolv.conf helps."
}

// contrastAdvice is words.ResolverAdvice, unless another nameserver in the file resolves the name.
func contrastAdvice(g *groupedRound, r *probe.Result) string {
	move := moveAdvice(g, r)
	if move != "" && g.Expect.Client.Resolver == clientrules.Musl {
		return strictClientAdvice(g, r)
	}
	return cmp.Or(move, words.ResolverAdvice(r))
}

// moveAdvice is for programs linked with glibc, if r, a lookup at the first nameserver, ends in NXDOMAIN and another
// nameserver in the file resolves the name. It is empty otherwise.
func moveAdvice(g *groupedRound, r *probe.Result) string {
	host, _, _ := net.SplitHostPort(r.Server)
	other := g.nameserver(probe.FromHost, probe.ResolverAsksService,
		func(other *probe.Result) bool { return other.OK() && other.Server != r.Server })
	if r.Class != probe.DNSNameNotResolved || other == nil || host == "" || words.ResolverAdvice(r) != "" {
		return ""
	}
	better, _, _ := net.SplitHostPort(other.Server)
	return "Move the nameserver " + better + " before " + host + " in /etc/resolv.conf, or remove " + host + ": glibc " +
		"asks the first one, and takes its NXDOMAIN as final."
}
