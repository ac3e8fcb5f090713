package plan

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"netwatchd/internal/config"
	"netwatchd/internal/host"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/connect"
	"netwatchd/internal/probe/dnsprobe"
	"netwatchd/internal/probe/httpprobe"
	"netwatchd/internal/redact"
	"netwatchd/internal/resolvconf"
	"netwatchd/internal/watch"
)

// environment returns the probes that every round has, for any service: of this host, each of its nameservers, the
// controls. resolv.conf is read once per call: not earlier, because a VPN rewrites it, and not twice, because the
// versions could differ.
func environment(c *config.Config) func() watch.Environment {
	canary := newCanary()
	return func() watch.Environment {
		resolv := resolvconf.Read(c.Resolvers.Files...)
		servers := distinct(resolv.Nameservers)
		all := host.Probes(resolv)
		all = append(all, askEach(c, servers, controlName(c), probe.ResolverAsksControl, probe.FromHost)...)
		all = append(all, askEach(c, c.Resolvers.Direct, controlName(c), probe.ResolverAsksControl, probe.Direct)...)
		all = append(all, askEach(c, servers, canary.name(), probe.ResolverAsksCanary, probe.FromHost)...)
		for _, control := range c.Controls {
			all = append(all, controls(c, control)...)
		}
		return watch.Environment{Probes: all, Nameservers: servers}
	}
}

// configured returns the nameservers of the resolv.conf files, each once. A file that cannot be read has none; a host
// check reports it.
func configured(c *config.Config) []netip.AddrPort {
	return distinct(resolvconf.Read(c.Resolvers.Files...).Nameservers)
}

func distinct(servers []netip.AddrPort) []netip.AddrPort {
	servers = slices.SortedFunc(slices.Values(servers), netip.AddrPort.Compare)
	return slices.Compact(servers)
}

// controlName is a name that exists as long as the internet does.
func controlName(c *config.Config) string {
	for _, control := range c.Controls {
		if _, err := netip.ParseAddr(control.URL.Hostname()); err != nil {
			return control.URL.Hostname()
		}
	}
	return ""
}

// askEach asks every server by itself for name.
func askEach(c *config.Config, servers []netip.AddrPort, name string, role probe.Role, from probe.Vantage) []*probe.Probe {
	if name == "" {
		return nil
	}
	all := make([]*probe.Probe, len(servers))
	for i, server := range servers {
		all[i] = &probe.Probe{
			Spec: probe.Spec{
				Service: "resolvers", Name: serverName(server) + "/" + strings.TrimPrefix(role.String(), "resolver."),
				Kind: probe.KindDNS, Target: name, Vantage: from, Role: role, Timeout: c.Defaults.Timeout,
			},
			Prober: &dnsprobe.Lookup{
				Name: name, Types: []string{"A"}, Nameservers: []netip.AddrPort{server},
				Expect: dnsprobe.Expect{NXDomain: role == probe.ResolverAsksCanary},
			},
		}
	}
	return all
}

// serverName is a nameserver as people write it: its usual port goes without saying.
func serverName(server netip.AddrPort) string {
	if server.Port() == 53 {
		return server.Addr().String()
	}
	return server.String()
}

func controls(c *config.Config, control config.Control) []*probe.Probe {
	byName := probe.ControlByName
	if _, err := netip.ParseAddr(control.URL.Hostname()); err == nil {
		byName = probe.ControlByAddress
	}
	all := []*probe.Probe{controlProbe(c, control, control.Name, byName, netip.Addr{})}
	for _, address := range control.Addresses {
		all = append(all, controlProbe(c, control, control.Name+"@"+address.String(), probe.ControlByAddress, address))
	}
	return all
}

func controlProbe(c *config.Config, control config.Control, name string, role probe.Role, address netip.Addr) *probe.Probe {
	return &probe.Probe{
		Spec: probe.Spec{
			Service: "controls", Name: name, Kind: probe.KindHTTP, Target: redact.String(control.URL.String()),
			Role: role, Timeout: c.Defaults.Timeout,
		},
		Prober: &httpprobe.Request{
			URL: control.URL, Status: control.Expect.Status, Headers: tokens(control.Expect.Headers), Body: control.Expect.Body,
			Options: connect.Options{Address: address},
		},
	}
}

// canaryAge is how long a random name is kept: asked anew in every round it would be a new, uncacheable question to
// the .com servers each time; kept, the resolver's own cache answers it.
const canaryAge = 10 * time.Minute

// A canary is a name that must not exist: where it does, NXDOMAIN is being rewritten.
type canary struct {
	mu   sync.Mutex
	made time.Time
	last string
}

func newCanary() *canary { return new(canary) }

func (c *canary) name() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == "" || time.Since(c.made) > canaryAge {
		c.made, c.last = time.Now(), fmt.Sprintf("netwatchd-%s.com", strings.ToLower(rand.Text()[:16]))
	}
	return c.last
}

// around is what is asked about a service's names in its rounds.
type around struct {
	config  *config.Config
	service string
	names   []string
	servers []netip.AddrPort // the service's own; empty: those of resolv.conf
}

func aroundService(c *config.Config, s config.Service) around {
	a := around{config: c, service: s.Name}
	for _, p := range s.Probes {
		if name := hostOf(p); name != "" && p.Kind != probe.KindExec && !slices.Contains(a.names, name) {
			a.names = append(a.names, name)
		}
		for _, server := range p.Nameservers {
			if !slices.Contains(a.servers, server) {
				a.servers = append(a.servers, server)
			}
		}
	}
	a.names = a.names[:min(len(a.names), 1)] // the ladder's first name stands for the service
	return a
}

// probes query the service's own nameservers, or those of resolv.conf if it has none.
func (a around) probes(resolvConf []netip.AddrPort) []*probe.Probe {
	var all []*probe.Probe
	servers := a.servers
	if len(servers) == 0 {
		servers = resolvConf
	} else {
		all = askEach(a.config, servers, controlName(a.config), probe.ResolverAsksControl, probe.FromHost)
	}
	for _, name := range a.names {
		all = append(all, askEach(a.config, servers, name, probe.ResolverAsksService, probe.FromHost)...)
		all = append(all, askEach(a.config, a.config.Resolvers.Direct, name, probe.ResolverAsksService, probe.Direct)...)
	}
	for _, p := range all {
		if p.Role == probe.ResolverAsksService {
			p.Name = strings.TrimSuffix(p.Name, "service") + a.service
		}
	}
	return all
}
