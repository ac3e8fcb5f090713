package netpath

import (
	"fmt"
	"slices"

	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
)

// A Fault is what the attempts of one probe at the single addresses of its name show, if some fail and others work.
type Fault struct {
	Failed, Works *probe.Result
	addresses     int // that were tried
	failing       int // of them
}

// SuccessElsewhere returns an attempt of r's probe that succeeded at one of the addresses that r had too. At has the
// attempts at single addresses.
func SuccessElsewhere(r *probe.Result, at []*probe.Result) *probe.Result {
	if r.Proxy != "" || r.Phase <= probe.Resolve || r.Phase >= probe.Streaming || r.Class == probe.LocalDenied {
		return nil
	}
	here := outcome.Addresses(r)
	return first(at, func(other *probe.Result) bool {
		addr, known := Peer(other)
		return other.OK() && outcome.IsSameProbe(r, other) && known && slices.Contains(here, addr)
	})
}

// FindFault returns the first probe that fails at some of its addresses and works at others. At has the attempts at
// single addresses, and usual those without a given address; counts selects the failures that count. That this host
// has no route to an address is no failure: a host with one address family is normal.
func FindFault(at, usual []*probe.Result, counts func(*probe.Result) bool) *Fault {
	for _, r := range at {
		if r.OK() || outcome.IsUnroutable(r) || !counts(r) {
			continue
		}
		works := func(other *probe.Result) bool {
			return other.OK() && outcome.IsSameProbe(r, other) && (other.Peer == "" || other.Peer != r.Peer)
		}
		fault := &Fault{Failed: r, Works: first(at, works)}
		if fault.Works == nil {
			fault.Works = first(usual, works)
		}
		if fault.Works == nil {
			continue
		}
		for _, other := range at {
			if outcome.IsSameProbe(r, other) && !outcome.IsUnroutable(other) {
				fault.addresses++
				if !other.OK() {
					fault.failing++
				}
			}
		}
		return fault
	}
	return nil
}

// DeadFamily is FindFault for a probe that fails at every address of a family, 4 or 6, and works at one of the other.
func DeadFamily(at, usual []*probe.Result, family int) *Fault {
	isOfFamily := func(r *probe.Result) bool { return outcome.FamilyOf(r) == family }
	fault := FindFault(at, usual, isOfFamily)
	if fault == nil || family == 0 || first(at, func(r *probe.Result) bool {
		return r.OK() && outcome.IsSameProbe(fault.Failed, r) && isOfFamily(r)
	}) != nil {
		return nil
	}
	return fault
}

// Title names an address that fails, and how many others there are. It is to be read after "codex: ".
func (f *Fault) Title() string {
	addr, _ := Peer(f.Failed)
	how := outcome.Of(f.Failed)
	switch {
	case f.Failed.Kind == probe.KindStream && f.failing == 1:
		return fmt.Sprintf("at one of the service's %d addresses, %s, the stream %s", f.addresses, addr, how)
	case f.Failed.Kind == probe.KindStream:
		return fmt.Sprintf("at %d of the service's %d addresses the stream fails: at %s it %s", f.failing, f.addresses,
			addr, how)
	case f.failing == 1:
		return fmt.Sprintf("one of the service's %d addresses, %s, %s", f.addresses, addr, how)
	}
	return fmt.Sprintf("%d of the service's %d addresses fail: %s %s", f.failing, f.addresses, addr, how)
}

// FamilyTitle says how the service fails over one address family. Control is one that was reached over it, if any.
func (f *Fault) FamilyTitle(control *probe.Result) string {
	family, how := outcome.FamilyOf(f.Failed), outcome.Of(f.Failed)
	if isAnsweredSmall(f.Failed, probe.WarnSmallPackets) {
		how = "is not reached by large packets"
	}
	title := fmt.Sprintf("over IPv%d the service %s, over IPv%d it works", family, how, 10-family)
	if control != nil {
		title += fmt.Sprintf("; other sites answer over IPv%d", family)
	}
	return title
}

// FamilyAdvice is empty if the advice of the cause fits.
func (f *Fault) FamilyAdvice() string {
	if isAnsweredSmall(f.Failed, probe.WarnSmallPackets) {
		return adviceMTU
	}
	return ""
}
