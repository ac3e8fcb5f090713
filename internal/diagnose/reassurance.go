package diagnose

import (
	"fmt"
	"netwatchd/internal/probe"
	"slices"
	"strings"
	"time"
)

// Headline says it in one line: the title, and what is not the matter.
func (v Verdict) Headline() string {
	if rest := v.reassurance(); rest != "" {
		return v.Title + ". " + rest
	}
	return v.Title + "."
}

func (v Verdict) reassurance() string {
	switch {
	case v.Cause >= Account && v.Cause <= SandboxOpen, v.Cause >= ResolverDegraded && v.Cause <= Healthy:
		if v.shows(probe.OfService) {
			return "Your network and the API are fine."
		}
	case v.Cause >= EdgeBlocked && v.Cause <= Stream:
		if v.shows(probe.ControlByName) || v.shows(probe.ControlByAddress) {
			return "Your network is fine."
		}
	case v.Cause >= LocalPolicy && v.Cause <= Clock:
		return "Nothing here speaks against the service."
	}
	return ""
}

// shows reports whether the evidence holds a request of that role from the host that went well.
func (v Verdict) shows(role probe.Role) bool {
	return slices.ContainsFunc(v.Evidence, func(r probe.Result) bool {
		return r.OK() && r.Kind == probe.KindHTTP && r.Role == role && r.Vantage == probe.FromHost
	})
}

// Seen says in a few words what was seen from there, for one line per vantage: "405 in 84 ms" or "resolve: local.denied
// (operation not permitted)". It reports false if the evidence holds nothing of the service from there.
func (v Verdict) Seen(from probe.Vantage) (string, bool) {
	for _, r := range v.Evidence {
		if r.Role == probe.OfService && r.Vantage == from {
			return summary(r), true
		}
	}
	return "", false
}

func summary(r probe.Result) string {
	took := r.Elapsed.Duration().Round(time.Millisecond)
	switch {
	case !r.OK() && r.Why != "":
		return phasePrefix(r) + r.Class.String() + " (" + r.Why + ")"
	case !r.OK():
		return phasePrefix(r) + r.Class.String()
	case r.Status != 0:
		return fmt.Sprintf("%d in %v", r.Status, took)
	case len(r.Answers) > 0:
		return fmt.Sprintf("%s in %v", strings.Join(r.Answers, " "), took)
	}
	return fmt.Sprintf("ok in %v", took)
}

func phasePrefix(r probe.Result) string {
	if r.Phase == probe.NoPhase {
		return ""
	}
	return r.Phase.String() + ": "
}
