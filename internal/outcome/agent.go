package outcome

import (
	"slices"

	"netwatchd/internal/probe"
)

// NeedsStub reports whether a run of the agent against a stub of its service tells more about how r, a run against
// the service, ended: the installation, the network or the service may explain it. Where the agent has named the
// reason (the account, its configuration, an overloaded service), a stub would show nothing new.
func NeedsStub(r probe.Result) bool {
	return slices.Contains([]probe.Class{probe.Unknown, probe.ExecTimedOut, probe.ExecUnexpectedExit, probe.ExecNetwork,
		probe.HTTPEdgeBlocked, probe.HTTPUnexpectedStatus}, r.Class)
}

// IsInstallationFault reports whether c is a fault of the installation, whatever the network does.
func IsInstallationFault(c probe.Class) bool {
	switch c {
	case probe.ExecNotFound, probe.ExecStartFailed, probe.ExecConfigInvalid, probe.ExecHomeUnwritable,
		probe.ExecModelRejected, probe.ExecKilled:
		return true
	}
	return false
}

// OfAgent returns how r ended, a run of the agent or another thing done with it, as a whole clause.
func OfAgent(r *probe.Result) string {
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
		return "the agent's configuration names a model that the service rejects"
	case probe.ExecKilled:
		return "the agent's run was killed"
	case probe.ExecTimedOut:
		if r.Kind == probe.KindStatus {
			return "the agent does not answer when it is asked about itself"
		}
		return "the agent's run timed out, although the service answers"
	case probe.ExecUnexpectedExit:
		return "the agent's run fails, although the service answers"
	}
	if r.Kind == probe.KindStatus {
		return "the agent reports that it cannot reach the service, but this host can"
	}
	return "the agent cannot reach the service, but this host can"
}

// OfAccount returns why the service refused the agent's account in r, as a whole clause.
func OfAccount(r *probe.Result) string {
	switch r.Class {
	case probe.ExecNotLoggedIn:
		return "the agent is signed out"
	case probe.ExecUsageLimit:
		return "the account's usage limit is reached"
	case probe.ExecRateLimited:
		return "the account's rate limit is reached"
	}
	return "the account's token is rejected"
}
