package diagnose

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"netwatchd/internal/causes"
	"netwatchd/internal/clientrules"
	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
	"netwatchd/internal/words"
)

// Titles that compare results of a round. Those of single results are in internal/words, and each cause has its own in
// internal/causes.

func (g *groupedRound) title(f *finding) string {
	return g.Service + ": " + cmp.Or(f.title, f.cause.About().Title)
}

func policyTitle(g *groupedRound, r *probe.Result) string {
	if isAgentProbe(r) && g.bestSuccess() != nil {
		return words.TitlePolicyForAgent
	}
	return causes.LocalPolicy.About().Title
}

// offlineTitle names what is missing. A failed check of the interfaces has named it more exactly.
func offlineTitle(g *groupedRound, r *probe.Result) string {
	missing, _, explained := strings.Cut(r.Why, ":")
	route := g.hostCheck(probe.CheckRoute)
	switch {
	case r.Role == probe.OfHost && r.Name == probe.CheckLink && explained:
		return "this host is offline: " + missing
	case r.Class == probe.LocalNoInterface:
		return "this host is offline: no network interface is up"
	case r.Class == probe.LocalNoRoute && route != nil && route.OK() && r.Phase > probe.Resolve:
		return "this host is offline: its gateway does not answer on this link"
	case r.Class == probe.LocalNoRoute:
		return "this host is offline: there is no default route"
	}
	return causes.HostOffline.About().Title
}

// resolverName names the nameserver that r queried, or else a configured one that failed too.
func resolverName(g *groupedRound, r *probe.Result) string {
	server := r.Server
	if server == "" {
		if other := first(g.nameservers,
			func(r *probe.Result) bool { return r.Vantage == probe.FromHost && !r.OK() }); other != nil {
			server = other.Server
		}
	}
	if host, port, err := net.SplitHostPort(server); err == nil && port == "53" {
		server = host
	}
	return strings.TrimSpace("the resolver " + server)
}

func resolverTitle(g *groupedRound, r *probe.Result) string {
	return words.ResolverTitle(resolverName(g, r), r)
}

// strictClientTitle says which nameserver spoils the lookup of the service's client, with which answer to which
// question, and who is not affected.
func strictClientTitle(g *groupedRound, r *probe.Result) string {
	words := outcome.OfQuestion(r)
	subject := resolverName(g, r)
	if r.Class == probe.DNSTimeout && r.Server == "" {
		subject, words = "the resolvers", strings.Replace(words, "does", "do", 1)
	}
	if others := g.nameserver(probe.FromHost, probe.ResolverAsksService, isOK); r.RCode == "NXDOMAIN" && others != nil &&
		r.AnswersTo == "" && others.Server != r.Server {
		words += " before the others answer"
	}
	title := subject + " " + words + ", so " + g.Expect.Client.Name + " cannot resolve the service's name"
	return title + "; programs linked with glibc, curl among them, can"
}

// contrastTitle adds to resolverTitle that another nameserver has the name that r reports as missing, and whether
// programs that ask all nameservers at once are affected.
func contrastTitle(g *groupedRound, r *probe.Result) string {
	if other := g.otherFirst(r); nameGone(r) && other != nil && g.Expect.Client.Resolver == clientrules.Glibc {
		return resolverTitle(g, r) + "; " + resolverName(g, other) +
			" resolves it, so programs linked with musl, codex among them, are not affected"
	}
	if nameGone(r) {
		return resolverTitle(g, r) + "; other resolvers resolve the name"
	}
	return resolverTitle(g, r)
}

func degradedResolverTitle(g *groupedRound, r *probe.Result) string {
	switch {
	case g.resolvesWithout(r):
		return resolverTitle(g, r) + ", but names still resolve"
	case g.serviceReached() != nil:
		return unneededResolverTitle(g, r)
	}
	return resolverTitle(g, r) + ", but the service does not need it"
}

func unneededResolverTitle(g *groupedRound, r *probe.Result) string {
	if isHalfResolved(r) && !slices.ContainsFunc(addresses(r), netip.Addr.Is4) { // every client takes AAAA records
		return resolverName(g, r) + " has no IPv4 address for the name; the service is reached over IPv6"
	}
	if first(g.asClient, isOK) != nil {
		return resolverTitle(g, r) + "; " + g.Expect.Client.Name + " is not affected, programs linked with glibc are"
	}
	return resolverTitle(g, r) + ", but the service is reached without it"
}

func noRouteToResolverTitle(g *groupedRound, r *probe.Result) string {
	return "this host has no route to " + resolverName(g, r)
}

func rewritingResolverTitle(g *groupedRound, canary *probe.Result) string {
	return resolverName(g, canary) + " returns addresses for names that do not exist"
}

func rewrittenNameTitle(g *groupedRound, canary *probe.Result) string {
	return resolverName(g, canary) + " returns made-up addresses, including one for the service's name"
}

func otherAddressTitle(g *groupedRound) string {
	return resolverName(g, g.configuredAnswer()) + " resolves the name to an address that is not the service's"
}

// strayTitle names the source of an address that is not the service's.
func strayTitle(g *groupedRound, r *probe.Result) string {
	source := resolverName(g, r)
	if fromHostsFile(r) {
		source = "/etc/hosts"
	}
	return source + " resolves the name to " + r.Answers[0] + ", which is not the service; " +
		"other resolvers return a different address"
}

func familyTitle(g *groupedRound, family int) string {
	return fmt.Sprintf("%s returns no IPv%d address, although the name has one", resolverName(g, g.configuredAnswer()),
		family)
}

// serviceForAgentTitle is for a run of the agent that got no answer, although the installation works.
func serviceForAgentTitle(g *groupedRound, r *probe.Result) string {
	switch {
	case slices.Contains(r.Signals, probe.SignalRouting):
		return "the agent's routing discovery is down: its run fails, and one that does not need it succeeds"
	case g.usualRunOf(r) != nil:
		return "the service answers a usual run, but not one with the agent's own provider (routing discovery, WebSocket)"
	case r.Class == probe.ExecNetwork:
		return "the service closes the agent's connections without an answer, but answers other requests from this host"
	}
	return "the service does not answer the agent's requests, but answers other requests from this host"
}

// serviceAnswerTitle is for a run of the agent that ends on the service's answer, although the installation works.
func serviceAnswerTitle(g *groupedRound, r *probe.Result) string {
	if g.usualRunOf(r) != nil {
		return "the agent's run with its own provider fails on the service's answer; a usual run succeeds"
	}
	return "the agent's run fails on the service's answer; with a stub of the service it succeeds"
}

func unexplainedTitle(g *groupedRound, r *probe.Result) string {
	what := r.Name
	if r.Vantage == probe.FromSandbox {
		what += " inside the sandbox"
	}
	failed := "cannot tell: " + what + " failed (" + r.Class.String() + ")"
	switch {
	case r.Class == probe.Internal:
		return "cannot tell: netwatchd itself failed to run " + what
	case r.Class == probe.Unknown:
		return "cannot tell: " + what + " failed with an unknown error"
	case r.Class == probe.TLSDateInvalid:
		return "cannot tell: the service's certificate looks expired or not valid yet, and nothing shows whether this " +
			"host's clock is right"
	case isNameFailure(r):
		return "cannot tell: the service's name does not resolve, and nothing shows whether the resolver or the service " +
			"is at fault"
	case g.reachedControl() == nil:
		return failed + ", and no control was reached"
	case g.isViaUnprovenProxy(r):
		return failed + ", and no control was reached through the same proxy"
	}
	return failed
}
