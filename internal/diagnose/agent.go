package diagnose

import (
	"slices"
	"strings"

	"netwatchd/internal/probe"
)

// This file has the rules for the agent: its account, its installation, its sandbox.

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
