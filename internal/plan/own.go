package plan

import (
	"net/netip"
	"slices"
	"strings"

	"netwatchd/internal/config"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
)

// ownOf returns the configuration as it is for s: with the controls and nameservers that s has of its own.
func ownOf(c *config.Config, s config.Service) *config.Config {
	if len(s.Controls) == 0 && s.Resolvers == nil {
		return c
	}
	own := *c
	if len(s.Controls) > 0 {
		own.Controls = s.Controls
	}
	if s.Resolvers != nil {
		own.Resolvers = *s.Resolvers
	}
	return &own
}

// profile is what people should know of s.
func profile(s config.Service) diagnose.Profile {
	p := diagnose.Profile{Owner: s.Owner.String(), Runbook: s.Runbook, StatusPage: s.StatusPage}
	for _, c := range s.Probes {
		if isNotRun(c) {
			continue
		}
		if !slices.Contains(p.Kinds, c.Kind) {
			p.Kinds = append(p.Kinds, c.Kind)
		}
		if c.Kind == probe.KindExec && c.Status.Enabled {
			p.Kinds = append(p.Kinds, probe.KindStatus)
		}
	}
	slices.Sort(p.Kinds)
	p.Kinds = slices.Compact(p.Kinds)
	return p
}

// allControls returns the controls that any service counts, each once: in an isolated network whose services have
// controls of their own, the others would only fail.
func allControls(c *config.Config) []config.Control {
	var all []config.Control
	seen, common := make(map[[2]string]bool), false
	for _, s := range c.Services {
		if len(s.Controls) == 0 && common {
			continue // there may be ten thousand services
		}
		common = common || len(s.Controls) == 0
		for _, control := range ownOf(c, s).Controls {
			if key := [2]string{control.Name, control.URL.String()}; !seen[key] {
				seen[key], all = true, append(all, control)
			}
		}
	}
	return all
}

// leaves returns which results of the environment say nothing about s; nil if all count. All are the controls of every
// service.
func leaves(c *config.Config, s config.Service, all []config.Control) func(probe.Result) bool {
	counted := ownOf(c, s).Controls
	if s.Resolvers == nil && len(counted) == len(all) {
		return nil
	}
	return func(r probe.Result) bool {
		switch r.Role {
		case probe.ControlByName, probe.ControlByAddress:
			return !slices.ContainsFunc(counted, func(control config.Control) bool { return isOf(control, r) })
		case probe.ResolverAsksControl, probe.ResolverAsksCanary:
			return s.Resolvers != nil // it queries its own: see nameserverProbes
		}
		return false
	}
}

// isOf reports whether r is a result of control: by its name, at one of its addresses, or through a service's proxy.
func isOf(control config.Control, r probe.Result) bool {
	name, _, _ := strings.Cut(r.Name, "@")
	name, _, _ = strings.Cut(name, "/")
	host, _, _ := strings.Cut(r.Target, "?")
	target, _, _ := strings.Cut(control.URL.String(), "?") // a query may be redacted
	return name == control.Name && host == target
}

// ownNameservers returns the probes that query the nameservers s has of its own for a control's name and for a name
// that does not exist, in place of those of the environment.
func ownNameservers(c *config.Config, service string, servers []netip.AddrPort, canary string) []*probe.Probe {
	all := queryEach(c, servers, controlName(c), probe.ResolverAsksControl, probe.FromHost)
	all = append(all, queryEach(c, c.Resolvers.Direct, controlName(c), probe.ResolverAsksControl, probe.Direct)...)
	all = append(all, queryEach(c, servers, canary, probe.ResolverAsksCanary, probe.FromHost)...)
	for _, p := range all {
		p.Name += "/" + service // the environment may query the same nameserver
	}
	return all
}
