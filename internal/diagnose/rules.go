package diagnose

import (
	"cmp"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"netwatchd/internal/probe"
)

// A finding is a cause that shows in a round, with what shows it.
type finding struct {
	cause    Cause
	title    string          // after "codex: "; empty: the cause's own
	advice   string          // empty: the cause's own
	evidence []*probe.Result // the decisive one first, then the contrast that proves it; nil ones are left out
	aside    bool            // true, but not why the service fails: never the one cause
}

// A rule looks for one cause, and says nothing (nil) if it does not show.
type rule struct {
	cause Cause
	find  func(*view) *finding
}

// rules in order of precedence: the first that speaks names the cause, and may assume that none before it does. What the
// later ones find stands beside it, unless the cause hides it.
//
// Inconclusive stands in it three times. Each is a gate: what follows speaks of a world in which the rung below it is
// well, so that a failure of the host can never be put down to the agent, nor one of the agent to the sandbox.
var rules = []rule{
	{SelfSandboxed, selfSandboxed},
	{LocalPolicy, localPolicy},
	{HostOffline, hostOffline},
	{Proxy, deadProxy},
	{Resolver, brokenResolver},
	{Interception, interception},
	{Clock, wrongClock},
	{EdgeBlocked, edgeBlocked},
	{Upstream, upstream},
	{UnexpectedAnswer, unexpectedAnswer},
	{Stream, brokenStream},
	{Inconclusive, unexplainedWire},
	{Account, account},
	{Agent, brokenAgent},
	{Inconclusive, unexplainedRun},
	{Sandbox, closedSandbox},
	{SandboxOpen, openSandbox},
	{Inconclusive, tooLittle},
	{ResolverDegraded, degradedResolver},
	{IPv6, brokenFamily(6)},
	{IPv4, brokenFamily(4)},
	{Degraded, degraded},
	{Healthy, healthy},
}

func selfSandboxed(v *view) *finding {
	if r := v.hostCheck(probe.LookSandbox); r != nil && r.Class == probe.LocalDenied {
		return &finding{evidence: []*probe.Result{r}}
	}
	return nil
}

func denied(r *probe.Result) bool { return r.Class == probe.LocalDenied }

func localPolicy(v *view) *finding {
	open := v.hostCheck(probe.LookSandbox)
	if r := v.fails(denied); r != nil {
		return &finding{title: policyTitle(v, r), evidence: []*probe.Result{r, open, v.fine(), v.control()}}
	}
	// The service fails some other way, and whatever it could be held against is refused by this host: the same rules
	// that refuse the controls may well drop the service.
	if r := first(v.controls, denied); r != nil && v.brokenWire() != nil && !slices.ContainsFunc(v.controls, not(denied)) {
		return &finding{evidence: []*probe.Result{r, v.brokenWire(), open}}
	}
	return nil
}

func not(is func(*probe.Result) bool) func(*probe.Result) bool {
	return func(r *probe.Result) bool { return !is(r) }
}

func hostOffline(v *view) *finding {
	broken := v.brokenWire()
	if broken == nil {
		return nil
	}
	if r := v.fails(routeless); r != nil && r.Phase > probe.Resolve && v.control() != nil && v.missesFamily() == 0 {
		return &finding{title: "this host has no route to the service, though it reaches others",
			evidence: []*probe.Result{r, v.hostCheck(probe.LookRoute), v.control()}}
	}
	if v.reached() != nil || v.control() != nil {
		return nil
	}
	for _, check := range []string{probe.LookLink, probe.LookRoute} {
		if r := v.hostFault(check); r != nil {
			return &finding{title: offlineTitle(v, r), evidence: []*probe.Result{r, broken, first(v.controls, not(ok))}}
		}
	}
	if r := v.fails(routeless); r != nil && v.missesFamily() == 0 {
		return &finding{title: offlineTitle(v, r), evidence: []*probe.Result{r, v.hostCheck(probe.LookRoute), first(v.controls, not(ok))}}
	}
	if f := nothingOutside(v, broken); f != nil {
		return f
	}
	return webClosed(v)
}

// routeless reports whether r could not even be sent.
func routeless(r *probe.Result) bool {
	return onWire(r) && (r.Class == probe.LocalNoRoute || r.Class == probe.LocalNoInterface)
}

// nothingOutside is the finding that no one outside answers: no control, no public resolver, not the service. How they
// fail does not matter, except that a proxy or a policy in between would be the nearer cause. Where only names were tried
// at the controls it takes a public resolver's silence to tell being offline from having no resolver.
func nothingOutside(v *view, broken *probe.Result) *finding {
	silent := first(v.controls, not(ok))
	direct := v.asks(probe.Direct, probe.ResolverAsksControl, not(ok))
	if direct == nil {
		direct = v.asks(probe.Direct, probe.ResolverAsksService, not(ok))
	}
	byAddress := slices.ContainsFunc(v.controls, func(r *probe.Result) bool {
		return r.Role == probe.ControlByAddress || r.Phase > probe.Resolve
	})
	switch {
	case silent == nil, slices.ContainsFunc(v.controls, someoneThere), slices.ContainsFunc(v.past, answered),
		!byAddress && direct == nil, v.fails(viaProxy) != nil,
		v.asks(probe.Direct, probe.ResolverAsksControl, spoke) != nil,
		v.asks(probe.Direct, probe.ResolverAsksService, spoke) != nil:
		return nil
	}
	if r := first(v.controls, func(r *probe.Result) bool { return r.Role == probe.ControlByAddress }); r != nil {
		silent = r
	}
	return &finding{title: "this host is offline: nothing outside answers, neither controls nor public resolvers",
		evidence: []*probe.Result{silent, broken, direct, v.hostCheck(probe.LookRoute)}}
}

// webClosed is the finding that the network lets lookups pass and no connection: of the controls, unrelated to each other
// and to the service, all end as it does before anyone could speak. One control alone may be down by itself.
func webClosed(v *view) *finding {
	r := v.fails(func(r *probe.Result) bool { return onWire(r) && r.Class.Layer() == "tcp" && r.Phase == probe.Connect })
	if r == nil {
		return nil
	}
	alike := func(c *probe.Result) bool { return c.Class == r.Class && c.Phase == probe.Connect }
	one := first(v.controls, alike)
	if one == nil || slices.ContainsFunc(v.controls, func(c *probe.Result) bool { return !alike(c) && !routeless(c) }) {
		return nil
	}
	another := first(v.controls, func(c *probe.Result) bool { return alike(c) && hostOf(c) != hostOf(one) })
	if another == nil {
		return nil
	}
	return &finding{title: "this network lets no connection out: unrelated sites fail alike, though names resolve",
		evidence: []*probe.Result{one, another, r, v.hostCheck(probe.LookRoute)},
		advice:   "Sign in to the network if it wants that, or find out which proxy or VPN it wants: ask for its rules on ports 80 and 443."}
}

// someoneThere reports whether someone at the other end of r answered, be it a stranger. A nameserver's no is not counted:
// a stub on this very host says SERVFAIL when it is offline.
func someoneThere(r *probe.Result) bool { return answered(r) || stranger(r) }

// spoke reports whether the nameserver asked in r answered, be it with a no.
func spoke(r *probe.Result) bool {
	return r.OK() || gone(r) || r.Class == probe.DNSRefused || r.Class == probe.DNSWrongAnswer
}

func viaProxy(r *probe.Result) bool { return r.Class.Layer() == "proxy" }

func deadProxy(v *view) *finding {
	past := first(v.past, ok)
	if r := v.fails(viaProxy); r != nil {
		return &finding{title: proxyTitle(v, r), evidence: []*probe.Result{r, past, v.sameWay(r, ok), v.control()}}
	}
	// It says that the connection stands, and whoever speaks at the other end is nobody's server.
	r := v.fails(func(r *probe.Result) bool { return r.Proxy != "" && secure(r) && r.Class.Layer() == "tls" })
	if r == nil || v.passedOn(r) != nil {
		return nil
	}
	if other := v.sameWay(r, func(c *probe.Result) bool { return secure(c) && !c.OK() || stranger(c) }); other != nil || past != nil {
		return &finding{title: "the proxy " + r.Proxy + " takes connections and does not pass them on",
			evidence: []*probe.Result{r, other, past, v.control()}}
	}
	return nil
}

func brokenResolver(v *view) *finding {
	r := v.fails(nameFailed)
	if r == nil {
		return cmp.Or(noWayToResolver(v), wrongAddress(v))
	}
	conf := v.hostFault(probe.LookResolvConf)
	switch elsewhere := v.elsewhere(r); {
	case conf != nil || r.Class == probe.DNSNoNameserver:
		return &finding{title: "no nameserver is configured", evidence: []*probe.Result{either(conf, r), r, elsewhere, v.control()},
			advice: "Put a nameserver into /etc/resolv.conf: the file is missing, empty or unreadable."}
	case elsewhere != nil:
		return &finding{title: resolverTitle(v, r) + othersKnow(r), evidence: []*probe.Result{r, elsewhere, v.control()}, advice: resolverAdvice(r)}
	case r.Class == probe.DNSWrongAnswer && blockListed(r) && v.asks(probe.Direct, probe.ResolverAsksService, spoke) == nil:
		// nobody publishes 0.0.0.0 for a service: the answer itself is the sign of a block list
		return &finding{title: resolverTitle(v, r), evidence: []*probe.Result{r, v.control()}, advice: resolverAdvice(r)}
	}
	return deadResolver(v, r)
}

// noWayToResolver is the finding that this host reaches others, but has no route to its own nameserver.
func noWayToResolver(v *view) *finding {
	r := v.fails(func(r *probe.Result) bool { return routeless(r) && r.Phase == probe.Resolve })
	if r == nil || v.control() == nil {
		return nil
	}
	return &finding{title: "this host has no route to " + resolverName(v, r), evidence: []*probe.Result{r,
		v.asks(probe.Direct, probe.ResolverAsksService, ok), v.control()}, advice: resolverAdvice(r)}
}

// elsewhere is a nameserver that resolves the service's name while r could not. One that gives the very answer that was
// not wanted of r is no contrast.
func (v *view) elsewhere(r *probe.Result) *probe.Result {
	is := func(other *probe.Result) bool {
		another := other.Server != r.Server || r.Server == ""
		differs := r.Class != probe.DNSWrongAnswer || !slices.Equal(other.Answers, r.Answers)
		return other.OK() && another && differs
	}
	if other := v.asks(probe.Direct, probe.ResolverAsksService, is); other != nil {
		return other
	}
	return v.asks(probe.FromHost, probe.ResolverAsksService, is)
}

// deadResolver is the finding that no name resolves here, not only the service's, although the world can be reached.
func deadResolver(v *view, r *probe.Result) *finding {
	if v.namesOfControls() != nil {
		return nil
	}
	dead := v.asks(probe.FromHost, probe.ResolverAsksControl, not(ok))
	if dead == nil {
		dead = first(v.controls, func(r *probe.Result) bool { return r.Role == probe.ControlByName && nameFailed(r) })
	}
	contrast := v.control()
	if contrast == nil {
		contrast = v.asks(probe.Direct, probe.ResolverAsksControl, ok)
	}
	if dead == nil || contrast == nil {
		return nil
	}
	return &finding{title: resolverTitle(v, r), evidence: []*probe.Result{r, dead, contrast}, advice: resolverAdvice(r)}
}

// blockListed reports whether every answer is an address nobody else can have: 0.0.0.0, ::, or this host's own loopback.
func blockListed(r *probe.Result) bool {
	return len(r.Answers) > 0 && !slices.ContainsFunc(r.Answers, func(text string) bool {
		addr, err := netip.ParseAddr(text)
		return err != nil || !addr.IsUnspecified() && !addr.IsLoopback()
	})
}

// wrongAddress is the finding that the name resolves, but not to what others are told, and the connection fails as it
// would then.
func wrongAddress(v *view) *finding {
	if family := v.missesFamily(); family != 0 {
		return &finding{title: familyTitle(v, family), evidence: []*probe.Result{v.brokenWire(), v.configured(),
			v.asks(probe.Direct, probe.ResolverAsksService, ok), v.control()}}
	}
	if f := strayAddress(v); f != nil {
		return f
	}
	// A CDN may give every resolver another address, but no address of its own shows a certificate for another name.
	here, there := v.answers(probe.FromHost), v.answers(probe.Direct)
	if r := v.failsAs(probe.TLSNameInvalid); r != nil && len(here) > 0 && len(there) > 0 && !overlap(here, there) {
		return &finding{title: resolverName(v, v.configured()) + " gives an address that is not the service's", evidence: []*probe.Result{r,
			v.configured(), v.asks(probe.Direct, probe.ResolverAsksService, ok), v.control()}}
	}
	return ledAstray(v)
}

// ledAstray is the finding that the connection that failed was not made to any of the addresses that nameservers give: the
// hosts file or a search domain has the name lead elsewhere. Since a CDN may give another one each time it is asked, it takes
// a certificate for another name as well, or an address that nobody publishes.
func ledAstray(v *view) *finding {
	r := v.fails(func(r *probe.Result) bool {
		peer, err := netip.ParseAddrPort(r.Peer)
		addr := peer.Addr().Unmap()
		unpublished := addr.IsLoopback() || addr.IsPrivate() || addr.IsUnspecified()
		return err == nil && onWire(r) && r.Proxy == "" && (r.Class == probe.TLSNameInvalid || unpublished) && v.deny(addr)
	})
	if r == nil {
		return nil
	}
	return &finding{title: "its name leads to " + r.Peer + " here, which no nameserver says",
		evidence: []*probe.Result{r, v.asks(probe.FromHost, probe.ResolverAsksService, ok),
			v.asks(probe.Direct, probe.ResolverAsksService, ok), v.control()},
		advice: "Look at /etc/hosts, and at search and ndots in /etc/resolv.conf: they lead programs elsewhere."}
}

// deny reports whether nameservers give the service addresses of addr's family, and not this one.
func (v *view) deny(addr netip.Addr) bool {
	others := false
	for _, r := range v.asked {
		for _, text := range r.Answers {
			given, err := netip.ParseAddr(text)
			if r.Role != probe.ResolverAsksService || err != nil || given.Unmap().Is4() != addr.Is4() {
				continue
			}
			if given.Unmap() == addr {
				return false
			}
			others = true
		}
	}
	return others
}

// strayAddress is the finding that the service is not where this host is told to look for it: it fails there, and was
// reached by the address others give; or the address is written in /etc/hosts and no nameserver gives it; or it is a
// private one, as a VPN leaves it behind, while the world is given public ones.
func strayAddress(v *view) *finding {
	r := v.fails(func(r *probe.Result) bool {
		return onWire(r) && r.Proxy == "" && r.Phase > probe.Resolve && len(r.Answers) > 0 && r.Class.Layer() != "local"
	})
	if r == nil || v.control() == nil {
		return nil
	}
	here := addresses(r)
	stray := func(other *probe.Result) bool {
		there := addresses(other)
		return other.OK() && len(there) > 0 && !overlap(here, there)
	}
	past, told := first(v.past, stray), v.asks(probe.Direct, probe.ResolverAsksService, stray)
	if told == nil && byHand(r) {
		told = v.asks(probe.FromHost, probe.ResolverAsksService, stray)
	}
	if past == nil && (told == nil || !byHand(r) && (!allPrivate(here) || allPrivate(addresses(told)))) {
		return nil
	}
	return &finding{title: strayTitle(v, r), evidence: []*probe.Result{r, past, told, v.control()}, advice: strayAdvice(r)}
}

func addresses(r *probe.Result) (all []netip.Addr) {
	for _, text := range r.Answers {
		if addr, err := netip.ParseAddr(text); err == nil {
			all = append(all, addr.Unmap())
		}
	}
	return all
}

func allPrivate(all []netip.Addr) bool {
	return !slices.ContainsFunc(all, func(a netip.Addr) bool { return !nearby(a) })
}

// configured is what a configured nameserver said of the service's name.
func (v *view) configured() *probe.Result {
	if r := v.asks(probe.FromHost, probe.ResolverAsksService, ok); r != nil {
		return r
	}
	return first(v.own, func(r *probe.Result) bool { return r.Kind == probe.KindDNS })
}

// missesFamily is 4 or 6 if the configured nameservers withhold addresses of that family, public ones know some, and the
// connection over the other one fails; else 0.
//
// To lack A is always a fault. To lack AAAA is not: networks without IPv6 filter it out. It is one only where IPv4 has
// no route.
func (v *view) missesFamily() int {
	broken := v.fails(func(r *probe.Result) bool {
		return onWire(r) && r.Kind != probe.KindDNS && (r.Phase == probe.Connect || r.Class == probe.LocalNoRoute)
	})
	if broken == nil {
		return 0
	}
	here, there := v.answers(probe.FromHost), v.answers(probe.Direct)
	switch {
	case len(here) == 0:
		return 0
	case !slices.ContainsFunc(here, netip.Addr.Is4) && slices.ContainsFunc(there, netip.Addr.Is4):
		return 4
	case broken.Class == probe.LocalNoRoute && !slices.ContainsFunc(here, netip.Addr.Is6) &&
		slices.ContainsFunc(there, netip.Addr.Is6):
		return 6
	}
	return 0
}

func overlap(a, b []netip.Addr) bool {
	return slices.ContainsFunc(a, func(addr netip.Addr) bool { return slices.Contains(b, addr) })
}

func interception(v *view) *finding {
	if r := first(v.controls, stranger); r != nil && v.controlsMostlyWrong() {
		return &finding{title: "a captive portal or proxy answers in the place of others",
			evidence: []*probe.Result{r, v.brokenWire(), v.reached()}, aside: v.brokenWire() == nil}
	}
	if r := v.fails(func(r *probe.Result) bool { return onWire(r) && strangeCertificate(r) }); r != nil {
		return &finding{title: issuerTitle(r), evidence: []*probe.Result{r, v.control()}, advice: "If your company inspects TLS, " +
			"install its CA here and name its issuer in the configuration; if the issuer is a well-known one, update ca-certificates."}
	}
	if r := v.fails(asksSignIn); r != nil {
		return &finding{title: "someone on the way answers in its place: " + strconv.Itoa(r.Status) + " asks for a sign-in",
			evidence: []*probe.Result{r, v.control()}}
	}
	if r, other := v.impersonated(); r != nil {
		return &finding{title: "someone on the way answers TLS in the place of others: an unrelated site shows a wrong certificate as well",
			evidence: []*probe.Result{r, other, v.control()}}
	}
	if r, canary := rewritten(v); r != nil {
		return &finding{title: resolverName(v, canary) + " invents addresses, and gave one for this name",
			evidence: []*probe.Result{canary, r, v.control()}}
	}
	return nil
}

// asksSignIn reports whether r met a network's or a proxy's own request for a sign-in. No server answers so about itself
// (RFC 6585, 6; RFC 9110, 15.5.8), and no proxy is configured: that one has classes of its own.
func asksSignIn(r *probe.Result) bool {
	return onWire(r) && r.Class == probe.HTTPUnexpectedStatus &&
		(r.Status == http.StatusNetworkAuthenticationRequired || r.Status == http.StatusProxyAuthRequired)
}

// impersonated is a request that met a wrong certificate, with a control that did so too, if no control met its own.
func (v *view) impersonated() (r, control *probe.Result) {
	wrong := func(r *probe.Result) bool {
		return secure(r) && (r.Class == probe.TLSNameInvalid || r.Class == probe.TLSAuthorityInvalid || r.Class == probe.TLSUnexpectedIssuer)
	}
	r = v.fails(func(r *probe.Result) bool { return onWire(r) && wrong(r) })
	control = first(v.controls, wrong)
	right := func(c *probe.Result) bool { return secure(c) && answered(c) }
	if r == nil || control == nil || slices.ContainsFunc(v.controls, right) {
		return nil, nil
	}
	return r, control
}

// controlsMostlyWrong reports whether more controls gave an answer that is not theirs than their own. One alone may have
// changed, or have been taken over; a portal takes them all, or all but the one its makers thought of.
func (v *view) controlsMostlyWrong() bool {
	wrong, right := 0, 0
	for _, r := range v.controls {
		switch {
		case r.OK():
			right++
		case stranger(r):
			wrong++
		}
	}
	return wrong > right
}

// strangeCertificate reports whether r met a certificate that someone else made for the service's name. Inspection always
// signs with a CA of its own; a certificate that signed itself is what a server shows whose owner forgot to install one.
// Where neither name is known it counts as someone else's: that wakes nobody.
func strangeCertificate(r *probe.Result) bool {
	return r.Class == probe.TLSUnexpectedIssuer || r.Class == probe.TLSAuthorityInvalid && !selfSigned(r)
}

func selfSigned(r *probe.Result) bool {
	return r.TLS != nil && r.TLS.Issuer != "" && r.TLS.Issuer == r.TLS.Subject
}

// rewritten is a failure at an address that is the one every made-up name gets, with the lookup that shows it. A resolver
// that rewrites NXDOMAIN is harmless for names that exist, so it takes the same address, or a stranger's answer where no
// addresses are known.
func rewritten(v *view) (failed, canary *probe.Result) {
	canary = v.asks(probe.FromHost, probe.ResolverAsksCanary, func(r *probe.Result) bool { return r.Class == probe.DNSWrongAnswer })
	failed = v.brokenWire()
	if canary == nil || failed == nil || nameFailed(failed) {
		return nil, nil
	}
	if here := v.answers(probe.FromHost); len(here) > 0 && len(canary.Answers) > 0 {
		if !slices.ContainsFunc(here, func(addr netip.Addr) bool { return slices.Contains(canary.Answers, addr.String()) }) {
			return nil, nil
		}
		return failed, canary
	}
	if stranger(failed) {
		return failed, canary
	}
	return nil, nil
}

// clockBound is how far the clock must be off before it is blamed for a certificate. Authorities date new certificates an
// hour back for the sake of wrong clocks (Let's Encrypt does), and Date counts whole seconds: below an hour a certificate
// that looks out of date is one.
const clockBound = time.Hour

func wrongClock(v *view) *finding {
	r := v.failsAs(probe.TLSDateInvalid)
	if r == nil || !v.misdated(r) {
		return nil
	}
	skew, _ := v.skew()
	dated := first(v.controls, func(r *probe.Result) bool { return !r.Date.IsZero() })
	return &finding{title: clockTitle(skew), evidence: []*probe.Result{r, dated, v.hostCheck("clock")}}
}

// misdated reports whether r's certificate is in date by the clocks of the others.
func (v *view) misdated(r *probe.Result) bool {
	skew, known := v.skew()
	if !known || skew.Abs() < clockBound {
		return false
	}
	return r.TLS == nil || r.TLS.NotAfter.IsZero() || r.Start.Add(skew).Before(r.TLS.NotAfter)
}

// itself reports whether it is the service that answered r, not someone in its place: its certificate was verified, or
// controls show that nobody answers for others.
func (v *view) itself(r *probe.Result) bool {
	return v.control() != nil || secure(r)
}

func edgeBlocked(v *view) *finding {
	r := v.failsAs(probe.HTTPEdgeBlocked, probe.HTTPRateLimited)
	if r == nil || !v.itself(r) {
		return nil
	}
	return &finding{title: edgeTitle(r), evidence: []*probe.Result{r, v.control()}}
}

// upstream is the one cause of the service that wakes people by default: it wants a control that was reached, and a name
// that was resolved or that everyone agrees is gone.
func upstream(v *view) *finding {
	control := v.control()
	if control == nil {
		return nil
	}
	r := v.fails(func(r *probe.Result) bool {
		if r.Kind == probe.KindStream && v.httpFine() {
			return false // see brokenStream
		}
		return v.serviceFault(r) && r.Phase > probe.Resolve && (onWire(r) || v.nameResolved())
	})
	if r != nil && v.doubtful(r) {
		return nil // see unexplainedWire
	}
	if r != nil {
		return &finding{title: "the service " + says(r), evidence: []*probe.Result{r, control, v.configured()}}
	}
	r = v.fails(nameFailed)
	if r == nil || !gone(r) {
		return nil
	}
	direct := v.allAgreeGone()
	if direct == nil || v.namesOfControls() == nil {
		return nil
	}
	return &finding{title: goneTitle(r),
		evidence: []*probe.Result{r, direct, v.namesOfControls(), control}}
}

// serviceFault reports whether r ended in a way that is the service's own doing once the way to it is known to be good.
func (v *view) serviceFault(r *probe.Result) bool {
	switch r.Class {
	case probe.TCPRefused, probe.TCPTimedOut, probe.TCPReset, probe.TCPClosed, probe.TCPAddressUnreachable,
		probe.TLSTimedOut, probe.TLSClosed, probe.TLSProtocolError, probe.TLSNameInvalid,
		probe.HTTPTimedOut, probe.HTTPClosed, probe.HTTPProtocolError, probe.HTTPServerError:
		return onWire(r)
	case probe.TLSAuthorityInvalid:
		return onWire(r) && selfSigned(r)
	case probe.TLSDateInvalid:
		// without anyone's Date it may as well be this host's clock
		_, known := v.skew()
		return onWire(r) && known && !v.misdated(r)
	case probe.ExecOverloaded:
		return true
	}
	return false
}

// secure reports whether r was to be made by TLS.
func secure(r *probe.Result) bool {
	return strings.HasPrefix(r.Target, "https://") || strings.HasPrefix(r.Target, "wss://")
}

// httpFine reports whether plain requests reach the service and are answered, as expected or not.
func (v *view) httpFine() bool {
	isHTTP := func(r *probe.Result) bool { return r.Kind == probe.KindHTTP }
	return first(v.own, func(r *probe.Result) bool { return isHTTP(r) && answered(r) }) != nil &&
		v.fails(func(r *probe.Result) bool { return isHTTP(r) && (v.serviceFault(r) || !answered(r)) }) == nil
}

// allAgreeGone is a public resolver's word that the service's name is gone, if that resolver works and no other one
// knows the name.
func (v *view) allAgreeGone() *probe.Result {
	for _, r := range v.asked {
		if r.Role == probe.ResolverAsksService && spoke(r) && !gone(r) {
			return nil
		}
	}
	return v.asks(probe.Direct, probe.ResolverAsksService, func(r *probe.Result) bool {
		works := v.asks(probe.Direct, probe.ResolverAsksControl, func(c *probe.Result) bool { return c.OK() && c.Server == r.Server })
		return gone(r) && works != nil
	})
}

func unexpectedAnswer(v *view) *finding {
	r := v.failsAs(probe.HTTPUnexpectedStatus, probe.HTTPUnexpectedHeader, probe.HTTPUnexpectedBody, probe.HTTPUnauthorized,
		probe.HTTPRedirected)
	if r != nil && v.itself(r) {
		return &finding{title: "the service " + says(r) + ", not as configured", evidence: []*probe.Result{r, v.control()}}
	}
	// What brokenResolver did not put down to the resolver is what the world is told.
	if r = v.failsAs(probe.DNSWrongAnswer); r != nil {
		return &finding{title: "its name resolves, but not as configured", evidence: []*probe.Result{r,
			v.asks(probe.Direct, probe.ResolverAsksService, not(ok)), v.control()}}
	}
	if r = v.fails(func(r *probe.Result) bool { return r.Class == probe.ExecUnexpectedOutput }); r != nil {
		return &finding{title: "the agent's run ends well, but does not say what it should", evidence: []*probe.Result{r, v.fine()},
			advice: "Read the output in the evidence: either the model answers in other words, or the expectation is out of date."}
	}
	return nil
}

func brokenStream(v *view) *finding {
	control := v.control()
	if control == nil {
		return nil
	}
	r := v.fails(func(r *probe.Result) bool {
		switch {
		case inexplicable(r) || r.Phase <= probe.Resolve && r.Class != probe.ExecStreamCut:
			return false
		case silent(r) && v.lossy() != nil:
			return false // see unexplainedWire
		case r.Class == probe.ExecStreamCut: // the service began to answer the agent, and its answer was cut
			return v.fine() != nil && v.nameResolved()
		case r.Kind != probe.KindStream:
			return false
		}
		return r.Class.Layer() == "stream" || v.httpFine() && v.serviceFault(r)
	})
	if r == nil {
		return nil
	}
	works := first(v.own, func(r *probe.Result) bool { return r.Kind == probe.KindHTTP && r.OK() })
	return &finding{title: "HTTP works, but the stream " + says(r), evidence: []*probe.Result{r, works, control}}
}

// unexplainedWire is the gate before the agent: as long as a request from this host fails and nobody knows why, nothing
// is said of what builds on it.
func unexplainedWire(v *view) *finding {
	r := v.brokenWire()
	if r == nil {
		return nil
	}
	if other := v.fails(func(r *probe.Result) bool { return onWire(r) && v.alike(r) != nil }); other != nil && v.control() != nil {
		return &finding{title: "TLS to unrelated sites fails alike, though plain requests are answered: something on the way",
			evidence: []*probe.Result{other, v.alike(other), v.control()},
			advice: "Look for what stands in the way of port 443, or swallows large packets as a VPN's tunnel may: " +
				"try ip link set dev NAME mtu 1280."}
	}
	if hasty(r) && v.control() != nil {
		return &finding{title: "the way is too slow for the time an attempt has: " + tripTitle(r), evidence: []*probe.Result{r, v.control()},
			advice: "Look at the link first (Wi-Fi, VPN, a busy uplink); if it cannot be faster, give the probe a longer timeout."}
	}
	if forbidden(r) && v.control() != nil {
		return &finding{title: "a firewall on the way forbids it", evidence: []*probe.Result{r, v.control()},
			advice: "Ask whoever runs this network, at the address that speaks; or use another network."}
	}
	if again := v.lossy(); again != nil && silent(r) {
		return &finding{title: "packets get lost, on the way to unrelated sites as well", evidence: []*probe.Result{r, again, v.control()},
			advice: "Look at the link first (Wi-Fi, VPN, cable), then for loss on the way with mtr."}
	}
	return unexplained(v, r)
}

// unexplainedRun is the gate before the sandbox.
func unexplainedRun(v *view) *finding {
	if len(v.failing) == 0 {
		return nil
	}
	return unexplained(v, v.failing[0])
}

func unexplained(v *view, r *probe.Result) *finding {
	return &finding{title: unexplainedTitle(v, r), evidence: []*probe.Result{r, v.control(), first(v.controls, not(ok)),
		v.asks(probe.Direct, probe.ResolverAsksService, func(*probe.Result) bool { return true })}}
}

// tooLittle is the gate before good news: something ended in a way nobody can name, or nothing was tried from here.
func tooLittle(v *view) *finding {
	strange := first(v.twins, inexplicable)
	if strange == nil {
		strange = first(v.past, inexplicable)
	}
	if strange == nil {
		strange = first(v.excused, inexplicable)
	}
	switch {
	case strange != nil:
		return unexplained(v, strange)
	case first(v.own, ok) == nil && len(v.excused) == 0:
		return &finding{title: "cannot tell: nothing was tried from this host", evidence: []*probe.Result{first(v.twins, not(ok))}}
	case v.unexplainedTwin() != nil:
		return unexplained(v, v.unexplainedTwin())
	}
	return nil
}

// unexplainedTwin is a run of the agent inside the sandbox that failed for a reason no rule knows.
func (v *view) unexplainedTwin() *probe.Result {
	return first(v.twins, func(r *probe.Result) bool { return r.Kind == probe.KindExec && !r.OK() })
}

func account(v *view) *finding {
	is := func(r *probe.Result) bool {
		switch r.Class {
		case probe.ExecNotLoggedIn, probe.ExecUnauthorized, probe.ExecUsageLimit, probe.ExecRateLimited:
			return true
		}
		return false
	}
	r := v.fails(is)
	if r == nil {
		r = first(v.twins, is) // the account is the same in there, and the answer came from the service
	}
	if r == nil {
		return nil
	}
	return &finding{title: accountTitle(r), advice: accountAdvice(r), evidence: []*probe.Result{r, v.fine()}}
}

// brokenAgent wants either a sign that needs no network, or everything else well: an agent that says "I cannot reach it"
// is believed to be at fault only when the same host just did.
func brokenAgent(v *view) *finding {
	r := v.fails(func(r *probe.Result) bool { return r.Kind == probe.KindExec && installation(r.Class) })
	if r == nil {
		r = first(v.twins, cannotStart)
	}
	if r == nil && v.fine() != nil {
		r = v.fails(func(r *probe.Result) bool { return r.Kind == probe.KindExec && lost(r) })
	}
	if r == nil {
		return nil
	}
	return &finding{title: agentTitle(r), advice: agentAdvice(r), evidence: []*probe.Result{r, v.fine(), v.control()}}
}

// installation reports whether c is the installation's own fault, whatever the network does.
func installation(c probe.Class) bool {
	switch c {
	case probe.ExecNotFound, probe.ExecStartFailed, probe.ExecConfigInvalid, probe.ExecHomeUnwritable, probe.ExecModelRejected,
		probe.ExecKilled:
		return true
	}
	return false
}

// lost reports whether a run of the agent failed for what may be a network's reason, if it were not for the others.
func lost(r *probe.Result) bool {
	switch r.Class {
	case probe.ExecNetwork, probe.ExecTimedOut, probe.ExecUnexpectedExit, probe.ExecHomeUnwritable, probe.ExecKilled:
		return true
	}
	return !r.OK() && r.Class.Layer() != "exec" && !inexplicable(r) && !denied(r) // the cause leaked into the agent's words
}

// cannotStart reports whether a twin never came to make its attempt: the sandbox itself could not be set up.
func cannotStart(r *probe.Result) bool {
	if r.Kind != probe.KindExec {
		return r.Class.Layer() == "exec"
	}
	return r.Class == probe.ExecNotFound || r.Class == probe.ExecStartFailed || r.Class == probe.ExecConfigInvalid ||
		r.Class == probe.ExecModelRejected
}

func closedSandbox(v *view) *finding {
	r := first(v.twins, v.shutOut)
	if r == nil {
		return nil
	}
	f := &finding{evidence: []*probe.Result{r, v.fine(), v.insideLook(), v.counterpart(r), v.control()}, aside: v.fine() == nil}
	switch run := r.Kind == probe.KindExec; {
	case run && f.aside:
		f.title = "the agent's run inside the sandbox is refused the network as well"
	case run:
		f.title = "the agent's run fails inside its sandbox only"
	case f.aside:
		f.title = "its sandbox refuses the network as well, though it should not"
	}
	return f
}

// shutOut reports whether twin r failed because of the sandbox: the kernel said so, or the same attempt just succeeded
// outside. What is closed as wanted counts only if the agent itself was run in there: then someone waits for its answer.
func (v *view) shutOut(r *probe.Result) bool {
	if r.OK() || inexplicable(r) || cannotStart(r) || v.otherwiseFine(r) {
		return false
	}
	if r.Kind == probe.KindExec {
		return denied(r) || lost(r) && v.counterpart(r) != nil
	}
	return v.Expect.Sandbox == WantOpen && (denied(r) || v.counterpart(r) != nil)
}

// otherwiseFine reports whether r is a lookup nobody needs in there: the same name was reached without it.
func (v *view) otherwiseFine(r *probe.Result) bool {
	return slices.ContainsFunc(v.twins, func(other *probe.Result) bool {
		return other.OK() && (sameProbe(r, other) || byName(r, other))
	})
}

// counterpart is the attempt from the host that succeeded where twin r did not: the same one if it was made, or else any
// that shows that the service is fine.
func (v *view) counterpart(r *probe.Result) *probe.Result {
	same := func(other *probe.Result) bool { return sameProbe(r, other) }
	if first(v.own, same) == nil {
		return v.fine()
	}
	if first(v.failing, same) != nil {
		return nil
	}
	return first(v.own, func(other *probe.Result) bool { return same(other) && other.OK() })
}

func openSandbox(v *view) *finding {
	if v.Expect.Sandbox != WantClosed {
		return nil
	}
	r := first(v.twins, through)
	if r == nil {
		return nil
	}
	return &finding{evidence: []*probe.Result{r, v.fine(), v.insideLook()}}
}

// through reports whether twin r got out of the sandbox. A refused connection shows nothing: an empty namespace refuses
// as well. Neither does an answer of the sandbox's own proxy, unless a certificate proves that it passed the request on.
func through(r *probe.Result) bool {
	layer := r.Class.Layer()
	switch {
	case r.OK():
		return true
	case r.Kind == probe.KindExec:
		return r.Class == probe.ExecUsageLimit || r.Class == probe.ExecRateLimited || r.Class == probe.ExecOverloaded
	case r.Kind == probe.KindDNS:
		return spoke(r) // a nameserver's no has come through as well
	case r.Proxy != "":
		return layer == "http" && answered(r) && strings.HasPrefix(r.Target, "https://")
	}
	return r.Phase >= probe.Handshake && (layer == "tls" || layer == "http" || layer == "stream")
}

// degradedResolver also takes a resolver that rewrites NXDOMAIN while the service is reached: nothing fails, but the next
// mistyped name will look as if it were there, and an answer of this resolver no longer proves that a name exists.
func degradedResolver(v *view) *finding {
	if !v.nameResolved() || v.fails(nameFailed) != nil {
		return nil
	}
	works := v.asks(probe.FromHost, probe.ResolverAsksControl, ok)
	if r := first(v.asked, func(r *probe.Result) bool {
		return r.Vantage == probe.FromHost && r.Role != probe.ResolverAsksCanary && !r.OK() && !inexplicable(r)
	}); r != nil {
		return &finding{title: resolverTitle(v, r) + "; names still resolve", evidence: []*probe.Result{r, works, v.reached()}}
	}
	if r := first(v.excused, func(r *probe.Result) bool { return nameFailed(r) && r.Kind == probe.KindDNS }); r != nil {
		return &finding{title: resolverTitle(v, r) + "; the service is reached without it", evidence: []*probe.Result{r, v.reached()}}
	}
	canary := v.asks(probe.FromHost, probe.ResolverAsksCanary, func(r *probe.Result) bool { return r.Class == probe.DNSWrongAnswer })
	if canary != nil {
		return &finding{title: resolverName(v, canary) + " answers for names that do not exist",
			evidence: []*probe.Result{canary, v.reached()},
			advice:   "Use a nameserver that does not rewrite NXDOMAIN: mistyped names seem to exist with this one."}
	}
	if r := first(v.own, warned("dns_first_nameserver_failed")); r != nil {
		return &finding{title: "the first nameserver does not work; names still resolve", evidence: []*probe.Result{r, works}}
	}
	return nil
}

func warned(warning string) func(*probe.Result) bool {
	return func(r *probe.Result) bool { return r.OK() && slices.Contains(r.Warnings, warning) }
}

func brokenFamily(family int) func(*view) *finding {
	warning := map[int]string{4: "ipv4_failed", 6: "ipv6_failed"}[family]
	return func(v *view) *finding {
		if r := first(v.own, warned(warning)); r != nil {
			return &finding{evidence: []*probe.Result{r, v.control()}}
		}
		r := first(v.excused, func(r *probe.Result) bool {
			return familyOf(r) == family && v.worksOverOther(r) != nil
		})
		if r == nil {
			return lostFamily(v, family)
		}
		return &finding{evidence: []*probe.Result{r, v.worksOverOther(r), v.control()}}
	}
}

// lostFamily is the finding that no control answers over a family although this host has a route, while the other one
// reaches both controls and the service. The service alone does not show it: its client goes on with the other family a
// moment later, or never tries the one that comes second. One address is not enough: it may be filtered, or gone.
func lostFamily(v *view, family int) *finding {
	var dead, alive []*probe.Result
	for _, r := range v.controls {
		switch {
		case r.Role != probe.ControlByAddress || familyOf(r) == 0:
		case familyOf(r) != family && r.OK():
			alive = append(alive, r)
		case familyOf(r) != family:
		case r.Class != probe.TCPTimedOut && r.Class != probe.TCPAddressUnreachable:
			return nil
		default:
			dead = append(dead, r)
		}
	}
	const enough = 2
	if len(dead) < enough || len(alive) < enough || v.fine() == nil {
		return nil
	}
	return &finding{evidence: []*probe.Result{dead[0], v.fine(), alive[0]}}
}

func (v *view) worksOverOther(r *probe.Result) *probe.Result {
	return first(v.own, func(other *probe.Result) bool { return other.OK() && otherFamily(r, other) })
}

func degraded(v *view) *finding {
	for _, r := range v.excused {
		again := func(other *probe.Result) bool { return other.OK() && (sameProbe(r, other) || sameDoor(r, other)) }
		if works := either(first(v.own, again), first(v.past, again)); works != nil {
			return &finding{title: "not always reachable: of attempts at one moment some fail",
				evidence: []*probe.Result{r, works, v.control()}}
		}
	}
	late := v.Expect.Late
	if r := first(v.own, func(r *probe.Result) bool {
		// a stream is held and a run takes its time: only single answers can be late
		return r.OK() && late > 0 && (r.Kind == probe.KindDNS || r.Kind == probe.KindHTTP) && r.Elapsed.Duration() > late
	}); r != nil {
		return &finding{title: lateTitle(r, late), evidence: []*probe.Result{r, v.control()}}
	}
	return nil
}

func healthy(v *view) *finding {
	fine := v.fine()
	if fine == nil { // only the agent was run, and it is well
		fine = first(v.own, ok)
	}
	closed := first(v.twins, not(ok))
	f := &finding{evidence: []*probe.Result{fine, either(closed, first(v.twins, ok)), v.insideLook(), v.control()}}
	switch {
	case closed == nil || first(v.twins, through) != nil:
	case v.Expect.Sandbox == WantClosed:
		f.title = "unreachable from the sandbox only - as configured"
		f.advice = "Nothing is broken: give a run network access if its task needs it."
	default:
		f.title = "reachable; closed to the agent's sandbox"
	}
	return f
}

func either(a, b *probe.Result) *probe.Result {
	if a != nil {
		return a
	}
	return b
}
