package plan

import (
	"fmt"
	"net/url"
	"slices"

	"netwatchd/internal/agent"
	"netwatchd/internal/clientrules"
	"netwatchd/internal/config"
	"netwatchd/internal/linkage"
	"netwatchd/internal/presets"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/connect"
	"netwatchd/internal/probe/dnsprobe"
	"netwatchd/internal/probe/httpprobe"
)

// clientOf returns how the programs that use the service reach it: this version of its agent, or what is configured.
func clientOf(s config.Service, a *agent.Agent, version agent.Version) clientrules.Client {
	if s.Client != config.AutoClient {
		return configuredClient(s.Client)
	}
	client := clientrules.Curl()
	if a != nil {
		client = a.Client(version)
	}
	if s.Resolver != "" {
		client.Resolver.UnmarshalText([]byte(s.Resolver)) // findClient has made it
	}
	return client
}

// configuredClient returns the client that a value of the key client stands for.
func configuredClient(value string) clientrules.Client {
	client := clientrules.Curl()
	switch value {
	case "bun":
		client = clientrules.OpenCode()
		client.Name = "a program made with Bun"
	case "node":
		client = clientrules.Node()
	case "go":
		client = clientrules.Client{Name: "a program linked with go", Resolver: clientrules.Go}
	default:
		client.Name = "a program linked with " + value
		client.Resolver.UnmarshalText([]byte(value)) // config has checked it
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

// reachAs makes a probe of the service reach it as its programs do.
func reachAs(p probe.Prober, reach config.Reach) {
	var options *connect.Options
	switch p := p.(type) {
	case *httpprobe.Request:
		options = &p.Options
	case *httpprobe.Stream:
		options = &p.Options
	default:
		return
	}
	options.Rules, options.Env, options.EnvFile = reach.Client, reach.Env, reach.EnvFile
}

// witnesses returns a control through each proxy that a service's requests use and no TLS control does: a request
// that fails behind a proxy shows nothing about the service unless that proxy forwards another one.
func witnesses(c *config.Config) []*probe.Probe {
	var secure *config.Control
	witnessed := map[string]bool{"": true} // by proxy
	for i := range c.Controls {
		if u := c.Controls[i].URL; u.Scheme == "https" {
			if secure == nil {
				secure = &c.Controls[i]
			}
			witnessed[proxyOf(connect.Options{}, u)] = true
		}
	}
	if secure == nil {
		return nil
	}
	var all []*probe.Probe
	for _, s := range c.Services {
		for _, p := range s.Probes {
			if p.Kind != probe.KindHTTP || len(s.Probes) > fullRoundProbes {
				continue
			}
			options := connectOptions(c, p)
			options.Rules, options.Env = s.Reach.Client, s.Reach.Env
			via := proxyOf(options, p.URL)
			if witnessed[via] {
				continue
			}
			witnessed[via] = true
			witness := controlProbe(c, *secure, secure.Name+"/"+s.Name, probe.ControlByName, connect.Options{Proxy: via})
			all = append(all, witness)
		}
	}
	return all
}

// proxyOf returns the URL of the proxy that a request to u uses; empty: none.
func proxyOf(o connect.Options, u *url.URL) string {
	via, err := o.ProxyFor(u)
	if err != nil || via == nil {
		return ""
	}
	return via.String()
}

// agentOf returns the agent that uses the service: the service runs it, has its name, or requests its endpoint. It is
// nil if there is none.
func agentOf(s config.Service) *agent.Agent {
	if run, ok := agentProbe(s); ok {
		return presets.Named(run.Preset)
	}
	if a := presets.Named(s.Name); a != nil {
		return a
	}
	for _, p := range s.Probes {
		if p.URL == nil {
			continue
		}
		if a := presets.AtEndpoint(p.URL); a != nil {
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

// A Remark is what is odd about the settings that lead requests to a service, in the words of the probes' notes.
type Remark struct {
	Text  string
	Fatal bool // every request fails because of it
}

// Remarks returns what is odd about the settings by which the programs of this user reach the services now, each
// once. It makes no request.
func (p *Plan) Remarks() []Remark {
	var all []Remark
	add := func(text string, fatal bool) {
		i := slices.IndexFunc(all, func(r Remark) bool { return r.Text == text })
		if i < 0 {
			all = append(all, Remark{text, fatal})
		} else {
			all[i].Fatal = all[i].Fatal || fatal
		}
	}
	for _, s := range p.config.Services {
		for _, one := range s.Probes {
			if one.Kind != probe.KindHTTP && one.Kind != probe.KindStream {
				continue
			}
			options := connectOptions(p.config, one)
			options.Rules, options.Env, options.EnvFile = s.Reach.Client, s.Reach.Env, s.Reach.EnvFile
			notes, err := options.Remarks(one.URL)
			for _, note := range notes {
				add(note, false)
			}
			if err != nil && len(notes) == 0 {
				add(err.Error(), true)
			} else if err != nil {
				add(notes[len(notes)-1], true)
			}
		}
	}
	return all
}
