package plan

import (
	"cmp"
	"net/netip"
	"net/url"
	"os"
	"time"

	"netwatchd/internal/agent"
	"netwatchd/internal/agent/codex"
	"netwatchd/internal/config"
	"netwatchd/internal/presets"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/connect"
	"netwatchd/internal/probe/dnsprobe"
	"netwatchd/internal/probe/execprobe"
	"netwatchd/internal/probe/httpprobe"
)

// Prober returns the prober of p. A stream is kept open for hold.
func Prober(c *config.Config, p config.Probe, hold time.Duration) probe.Prober {
	switch p.Kind {
	case probe.KindDNS:
		return dnsprobe.Lookup{
			Name: p.Target, Types: p.Types, Nameservers: nameservers(c, p),
			Expect: dnsprobe.Expect{Answers: p.Expect.Answers},
		}.Prepared()
	case probe.KindStream:
		return &httpprobe.Stream{
			URL: p.URL, Status: p.Expect.Status, AnyStatus: p.Expect.Any,
			Hold: hold, Timeout: p.Timeout - p.Hold, Options: connectOptions(c, p),
		}
	case probe.KindExec:
		return execProber(c, p)
	default:
		return request(c, p)
	}
}

func request(c *config.Config, p config.Probe) *httpprobe.Request {
	r := expecting(p.URL, p.Expect, connectOptions(c, p))
	r.Method = p.Method
	return r
}

// expecting returns a request of u whose answer must be e, of a probe or of a control.
func expecting(u *url.URL, e config.Expect, o connect.Options) *httpprobe.Request {
	return &httpprobe.Request{
		URL: u, Status: e.Status, AnyStatus: e.Any, Headers: tokens(e.Headers), Body: e.Body,
		BodyLimit: cmp.Or(e.BodyLimit, config.DefaultBodyLimit), Options: o,
	}
}

func connectOptions(c *config.Config, p config.Probe) connect.Options {
	return connect.Options{
		CAFile: p.TLS.CAFile, ExtraCA: p.TLS.Extra, Issuer: p.TLS.Issuer, ServerName: p.TLS.Name,
		CertFile: p.TLS.Cert, KeyFile: p.TLS.Key,
		Family: string(p.Family), Proxy: p.Proxy, Nameservers: nameservers(c, p),
	}
}

// nameservers returns the nameservers to query instead of using the system resolver; none means the system resolver.
func nameservers(c *config.Config, p config.Probe) []netip.AddrPort {
	if len(p.Nameservers) == 0 && !c.Resolvers.System {
		return configuredNameservers(c)
	}
	return p.Nameservers
}

func tokens(headers []config.Header) []httpprobe.HeaderToken {
	all := make([]httpprobe.HeaderToken, len(headers))
	for i, h := range headers {
		all[i] = httpprobe.HeaderToken{Name: h.Name, Value: h.Value}
	}
	return all
}

func execProber(c *config.Config, p config.Probe) probe.Prober {
	if a := presets.Named(p.Preset); a != nil {
		return a.Run(settings(c, p), nil)
	}
	return commandRun(p.Command, p.Expect.Output)
}

// commandRun returns the prober of a command from the configuration. It gets the variables of codex, so that a script
// that runs codex finds its files and its key.
func commandRun(command []string, expect string) probe.Prober {
	return &execprobe.Run{Command: command, Expect: expect, Env: presets.Named("codex").Variables.Of(os.Environ())}
}

// stubProbe returns the probe that makes the run p against a stub of its service; nil: there is none.
func stubProbe(c *config.Config, s config.Service, p config.Probe) *probe.Probe {
	a := presets.Named(p.Preset)
	if a == nil || a.Stub == nil {
		return nil
	}
	return &probe.Probe{
		Spec: probe.Spec{
			Service: s.Name, Name: probe.StubName(p.Name), Kind: probe.KindExec, Target: stubTarget, Role: probe.AgentStub,
			Timeout: min(a.StubTimeout, p.Timeout),
		},
		Prober: a.Stub(settings(c, p)),
	}
}

// stubTarget is the target of runs against a stub, for people.
const stubTarget = "a stub of the service on 127.0.0.1"

// builtinProbe returns the probe that makes the run p with the agent's own provider, if p has another one; else nil.
// With a configured base URL there is none: the agent's own provider goes also to where the user's agent goes.
func builtinProbe(c *config.Config, s config.Service, p config.Probe) *probe.Probe {
	if presets.Named(p.Preset) == nil || p.Codex.Provider == codex.BuiltinProvider || p.Codex.BuiltinInterval == 0 ||
		p.Codex.BaseURL != "" {
		return nil
	}
	p.Name, p.Codex.Provider = probe.BuiltinName(p.Name), codex.BuiltinProvider
	return newProbe(c, s, p, 0)
}

// settings returns how p runs its agent.
func settings(c *config.Config, p config.Probe) agent.Settings {
	return agent.Settings{
		Path: p.Codex.Path, Home: p.Codex.Home, StateDir: c.Storage.Path,
		Model: p.Codex.Model, Provider: p.Codex.Provider, BaseURL: p.Codex.BaseURL,
		Prompt: p.Prompt, Expect: p.Expect.Output,
	}
}
