package diagnose

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"netwatchd/internal/probe"
)

// A view is a round as the rules look at it: grouped, and in an order that does not depend on who finished first.
type view struct {
	Round
	host     []*probe.Result // rung 0
	controls []*probe.Result
	asked    []*probe.Result // single nameservers, configured and direct
	own      []*probe.Result // the service's probes, from the host
	past     []*probe.Result // the same past the system's resolver or proxy
	twins    []*probe.Result // the same inside the agent's sandbox

	failing []*probe.Result // of own, those nothing excuses
	excused []*probe.Result // of own, those that failed while the same thing worked another way
}

func look(round Round) *view {
	v := &view{Round: round}
	for i := range round.Results {
		r := &round.Results[i]
		group := v.group(r)
		*group = append(*group, r)
	}
	for _, group := range [][]*probe.Result{v.host, v.controls, v.asked, v.own, v.past, v.twins} {
		if len(group) > 1 {
			slices.SortFunc(group, inOrder)
		}
	}
	for _, r := range v.own {
		switch {
		case r.OK():
		case v.excuses(r):
			v.excused = append(v.excused, r)
		default:
			v.failing = append(v.failing, r)
		}
	}
	return v
}

func (v *view) group(r *probe.Result) *[]*probe.Result {
	switch {
	case r.Role == probe.OfHost:
		return &v.host
	case r.Role == probe.ControlByName || r.Role == probe.ControlByAddress:
		return &v.controls
	case r.Role != probe.OfService:
		return &v.asked
	case r.Vantage == probe.FromSandbox:
		return &v.twins
	case r.Vantage == probe.Direct:
		return &v.past
	}
	return &v.own
}

// inOrder sorts by rung, then by everything two results could differ in that a verdict shows.
func inOrder(a, b *probe.Result) int {
	return cmp.Or(
		cmp.Compare(rung(a), rung(b)), cmp.Compare(a.Role, b.Role), cmp.Compare(a.Vantage, b.Vantage),
		cmp.Compare(a.Name, b.Name), cmp.Compare(a.Server, b.Server), cmp.Compare(a.Target, b.Target),
		a.Start.Compare(b.Start), cmp.Compare(a.Class, b.Class), cmp.Compare(a.Phase, b.Phase),
		cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Elapsed, b.Elapsed), cmp.Compare(a.Why, b.Why),
		slices.Compare(a.Answers, b.Answers))
}

// rung is the step of the ladder an attempt stands on.
func rung(r *probe.Result) int {
	switch {
	case r.Role == probe.OfHost:
		return 0
	case r.Role == probe.ControlByName || r.Role == probe.ControlByAddress:
		return 2
	case r.Role != probe.OfService || r.Kind == probe.KindDNS:
		return 1
	case r.Kind == probe.KindHTTP:
		return 3
	case r.Kind == probe.KindStream:
		return 5
	case r.Kind == probe.KindExec:
		return 6
	}
	return 0
}

// excuses reports whether r failed while the same thing worked another way in the same round: then it degrades the
// service, but it does not take it away. What is unknown has no excuse.
func (v *view) excuses(r *probe.Result) bool {
	if inexplicable(r) {
		return false
	}
	if slices.ContainsFunc(v.own, func(other *probe.Result) bool {
		return other.OK() && (sameProbe(r, other) || sameDoor(r, other) || byName(r, other) || otherFamily(r, other))
	}) {
		return true
	}
	return slices.ContainsFunc(v.past, func(other *probe.Result) bool { return other.OK() && sameAttempt(r, other) })
}

func sameProbe(r, other *probe.Result) bool { return r.Name == other.Name && r.Kind == other.Kind }

// sameAttempt reports whether other, past the system's resolver and proxy, was made at the same addresses as r by the same
// way after all: then it is one more attempt of the same kind.
func sameAttempt(r, other *probe.Result) bool {
	return sameProbe(r, other) && r.Proxy == "" && r.Phase > probe.Resolve && r.Class.Layer() != "local" && overlap(addresses(r), addresses(other))
}

// sameDoor reports whether r is a stream whose connection did not come about where other's did. Until both have connected
// nobody on the way can tell them apart: it is luck that divides them, as where packets get lost.
func sameDoor(r, other *probe.Result) bool {
	return r.Kind == probe.KindStream && r.Phase == probe.Connect && r.Class.Layer() == "tcp" &&
		other.Kind == probe.KindHTTP && authority(r) == authority(other)
}

// byName reports whether r is a lookup that failed for a name that was reached by other all the same: behind a proxy, or
// with the name in /etc/hosts, nobody needs the nameserver. A wrong answer has no such excuse: it was asked for as such.
func byName(r, other *probe.Result) bool {
	return r.Kind == probe.KindDNS && r.Class != probe.DNSWrongAnswer && other.Kind == probe.KindHTTP && hostOf(other) == r.Target
}

// otherFamily reports whether r failed to connect over one address family where other got through over the other one.
func otherFamily(r, other *probe.Result) bool {
	return r.Kind == probe.KindHTTP && other.Kind == probe.KindHTTP && r.Phase == probe.Connect && r.Class != probe.LocalDenied &&
		familyOf(r) != 0 && familyOf(other) != 0 && familyOf(r) != familyOf(other) && hostOf(r) == hostOf(other)
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

func first(rs []*probe.Result, is func(*probe.Result) bool) *probe.Result {
	if i := slices.IndexFunc(rs, is); i >= 0 {
		return rs[i]
	}
	return nil
}

func ok(r *probe.Result) bool { return r.OK() }

func warns(r *probe.Result, of string) bool { return slices.Contains(r.Warnings, of) }

// inexplicable reports whether nobody can say why r failed: its error is unknown, or the fault is ours, or this host has
// run out of sockets or memory.
func inexplicable(r *probe.Result) bool {
	return r.Class == probe.Unknown || r.Class == probe.Internal || r.Class == probe.LocalResources
}

// onWire reports whether r is a probe of the network alone, not a run of the agent.
func onWire(r *probe.Result) bool { return r.Kind != probe.KindExec }

// nameFailed reports whether r ended for want of an address. The phase decides, not the class: DNS over TCP can be reset
// as well, and that says nothing of the service.
func nameFailed(r *probe.Result) bool {
	return !r.OK() && (r.Kind == probe.KindDNS || onWire(r) && r.Phase == probe.Resolve) && !inexplicable(r) &&
		r.Class.Layer() != "local" && r.Class.Layer() != "proxy" && r.Class.Layer() != "exec"
}

// answered reports whether r got an answer of the other side's application, the expected one or not.
func answered(r *probe.Result) bool {
	switch r.Class {
	case probe.OK, probe.HTTPUnexpectedStatus, probe.HTTPUnexpectedHeader, probe.HTTPUnexpectedBody, probe.HTTPServerError,
		probe.HTTPRateLimited, probe.HTTPUnauthorized, probe.HTTPEdgeBlocked, probe.HTTPRedirected,
		probe.StreamUpgradeRefused, probe.StreamCut, probe.StreamIdleCut, probe.StreamStalled:
		return true
	}
	return false
}

// stranger reports whether someone answered r who is not who should have.
func stranger(r *probe.Result) bool {
	switch r.Class {
	case probe.TLSAuthorityInvalid, probe.TLSNameInvalid, probe.TLSUnexpectedIssuer:
		return true
	}
	return !r.OK() && answered(r) && r.Class.Layer() == "http"
}

// gone reports whether a nameserver answered that there is no such name, or that nobody who knows it can be asked. A
// timeout is no answer, and a refusal is the nameserver's own policy.
func gone(r *probe.Result) bool {
	return r.Class == probe.DNSNameNotResolved || r.Class == probe.DNSNoData || r.Class == probe.DNSServfail
}

func (v *view) hostCheck(name string) *probe.Result {
	return first(v.host, func(r *probe.Result) bool { return r.Name == name && r.Vantage == probe.FromHost })
}

// insideLook is what a look at the process inside the sandbox saw: its signals say whose sandbox it is.
func (v *view) insideLook() *probe.Result {
	return first(v.host, func(r *probe.Result) bool { return r.Name == probe.CheckSandbox && r.Vantage == probe.FromSandbox })
}

// hostFault is the check of that name if it found a fault.
func (v *view) hostFault(name string) *probe.Result {
	if r := v.hostCheck(name); r != nil && !r.OK() && !inexplicable(r) {
		return r
	}
	return nil
}

// control is a control that gave its known answer in this round; without one nothing pages.
func (v *view) control() *probe.Result { return first(v.controls, ok) }

// asks is the first nameserver of that vantage and role for which is holds.
func (v *view) asks(from probe.Vantage, role probe.Role, is func(*probe.Result) bool) *probe.Result {
	return first(v.asked, func(r *probe.Result) bool { return r.Vantage == from && r.Role == role && is(r) })
}

// fails is the lowest attempt at the service from the host that failed as is says.
func (v *view) fails(is func(*probe.Result) bool) *probe.Result { return first(v.failing, is) }

func (v *view) failsAs(classes ...probe.Class) *probe.Result {
	return v.fails(func(r *probe.Result) bool { return onWire(r) && slices.Contains(classes, r.Class) })
}

// brokenWire is the lowest failure from the host that is not merely the agent's own.
func (v *view) brokenWire() *probe.Result { return v.fails(onWire) }

// reached is an attempt from the host that shows that the service can be spoken to. A lookup alone shows it only where
// nothing but lookups is tried: a cache answers on a host that is offline.
func (v *view) reached() *probe.Result {
	if r := first(v.own, func(r *probe.Result) bool { return r.Kind != probe.KindDNS && answered(r) }); r != nil {
		return r
	}
	if slices.ContainsFunc(v.own, func(r *probe.Result) bool { return r.Kind != probe.KindDNS }) {
		return nil
	}
	return first(v.own, ok)
}

// fine is the attempt that shows best that the service is well from the host, if nothing on the wire fails.
func (v *view) fine() *probe.Result {
	if v.brokenWire() != nil {
		return nil
	}
	for _, kind := range []probe.Kind{probe.KindHTTP, probe.KindStream, probe.KindDNS} {
		if r := first(v.own, func(r *probe.Result) bool { return r.Kind == kind && r.OK() }); r != nil {
			return r
		}
	}
	return nil
}

// nameResolved reports whether the service's name got an address on this host in this round.
func (v *view) nameResolved() bool {
	return slices.ContainsFunc(v.own, func(r *probe.Result) bool {
		return r.Phase > probe.Resolve && onWire(r) && r.Kind != probe.KindDNS || r.Kind == probe.KindDNS && r.OK()
	})
}

// namesOfControls is an attempt that shows that other names than the service's resolve on this host.
func (v *view) namesOfControls() *probe.Result {
	if r := v.asks(probe.FromHost, probe.ResolverAsksControl, ok); r != nil {
		return r
	}
	return first(v.controls, func(r *probe.Result) bool {
		return r.Role == probe.ControlByName && (r.OK() || r.Phase > probe.Resolve)
	})
}

// answers are the service's addresses as nameservers of that vantage gave them.
func (v *view) answers(from probe.Vantage) []netip.Addr {
	var addrs []netip.Addr
	collect := func(r *probe.Result) {
		for _, text := range r.Answers {
			if addr, err := netip.ParseAddr(text); err == nil {
				addrs = append(addrs, addr.Unmap())
			}
		}
	}
	for _, r := range v.asked {
		if r.Vantage == from && r.Role == probe.ResolverAsksService {
			collect(r)
		}
	}
	for _, r := range v.own {
		if r.Kind == probe.KindDNS && from == probe.FromHost {
			collect(r)
		}
	}
	return addrs
}

// skew is how far the others' clocks are ahead of this host's, by the median of the controls' Date headers; one of them
// may come from a cache.
func (v *view) skew() (time.Duration, bool) {
	var skews []time.Duration
	for _, r := range v.controls {
		if !r.Date.IsZero() && !r.Start.IsZero() {
			skews = append(skews, r.Date.Sub(r.Start))
		}
	}
	if len(skews) == 0 {
		return 0, false
	}
	slices.Sort(skews)
	return skews[len(skews)/2], true
}
