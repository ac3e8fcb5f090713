package outcome

import (
	"net/http"
	"strings"

	"netwatchd/internal/probe"
)

// IsAgentNetworkFailure reports whether a run of the agent, or its report about itself, failed in a way that the
// network may explain.
func IsAgentNetworkFailure(r *probe.Result) bool {
	if r.Kind == probe.KindStatus {
		return !r.OK() && !IsInexplicable(r) && r.Class != probe.LocalDenied && !IsOfAccount(r)
	}
	switch r.Class {
	case probe.ExecNetwork, probe.ExecTimedOut, probe.ExecUnexpectedExit, probe.ExecHomeUnwritable, probe.ExecKilled:
		return true
	}
	// a class of the network: the agent's own message names the cause
	return !r.OK() && r.Class.Layer() != "exec" && !IsInexplicable(r) && r.Class != probe.LocalDenied
}

// IsNotStarted reports whether a sandbox probe never made its attempt, because the sandbox could not be set up.
func IsNotStarted(r *probe.Result) bool {
	if r.Kind != probe.KindExec {
		return r.Class.Layer() == "exec"
	}
	return r.Class == probe.ExecNotFound || r.Class == probe.ExecStartFailed || r.Class == probe.ExecConfigInvalid ||
		r.Class == probe.ExecModelRejected
}

// IsAgentRequestFailure reports whether a run of the agent started and got no answer. The installation is probably
// fine: its settings for the network, or the service's treatment of its requests, are not.
func IsAgentRequestFailure(r *probe.Result) bool {
	return IsAgentProbe(r) &&
		(r.Class == probe.ExecNetwork || r.Class == probe.ExecTimedOut || r.Class.Layer() != "exec")
}

// IsAnswerToAgent reports whether a request of the agent ended with an answer of the service or its edge.
func IsAnswerToAgent(r *probe.Result) bool {
	return IsAgentProbe(r) && (r.Class == probe.HTTPEdgeBlocked || r.Class == probe.HTTPUnexpectedStatus)
}

// EscapedSandbox reports whether sandbox probe r reached the network. A refused connection proves nothing: an empty
// namespace refuses too. Nor does an answer of the sandbox's own proxy, unless a certificate proves that it forwarded
// the request.
func EscapedSandbox(r *probe.Result) bool {
	layer := r.Class.Layer()
	switch {
	case r.OK():
		return true
	case r.Kind == probe.KindExec:
		return r.Class == probe.ExecUsageLimit || r.Class == probe.ExecRateLimited || r.Class == probe.ExecOverloaded
	case r.Kind == probe.KindDNS:
		return IsNameserverAnswer(r) // a negative answer came from a nameserver too
	case r.Proxy != "":
		return layer == "http" && IsAnswered(r) && strings.HasPrefix(r.Target, "https://")
	}
	return r.Phase >= probe.Handshake && (layer == "tls" || layer == "http" || layer == "stream")
}

// IsSignInRequest reports whether the network, or a proxy that is not configured here, answered r with a request for
// a sign-in. No server sends these statuses about itself (RFC 6585, 6; RFC 9110, 15.5.8), and a configured proxy has
// classes of its own.
func IsSignInRequest(r *probe.Result) bool {
	return IsNetworkProbe(r) && r.Class == probe.HTTPUnexpectedStatus &&
		(r.Status == http.StatusNetworkAuthenticationRequired || r.Status == http.StatusProxyAuthRequired)
}

// IsRouting reports whether r failed at the request that tells the agent where to send its turns: every turn fails.
func IsRouting(r *probe.Result) bool { return r.Warned(probe.WarnRouting) }
