package diagnose

import "netwatchd/internal/probe"

// unexplainedWire is the gate before the agent: as long as a request from this host fails and nobody knows why, nothing
// is said of what builds on it.
func unexplainedNetwork(g *groupedRound) *finding {
	r := g.firstNetworkFailure()
	if r == nil {
		return nil
	}
	if other := g.failure(func(r *probe.Result) bool { return isNetworkProbe(r) && g.sameTLSFailure(r) != nil }); other != nil && g.reachedControl() != nil {
		return &finding{title: "TLS to unrelated sites fails alike, though plain requests are answered: something on the way",
			evidence: []*probe.Result{other, g.sameTLSFailure(other), g.reachedControl()},
			advice: "Look for what stands in the way of port 443, or swallows large packets as a VPN's tunnel may: " +
				"try ip link set dev NAME mtu 1280."}
	}
	if timedOutTooSoon(r) && g.reachedControl() != nil {
		return &finding{title: "the way is too slow for the time an attempt has: " + tripTitle(r), evidence: []*probe.Result{r, g.reachedControl()},
			advice: "Look at the link first (Wi-Fi, VPN, a busy uplink); if it cannot be faster, give the probe a longer timeout."}
	}
	if isRejectedOnPath(r) && g.reachedControl() != nil {
		return &finding{title: "a firewall on the way forbids it", evidence: []*probe.Result{r, g.reachedControl()},
			advice: "Ask whoever runs this network, at the address that speaks; or use another network."}
	}
	if again := g.lossyControl(); again != nil && isSilent(r) {
		return &finding{title: "packets get lost, on the way to unrelated sites as well", evidence: []*probe.Result{r, again, g.reachedControl()},
			advice: "Look at the link first (Wi-Fi, VPN, cable), then for loss on the way with mtr."}
	}
	return unexplained(g, r)
}

// unexplainedRun is the gate before the sandbox.
func unexplainedRun(g *groupedRound) *finding {
	if len(g.failing) == 0 {
		return nil
	}
	return unexplained(g, g.failing[0])
}

func unexplained(g *groupedRound, r *probe.Result) *finding {
	return &finding{title: unexplainedTitle(g, r), evidence: []*probe.Result{r, g.reachedControl(), first(g.controls, not(isOK)),
		g.nameserver(probe.Direct, probe.ResolverAsksService, func(*probe.Result) bool { return true })}}
}

// tooLittle is the gate before good news: something ended in a way nobody can name, or nothing was tried from here.
func tooLittleKnown(g *groupedRound) *finding {
	strange := first(g.sandbox, isInexplicable)
	if strange == nil {
		strange = first(g.direct, isInexplicable)
	}
	if strange == nil {
		strange = first(g.tolerated, isInexplicable)
	}
	switch {
	case strange != nil:
		return unexplained(g, strange)
	case first(g.service, isOK) == nil && len(g.tolerated) == 0:
		return &finding{title: "cannot tell: nothing was tried from this host", evidence: []*probe.Result{first(g.sandbox, not(isOK))}}
	case g.failedSandboxRun() != nil:
		return unexplained(g, g.failedSandboxRun())
	}
	return nil
}

// unexplainedTwin is a run of the agent inside the sandbox that failed for a reason no rule knows.
func (g *groupedRound) failedSandboxRun() *probe.Result {
	return first(g.sandbox, func(r *probe.Result) bool { return r.Kind == probe.KindExec && !r.OK() })
}
