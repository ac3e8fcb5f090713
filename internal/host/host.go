// Package host checks this host itself and sends nothing.
//
// Its checks are the lowest rung of the ladder: is this process in a sandbox, is there a link, a route, a nameserver?
// Each host check is a [probe.Prober], so its outcome is a [probe.Result] like any other.
package host

import (
	"strings"
	"time"

	"netwatchd/internal/probe"
	"netwatchd/internal/resolvconf"
)

// service is the service name in the results of host checks.
const service = "host"

// timeout limits a host check. The kernel answers in microseconds, and with thousands of interfaces in tens of
// milliseconds. A host that needs a whole second has other problems.
const timeout = time.Second

// Probes returns all host checks. resolv is what was read of the resolv.conf(5) files in use; without files,
// resolv.conf is not checked.
func Probes(resolv resolvconf.Snapshot) []*probe.Probe {
	probes := []*probe.Probe{
		check(probe.CheckSandbox, "this process", Sandbox{}),
		check(probe.CheckLink, "interfaces", Link{}),
		check(probe.CheckRoute, "routing table", Route{}),
	}
	if len(resolv.Files) > 0 {
		probes = append(probes, check(probe.CheckResolvConf, strings.Join(resolv.Files, " "), ResolvConf{resolv}))
	}
	return probes
}

func check(name, target string, p probe.Prober) *probe.Probe {
	return &probe.Probe{
		Spec: probe.Spec{Service: service, Name: name, Kind: probe.KindHost, Target: target, Vantage: probe.FromHost,
			Role: probe.OfHost, Timeout: timeout},
		Prober: p,
	}
}
