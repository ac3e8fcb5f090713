package plan

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"netwatchd/internal/clientrules"
	"netwatchd/internal/config"
	"netwatchd/internal/host"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/connect"
	"netwatchd/internal/probe/dnsprobe"
	"netwatchd/internal/redact"
	"netwatchd/internal/resolvconf"
	"netwatchd/internal/watch"
)

// environment returns the probes of every round, whatever the service: this host, each of its nameservers, the
// controls. Each call reads resolv.conf once: not earlier, because a VPN rewrites it, and not twice, because the file
// could change in between.
func environment(c *config.Config, controls []config.Control) func() watch.Environment {
	canary := newCanary()
	return func() watch.Environment {
		resolv := resolvconf.Read(c.Resolvers.Files...)
		servers := distinct(resolv.Nameservers)
		all := host.Probes(resolv)
		all = append(all, queryEach(c, servers, controlName(c), probe.ResolverAsksControl, probe.FromHost)...)
		all = append(all, queryEach(c, c.Resolvers.Direct, controlName(c), probe.ResolverAsksControl, probe.Direct)...)
		all = append(all, queryEach(c, servers, canary.name(), probe.ResolverAsksCanary, probe.FromHost)...)
		for _, control := range controls {
			all = append(all, controlProbes(c, control)...)
		}
		all = append(all, witnesses(c)...)
		return watch.Environment{Probes: all, Nameservers: servers}
	}
}

// configuredNameservers returns the nameservers of the resolv.conf files, each once. An unreadable file counts as
// empty: a host check reports it.
func configuredNameservers(c *config.Config) []netip.AddrPort {
	return distinct(resolvconf.Read(c.Resolvers.Files...).Nameservers)
}

func distinct(servers []netip.AddrPort) []netip.AddrPort {
	servers = slices.SortedFunc(slices.Values(servers), netip.AddrPort.Compare)
	return slices.Compact(servers)
}

// controlName returns the name of the first control that is not an address; it is empty if all are addresses.
func controlName(c *config.Config) string {
	for _, control := range c.Controls {
		if _, err := netip.ParseAddr(control.URL.Hostname()); err != nil {
			return control.URL.Hostname()
		}
	}
	return ""
}

// queryEach returns a probe for each server that queries only that server for name.
func queryEach(
	c *config.Config,
	servers []netip.AddrPort,
	name string,
	role probe.Role,
	from probe.Vantage,
) []*probe.Probe {
	if name == "" {
		return nil
	}
	all := make([]*probe.Probe, len(servers))
	for i, server := range servers {
		lookup := dnsprobe.Lookup{
			Name: name, Types: []string{"A"}, Nameservers: []netip.AddrPort{server},
			Expect: dnsprobe.Expect{NXDomain: role == probe.ResolverAsksCanary},
		}
		all[i] = &probe.Probe{
			Spec: probe.Spec{
				Service: "resolvers", Name: serverName(server) + "/" + strings.TrimPrefix(role.String(), "resolver."),
				Kind: probe.KindDNS, Target: name, Vantage: from, Role: role, Timeout: c.Defaults.Timeout,
			},
			Prober: &lookup,
		}
		if from == probe.Direct && role == probe.ResolverAsksService {
			all[i].Prober = &dnsprobe.PublicLookup{Lookup: lookup}
		}
	}
	return all
}

// serverName returns the address of a nameserver, without the port if it is 53.
func serverName(server netip.AddrPort) string {
	if server.Port() == 53 {
		return server.Addr().String()
	}
	return server.String()
}

func controlProbes(c *config.Config, control config.Control) []*probe.Probe {
	byName := probe.ControlByName
	if _, err := netip.ParseAddr(control.URL.Hostname()); err == nil {
		byName = probe.ControlByAddress
	}
	all := []*probe.Probe{controlProbe(c, control, control.Name, byName, connect.Options{})}
	for _, address := range control.Addresses {
		all = append(all, controlProbe(c, control, control.Name+"@"+address.String(), probe.ControlByAddress,
			connect.Options{Address: address}))
	}
	return all
}

func controlProbe(
	c *config.Config,
	control config.Control,
	name string,
	role probe.Role,
	options connect.Options,
) *probe.Probe {
	options.NoteRoute = true
	return &probe.Probe{
		Spec: probe.Spec{
			Service: "controls", Name: name, Kind: probe.KindHTTP, Target: redact.String(control.URL.String()),
			Role: role, Timeout: c.Defaults.Timeout,
		},
		Prober: expecting(control.URL, control.Expect, options),
	}
}

// canaryAge is how long a random name is reused. A new name in every round would cause a query to the .com servers
// each time; a reused name is answered from the resolver's cache.
const canaryAge = 10 * time.Minute

// A canary is a random name that does not exist. A resolver that returns an address for it rewrites NXDOMAIN.
type canary struct {
	mu      sync.Mutex
	created time.Time
	current string
}

func newCanary() *canary { return new(canary) }

func (c *canary) name() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == "" || time.Since(c.created) > canaryAge {
		c.created, c.current = time.Now(), fmt.Sprintf("netwatchd-%s.com", strings.ToLower(rand.Text()[:16]))
	}
	return c.current
}

// nameserverProbes builds the probes that query nameservers for a service's name in its rounds.
type nameserverProbes struct {
	config  *config.Config
	service string
	names   []string         // at most one
	servers []netip.AddrPort // configured for the service's probes; empty: those of resolv.conf
	probes  []config.Probe
	lookups *dnsprobe.Client // of the service's client; nil: as the service's own probes
	canary  *canary          // of a service with resolvers of its own; nil: it has none
}

func newNameserverProbes(c *config.Config, s config.Service, lookups *dnsprobe.Client) nameserverProbes {
	n := nameserverProbes{config: c, service: s.Name, probes: s.Probes, lookups: lookups}
	if s.Resolvers != nil {
		n.canary = newCanary()
	}
	for _, p := range s.Probes {
		if name := hostOf(p); name != "" && p.Kind != probe.KindExec && !slices.Contains(n.names, name) {
			n.names = append(n.names, name)
		}
		n.servers = append(n.servers, p.Nameservers...)
	}
	n.servers = distinct(n.servers)
	n.names = n.names[:min(len(n.names), 1)] // the first name stands for the service
	return n
}

// fewNameservers is how many nameservers a service may have so that each round queries all of them: as many probes as a
// round has.
const fewNameservers = 16

// serversOf returns the service's own nameservers. If it has many, those of the probes in the round: the answers of the
// others explain none of its failures, and querying ten thousand in each round is more than all the probes do.
func (n nameserverProbes) serversOf(round []*probe.Probe) []netip.AddrPort {
	if len(n.servers) <= fewNameservers {
		return n.servers
	}
	inRound := make(map[string]bool, len(round))
	for _, p := range round {
		inRound[p.Name] = true
	}
	var servers []netip.AddrPort
	for i := range n.probes {
		if p := &n.probes[i]; inRound[p.Name] {
			servers = append(servers, p.Nameservers...)
		}
	}
	return distinct(servers)
}

// inRound returns the probes that query the service's own nameservers, or those of resolv.conf if it has none.
func (n nameserverProbes) inRound(resolvConf []netip.AddrPort, round []*probe.Probe) []*probe.Probe {
	var all []*probe.Probe
	servers := n.serversOf(round)
	switch {
	case n.canary != nil:
		if len(n.servers) == 0 {
			servers = configuredNameservers(n.config)
		}
		all = ownNameservers(n.config, n.service, servers, n.canary.name())
	case len(n.servers) == 0:
		servers = resolvConf
	default:
		all = queryEach(n.config, servers, controlName(n.config), probe.ResolverAsksControl, probe.FromHost)
	}
	for _, name := range n.names {
		own := queryEach(n.config, servers, name, probe.ResolverAsksService, probe.FromHost)
		if n.lookups != nil && len(n.servers) == 0 {
			all = append(all, n.clientLookup(name, servers))
			for _, p := range own {
				resolvingAs(n.lookups, p)
			}
		}
		all = append(all, own...)
		all = append(all, queryEach(n.config, n.config.Resolvers.Direct, name, probe.ResolverAsksService, probe.Direct)...)
	}
	for _, p := range all {
		if p.Role == probe.ResolverAsksService {
			p.Name = strings.TrimSuffix(p.Name, "service") + n.service
		}
	}
	return all
}

// clientLookup returns the lookup of name by the rules of the service's client. It comes before the lookups that share
// its answers.
func (n nameserverProbes) clientLookup(name string, servers []netip.AddrPort) *probe.Probe {
	return &probe.Probe{
		Spec: probe.Spec{
			Service: "resolvers", Name: clientrules.Musl.String() + "/" + n.service, Kind: probe.KindDNS, Target: name,
			Role: probe.ResolvedAsClient, Timeout: n.config.Defaults.Timeout,
		},
		Prober: n.lookups.ForRound(name, servers),
	}
}
