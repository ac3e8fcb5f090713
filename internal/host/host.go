// Package host looks at this host itself and sends nothing.
//
// It is the lowest rung of the ladder: am I sandboxed, is there a link, a route, a nameserver? Each look is a
// [probe.Prober], so that its finding is a [probe.Result] like any other.
package host

import (
	"strings"
	"time"

	"netwatchd/internal/probe"
)

// Service is the service under which the looks at this host are filed.
const Service = "host"

// timeout bounds a look. The kernel answers in microseconds, a host with thousands of interfaces in tens of milliseconds;
// one that needs a whole second has troubles of its own.
const timeout = time.Second

// Probes returns a look of each kind; files are the resolv.conf(5) files whose nameservers are used, if any.
func Probes(files ...string) []*probe.Probe {
	probes := []*probe.Probe{
		look(probe.LookSandbox, "this process", Sandbox{}),
		look(probe.LookLink, "interfaces", Link{}),
		look(probe.LookRoute, "routing table", Route{}),
	}
	if len(files) > 0 {
		probes = append(probes, look(probe.LookResolvConf, strings.Join(files, " "), ResolvConf{Files: files}))
	}
	return probes
}

func look(name, target string, p probe.Prober) *probe.Probe {
	return &probe.Probe{
		Spec: probe.Spec{Service: Service, Name: name, Kind: probe.KindHost, Target: target, Vantage: probe.FromHost,
			Role: probe.OfHost, Timeout: timeout},
		Prober: p,
	}
}
