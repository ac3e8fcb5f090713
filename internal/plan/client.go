package plan

import (
	"fmt"

	"netwatchd/internal/agent"
	"netwatchd/internal/clientrules"
	"netwatchd/internal/config"
	"netwatchd/internal/linkage"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/dnsprobe"
	"netwatchd/internal/probe/httpprobe"
)

// clientOf returns how the programs that use the service reach it.
func clientOf(s config.Service) clientrules.Client {
	client, resolver := clientrules.Curl(), s.Resolver
	if a := agentOf(s); a != nil {
		client = a.Client(agent.Version{})
	}
	if s.Client != config.AutoClient {
		client, resolver = clientrules.Client{Name: "a program linked with " + s.Client}, s.Client
	}
	if resolver != "" {
		client.Resolver.UnmarshalText([]byte(resolver)) // config has checked it
	}
	return client
}

// findClient records in derived how the agent's installed program looks names up. It returns a line that says why, or
// "" if no program is installed.
func findClient(s config.Service, derived *config.Service) string {
	a := agentOf(s)
	if a == nil || s.Client != config.AutoClient {
		return ""
	}
	run, _ := agentProbe(s)
	path, err := a.Find(run.Codex.Path)
	if err != nil {
		return ""
	}
	resolver, err := linkage.ResolverOf(path, a.Launcher)
	if err != nil {
		return fmt.Sprintf("\nlooking names up with %v, as the released %s does: %s does not tell, because %v",
			a.Client(agent.Version{}).Resolver, a.Name, path, err)
	}
	derived.Resolver = resolver.String()
	return fmt.Sprintf("\nlooking names up with %v, because of how %s is linked", resolver, path)
}

// agentOf returns the agent that uses the service: the service runs it, has its name, or requests its endpoint. It is
// nil if there is none.
func agentOf(s config.Service) *agent.Agent {
	if run, ok := agentProbe(s); ok {
		return agent.Named(run.Preset)
	}
	if a := agent.Named(s.Name); a != nil {
		return a
	}
	for _, p := range s.Probes {
		if p.URL == nil {
			continue
		}
		if a := agent.AtEndpoint(p.URL); a != nil {
			return a
		}
	}
	return nil
}

// clientLookups returns the lookups of a client that does not resolve as netwatchd itself does; otherwise nil. Go and
// glibc differ little: the service's own probes stand for both.
func clientLookups(c *config.Config, client clientrules.Client) *dnsprobe.Client {
	if client.Resolver != clientrules.Musl || !c.Resolvers.System {
		return nil
	}
	return &dnsprobe.Client{Name: client.Name}
}

// resolvingAs lets a probe share the lookups of the client in its round. Requests also use the addresses that only the
// client finds.
func resolvingAs(lookups *dnsprobe.Client, p *probe.Probe) *probe.Probe {
	switch prober := p.Prober.(type) {
	case *dnsprobe.Lookup:
		prober.Client = lookups
	case *httpprobe.Request:
		prober.Options.Client = lookups
	case *httpprobe.Stream:
		prober.Options.Client = lookups
	}
	return p
}
