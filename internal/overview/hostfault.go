package overview

import (
	"slices"
	"strings"

	"netwatchd/internal/causes"
	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
)

// hostFaults returns the faults of this host that two or more services suffer from.
func hostFaults(services []Service) []HostFault {
	var all []HostFault
	at := make(map[string]int) // by mark, the fault in all
	for _, s := range services {
		marks := marks(s)
		if len(marks) == 0 {
			continue
		}
		i := len(all)
		for _, mark := range marks {
			if known, ok := at[mark]; ok {
				i = known
				break
			}
		}
		if i == len(all) {
			all = append(all, HostFault{Cause: s.Cause, Title: Title(s.Verdict)})
		}
		all[i].Services = append(all[i].Services, s.Service)
		for _, mark := range marks {
			if _, ok := at[mark]; !ok {
				at[mark] = i
			}
		}
	}
	return slices.DeleteFunc(all, func(f HostFault) bool { return len(f.Services) < 2 })
}

// Same reports whether a and b suffer from one fault of this host.
func Same(a, b Service) bool {
	of := marks(b)
	return slices.ContainsFunc(marks(a), func(mark string) bool { return slices.Contains(of, mark) })
}

// marks returns what tells a fault of this host from another one: two services with a mark in common suffer from the
// same fault. It is empty if the fault is not of this host.
//
// Each service has rounds of its own, so that the decisive results of one fault differ by address and by time. What
// does not differ is the part of the host that failed: a nameserver, a proxy, who issues the certificates.
func marks(s Service) []string {
	if !s.Cause.OfHost() {
		return nil
	}
	all := []string{"title " + Title(s.Verdict)}
	var decisive probe.Result
	if len(s.Evidence) > 0 {
		decisive = s.Evidence[0]
	}
	switch s.Cause {
	case causes.SelfSandboxed, causes.Clock:
		all = append(all, "host")
	case causes.HostOffline:
		if !slices.ContainsFunc(s.results(), isReachedControl) { // else only the service has no route
			all = append(all, "host")
		}
	case causes.Proxy:
		if decisive.Proxy != "" {
			all = append(all, "proxy "+decisive.Proxy)
		}
	case causes.Interception:
		if decisive.TLS != nil && decisive.TLS.Issuer != "" {
			all = append(all, "issuer "+decisive.TLS.Issuer)
		}
		all = append(all, failedParts(s.Evidence)...)
	case causes.LocalPolicy, causes.Resolver:
		all = append(all, failedParts(s.Evidence)...)
	}
	for i, mark := range all {
		all[i] = s.Cause.String() + " " + mark
	}
	return all
}

func (s Service) results() []probe.Result {
	if len(s.Results) > 0 {
		return s.Results
	}
	return s.Evidence
}

func isReachedControl(r probe.Result) bool { return outcome.IsControl(&r) && r.OK() }

// failedParts names the nameservers, controls and checks of this host that failed.
func failedParts(evidence []probe.Result) []string {
	var all []string
	for _, r := range evidence {
		switch {
		case r.OK(), r.Vantage != probe.FromHost:
		case outcome.IsControl(&r):
			all = append(all, "controls")
		case r.Role == probe.OfHost:
			all = append(all, "check "+r.Name)
		case strings.HasPrefix(r.Role.String(), "resolver.") && r.Server != "":
			all = append(all, "nameserver "+r.Server)
		}
	}
	return all
}
