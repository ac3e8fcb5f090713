package diagnose

import (
	"cmp"
	"fmt"
	"net"
	"netwatchd/internal/probe"
	"strconv"
	"strings"
	"time"
)

func (g *groupedRound) title(f *finding) string {
	return g.Service + ": " + cmp.Or(f.title, f.cause.About().Title)
}

// says tells how r ended, as a verb that follows its subject: "the service refuses connections".
func verb(r *probe.Result) string {
	switch r.Class {
	case probe.HTTPServerError:
		return withStatus("fails with a server error", "fails with status", r.Status)
	case probe.HTTPUnexpectedStatus:
		return withStatus("answers with another status", "answers", r.Status)
	case probe.TLSDateInvalid:
		switch {
		case r.TLS == nil || r.TLS.NotAfter.IsZero():
		case r.TLS.NotAfter.After(r.Start):
			return "shows a certificate that is not valid yet"
		default:
			return "shows a certificate that is out of date since " + r.TLS.NotAfter.UTC().Format(time.DateOnly)
		}
	}
	if words, known := verbs[r.Class]; known {
		return words
	}
	return "fails: " + r.Class.String()
}

func withStatus(without, with string, status int) string {
	if status == 0 {
		return without
	}
	return with + " " + strconv.Itoa(status)
}

var verbs = map[probe.Class]string{
	probe.DNSTimeout:            "does not answer",
	probe.DNSUnreachable:        "cannot be reached",
	probe.DNSNameNotResolved:    "says that the name does not exist",
	probe.DNSNoData:             "knows no address for the name",
	probe.DNSServfail:           "fails (SERVFAIL)",
	probe.DNSRefused:            "refuses to answer",
	probe.DNSFailed:             "answers what nobody can read",
	probe.DNSWrongAnswer:        "gives a wrong answer",
	probe.TCPRefused:            "refuses connections",
	probe.TCPTimedOut:           "does not answer",
	probe.TCPReset:              "resets connections",
	probe.TCPClosed:             "closes connections at once",
	probe.TCPAddressUnreachable: "cannot be reached: the network says so",
	probe.TLSAuthorityInvalid:   "shows a certificate it signed itself",
	probe.TLSDateInvalid:        "shows a certificate that is out of date",
	probe.TLSNameInvalid:        "shows a certificate for another name",
	probe.TLSTimedOut:           "accepts connections and then says nothing",
	probe.TLSClosed:             "ends connections during the TLS handshake",
	probe.TLSProtocolError:      "does not speak TLS as it should",
	probe.HTTPTimedOut:          "accepts requests and does not answer them",
	probe.HTTPClosed:            "ends connections without an answer",
	probe.HTTPProtocolError:     "does not speak HTTP as it should",
	probe.HTTPUnexpectedHeader:  "answers with other headers",
	probe.HTTPUnexpectedBody:    "answers with another body",
	probe.HTTPUnauthorized:      "answers 401",
	probe.HTTPRedirected:        "redirects elsewhere",
	probe.StreamUpgradeRefused:  "is refused",
	probe.StreamCut:             "is cut",
	probe.StreamIdleCut:         "is cut when it is idle",
	probe.StreamStalled:         "stalls",
	probe.ExecOverloaded:        "turns the agent away: it is overloaded",
	probe.ExecStreamCut:         "of the agent's answer is cut",
}

func policyTitle(g *groupedRound, r *probe.Result) string {
	if r.Kind == probe.KindExec && g.bestSuccess() != nil {
		return "this host's own security policy refuses the agent's connections, not those of others"
	}
	return LocalPolicy.About().Title
}

// offlineTitle says what is missing; the look at the interfaces has said it better.
func offlineTitle(g *groupedRound, r *probe.Result) string {
	missing, _, explained := strings.Cut(r.Why, ":")
	route := g.hostCheck(probe.CheckRoute)
	switch {
	case r.Role == probe.OfHost && r.Name == probe.CheckLink && explained:
		return "this host is offline: " + missing
	case r.Class == probe.LocalNoInterface:
		return "this host is offline: no network interface is up"
	case r.Class == probe.LocalNoRoute && route != nil && route.OK() && r.Phase > probe.Resolve:
		return "this host is offline: its router does not answer on this link"
	case r.Class == probe.LocalNoRoute:
		return "this host is offline: there is no default route"
	}
	return HostOffline.About().Title
}

func proxyTitle(g *groupedRound, r *probe.Result) string {
	proxy := "the proxy"
	if r.Proxy != "" {
		proxy += " " + r.Proxy
	}
	switch r.Class {
	case probe.ProxyRefused:
		return proxy + " refuses connections"
	case probe.ProxyUnreachable:
		return proxy + " cannot be reached"
	case probe.ProxyAuthRequired:
		return proxy + " wants credentials"
	}
	if g.controlViaSameProxy(r, isOK) != nil {
		return proxy + " does not pass the request on, though it does for others"
	}
	return proxy + " does not pass the request on"
}

// resolverName names the nameserver r was asked of, or a configured one that failed as well.
func resolverName(g *groupedRound, r *probe.Result) string {
	server := r.Server
	if server == "" {
		if other := first(g.nameservers, func(r *probe.Result) bool { return r.Vantage == probe.FromHost && !r.OK() }); other != nil {
			server = other.Server
		}
	}
	if host, port, err := net.SplitHostPort(server); err == nil && port == "53" {
		server = host
	}
	return strings.TrimSpace("the resolver " + server)
}

func resolverTitle(g *groupedRound, r *probe.Result) string {
	words, known := verbs[r.Class]
	switch {
	case r.Class == probe.DNSWrongAnswer && len(r.Answers) > 0:
		words = "answers " + r.Answers[0]
	case r.Class == probe.DNSFailed && r.RCode != "":
		words = "fails (" + r.RCode + ")"
	case !known || r.Class.Layer() != "dns":
		words = "does not work (" + r.Class.String() + ")"
	case hasWarning(r, "dns_not_asked"):
		return "no nameserver is asked for its name"
	}
	if fromHostsFile(r) {
		return "/etc/hosts " + words
	}
	return resolverName(g, r) + " " + words
}

// strayTitle says who gave the address at which the service is not.
func strayTitle(g *groupedRound, r *probe.Result) string {
	who := resolverName(g, r)
	if fromHostsFile(r) {
		who = "/etc/hosts"
	}
	return who + " gives " + r.Answers[0] + " for its name, where the service is not; others give another address"
}

func othersKnow(r *probe.Result) string {
	if nameGone(r) {
		return "; others know it"
	}
	return ""
}

func familyTitle(g *groupedRound, family int) string {
	return fmt.Sprintf("%s gives no IPv%d address, though there is one", resolverName(g, g.configuredAnswer()), family)
}

func issuerTitle(r *probe.Result) string {
	if r.TLS == nil || r.TLS.Issuer == "" {
		return "its certificate comes from an issuer that is not trusted here"
	}
	if r.Class == probe.TLSUnexpectedIssuer {
		return fmt.Sprintf("its certificate is issued by %q, not by the expected issuer", r.TLS.Issuer)
	}
	return fmt.Sprintf("its certificate is issued by %q, which is not trusted here", r.TLS.Issuer)
}

func clockTitle(skew time.Duration) string {
	direction := "behind" // the others are ahead
	if skew < 0 {
		direction = "ahead"
	}
	return fmt.Sprintf("this host's clock is %s %s, so certificates look out of date", inWords(skew.Abs()), direction)
}

func inWords(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", int(d.Hours()))
	}
	return fmt.Sprintf("%d minutes", int(d.Minutes()))
}

func edgeTitle(r *probe.Result) string {
	if r.Class == probe.HTTPRateLimited {
		return "its CDN limits the rate of requests from this address (429)"
	}
	return EdgeBlocked.About().Title + withStatus("", " with status", r.Status)
}

func accountTitle(r *probe.Result) string {
	switch r.Class {
	case probe.ExecNotLoggedIn:
		return "the agent is signed out"
	case probe.ExecUsageLimit:
		return "the account's usage limit is reached"
	case probe.ExecRateLimited:
		return "the account's rate limit is reached"
	}
	return "the account's token is refused"
}

func agentTitle(r *probe.Result) string {
	if r.Vantage == probe.FromSandbox && r.Kind != probe.KindExec {
		return "the agent's sandbox cannot be set up"
	}
	switch r.Class {
	case probe.ExecNotFound:
		return "the agent is not installed, or not on the PATH"
	case probe.ExecStartFailed:
		return "the agent cannot be started"
	case probe.ExecConfigInvalid:
		return "the agent's configuration is invalid"
	case probe.ExecHomeUnwritable:
		return "the agent cannot write its home directory"
	case probe.ExecModelRejected:
		return "the agent's configuration names a model the service rejects"
	case probe.ExecKilled:
		return "the agent's run was killed"
	case probe.ExecTimedOut:
		return "the agent's run does not end, while the service answers"
	case probe.ExecUnexpectedExit:
		return "the agent's run fails, while the service answers"
	}
	return "the agent cannot reach the service, while this host can"
}

func tripTitle(r *probe.Result) string {
	return "connecting alone took " + r.Phases[probe.Connect].Duration().Round(100*time.Millisecond).String()
}

func goneTitle(r *probe.Result) string {
	if r.Class == probe.DNSServfail {
		return "no resolver can resolve the service's name " + hostOf(r) + ", while all resolve others"
	}
	return "the service's name " + hostOf(r) + " is gone: every resolver says so"
}

func lateTitle(r *probe.Result, bound time.Duration) string {
	return fmt.Sprintf("slow: %s took %v, over the bound of %v", r.Name, r.Elapsed.Duration().Round(time.Millisecond), bound)
}

func unexplainedTitle(g *groupedRound, r *probe.Result) string {
	where := r.Name
	if r.Vantage == probe.FromSandbox {
		where += " inside the sandbox"
	}
	switch {
	case r.Class == probe.LocalResources:
		return "cannot tell: this host has run out of sockets or memory"
	case r.Class == probe.Internal:
		return "cannot tell: netwatchd itself failed at " + where
	case r.Class == probe.Unknown:
		return "cannot tell: " + where + " failed in an unknown way"
	case r.Class == probe.TLSDateInvalid:
		return "cannot tell: its certificate looks out of date, and nothing shows whether this host's clock is right"
	case isNameFailure(r):
		return "cannot tell: its name is not resolved, and nothing shows by whose fault"
	case g.reachedControl() == nil:
		return "cannot tell: " + where + " failed (" + r.Class.String() + "), and no control was reached"
	case g.isViaUnprovenProxy(r):
		return "cannot tell: " + where + " failed (" + r.Class.String() + "), and no control was reached through its proxy"
	}
	return "cannot tell: " + where + " failed (" + r.Class.String() + ")"
}
