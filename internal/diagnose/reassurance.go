package diagnose

import (
	"slices"

	"netwatchd/internal/causes"
	"netwatchd/internal/probe"
)

// Reassurance says in one sentence what is not the problem, so that nobody looks for it there. It is empty if the
// evidence does not prove it.
func (v Verdict) Reassurance() string {
	switch owner := v.Cause.Owner(); {
	case v.Cause == causes.Agent && isAgentRequestFailure(&v.Evidence[0]):
		if v.hasSuccess(probe.OfService) {
			return "The service answers other requests from this host."
		}
	case v.Cause == causes.SelfSandboxed, v.Cause == causes.Degraded:
		return ""
	case v.Cause == causes.Healthy || owner == causes.OwnerAgent:
		if v.hasSuccess(probe.OfService) {
			return "Your network and the API are fine."
		}
	case v.Cause.Usable():
		if v.hasSuccess(probe.OfService) {
			return "The service is reachable."
		}
	case owner == causes.OwnerService:
		switch reached := v.hasSuccess(probe.ControlByName) || v.hasSuccess(probe.ControlByAddress); {
		case reached && (v.Cause == causes.Stream || v.Cause == causes.EdgeBlocked):
			return "Other sites answer." // the advice is to try another network, or another IP address
		case reached:
			return "Your network is fine."
		}
	case owner == causes.OwnerHost:
		return "Nothing suggests a fault in the service."
	}
	return ""
}

// hasSuccess reports whether the evidence has a successful request of that role from the host.
func (v Verdict) hasSuccess(role probe.Role) bool {
	return slices.ContainsFunc(v.Evidence, func(r probe.Result) bool {
		same := r.Role == role || role == probe.OfService && r.Role == probe.ServiceAddress
		return r.OK() && r.Kind == probe.KindHTTP && same && r.Vantage == probe.FromHost
	})
}
