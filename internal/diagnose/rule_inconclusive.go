package diagnose

import "netwatchd/internal/probe"

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
