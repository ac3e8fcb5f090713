package diagnose

import (
	"cmp"
	"slices"

	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
)

// stubOf returns the run against a stub that followed the run r of the agent; nil: there was none.
func (g *groupedRound) stubOf(r *probe.Result) *probe.Result {
	return first(g.stubs, func(stub *probe.Result) bool {
		return stub.Service == r.Service && stub.Name == probe.StubName(r.Name) && r.Vantage == probe.FromHost
	})
}

// usualRunOf returns the successful run without the agent's own provider; nil: there is none, or r is no run with it.
func (g *groupedRound) usualRunOf(r *probe.Result) *probe.Result {
	return first(g.service, func(other *probe.Result) bool {
		return other.Kind == probe.KindExec && other.OK() && r.Name == probe.BuiltinName(other.Name)
	})
}

// contrastOf returns the successful run that shows that the installation is not why the run r of the agent failed: one
// against a stub, or a usual one if r is with the agent's own provider.
func (g *groupedRound) contrastOf(r *probe.Result) *probe.Result {
	if r.Kind != probe.KindExec {
		return nil
	}
	if stub := g.stubOf(r); stub != nil && stub.OK() {
		return stub
	}
	return g.usualRunOf(r)
}

// secondRunOf returns the run that r is compared with, whether it succeeded or not; nil: there is none.
func (g *groupedRound) secondRunOf(r *probe.Result) *probe.Result {
	return cmp.Or(g.contrastOf(r), g.stubOf(r))
}

// isServiceFaultToAgent reports whether the run r of the agent ended as it did because of the service, although this
// host's other requests are answered as expected. If the agent never got a connection, it is false: the agent's own
// settings for the network (its proxy, its CA) may explain that, unless a usual run with the same settings succeeded.
func (g *groupedRound) isServiceFaultToAgent(r *probe.Result) bool {
	if g.contrastOf(r) == nil || g.bestSuccess() == nil {
		return false
	}
	isConnected := slices.Contains(r.Signals, probe.SignalConnected) || g.usualRunOf(r) != nil
	return r.Class == probe.ExecTimedOut || r.Class == probe.ExecNetwork && isConnected
}

// isServiceAnswerToAgent reports whether the run r of the agent ended on an answer of the service, without a reason
// that is known here: with the stub's answer it succeeds. codex reports a status 400 by the message in its body alone
// (since 0.142).
func (g *groupedRound) isServiceAnswerToAgent(r *probe.Result) bool {
	return (r.Class == probe.ExecUnexpectedExit || r.Class == probe.Unknown) && g.contrastOf(r) != nil &&
		g.bestSuccess() != nil
}

// isInstallationAtFault reports whether the run r of the agent fails against a stub, too. It is false if either of the
// two got an answer: then the installation works, and this version of the agent wants something else from the stub. It
// is also false if the stub run could not be made.
func (g *groupedRound) isInstallationAtFault(r *probe.Result) bool {
	stub := g.stubOf(r)
	return r.Kind == probe.KindExec && outcome.NeedsStub(*r) && !isAnswerToAgent(r) &&
		stub != nil && !stub.OK() && !outcome.IsUntried(stub) && !isAnswerToAgent(stub) &&
		stub.Class != probe.ExecStreamCut && stub.Class != probe.ExecUnexpectedOutput
}
