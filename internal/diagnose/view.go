package diagnose

import (
	"cmp"
	"netwatchd/internal/probe"
	"slices"
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

// itself reports whether it is the service that answered r, not someone in its place: its certificate was verified, or
// controls show that nobody answers for others.
func (v *view) itself(r *probe.Result) bool {
	return v.control() != nil || secure(r)
}

// httpFine reports whether plain requests reach the service and are answered, as expected or not.
func (v *view) httpFine() bool {
	isHTTP := func(r *probe.Result) bool { return r.Kind == probe.KindHTTP }
	return first(v.own, func(r *probe.Result) bool { return isHTTP(r) && answered(r) }) != nil &&
		v.fails(func(r *probe.Result) bool { return isHTTP(r) && (v.serviceFault(r) || !answered(r)) }) == nil
}

func first(rs []*probe.Result, is func(*probe.Result) bool) *probe.Result {
	if i := slices.IndexFunc(rs, is); i >= 0 {
		return rs[i]
	}
	return nil
}

func either(a, b *probe.Result) *probe.Result {
	if a != nil {
		return a
	}
	return b
}

func not(is func(*probe.Result) bool) func(*probe.Result) bool {
	return func(r *probe.Result) bool { return !is(r) }
}
