package plan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"syscall"

	"netwatchd/internal/agent"
	"netwatchd/internal/config"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/presets"
	"netwatchd/internal/probe"
	"netwatchd/internal/redact"
)

// Derive returns c with what depends on the installed agent and its files, and notes on what is left out or cannot be
// read. If no file lists services, the built-in one is pointed at the endpoint that the agent really uses.
func Derive(c *config.Config) (*config.Config, []string) {
	c = withAgents(c)
	derived, notes := withoutAgent(c)
	if derived == c {
		shallow := *c
		derived = &shallow
		derived.Services = slices.Clone(c.Services)
	}
	for i := range derived.Services {
		s := &derived.Services[i]
		ofEndpoint := followEndpoint(c, c.Services[i], s)
		notes = append(notes, followPolicy(c, s)...) // it depends on where the requests go
		notes = append(notes, ofEndpoint...)
		if why := noRun(*s); why != "" {
			notes = append(notes, s.Name+": "+why)
		}
	}
	return derived, distinctNotes(notes)
}

// followEndpoint sets how and where the service's agent sends its requests. It returns notes on the agent's files.
func followEndpoint(c *config.Config, configured config.Service, s *config.Service) (notes []string) {
	why := findClient(configured, s)
	a := agentOf(configured)
	if a == nil {
		s.Reach = config.Reach{Client: clientOf(*s, nil, agent.Version{})}
		return nil
	}
	run, _ := agentProbe(configured)
	version, e := inspect(c, a, run)
	s.Reach = config.Reach{Client: clientOf(*s, a, version)}
	if s.Client == config.AutoClient {
		s.Reach.Env, s.Reach.EnvFile = e.Reach, e.ReachFile
	}
	if run.Preset == "" || run.Codex.BaseURL != "" { // an address that someone configured wins
		return nil
	}
	s.Derived = describeEndpoint(e) + why
	if c.Assumed {
		*s = pointAt(*s, e)
	}
	return e.Notes
}

// distinctNotes returns the notes, each once: several parts of the plan read the same files of the agent.
func distinctNotes(notes []string) (each []string) {
	for _, note := range notes {
		if !slices.Contains(each, note) {
			each = append(each, note)
		}
	}
	return each
}

// inspect returns the version of the agent that run starts, and its endpoint.
func inspect(c *config.Config, a *agent.Agent, run config.Probe) (agent.Version, agent.Endpoint) {
	version := versionOf(a, run.Codex.Path)
	return version, a.Endpoint(settings(c, run), version)
}

// versionOf returns the version of the executable at path. It is zero if that is unknown, and then taken as the newest.
func versionOf(a *agent.Agent, path string) (version agent.Version) {
	if path, err := a.Find(path); err == nil {
		version, _ = a.Version(context.Background(), path)
	}
	return version
}

// followPolicy sets what is expected of the service's sandbox to what the agent's own configuration asks for. A sandbox
// with another command is not the agent's: it is expected to be closed. It returns notes on the agent's files.
func followPolicy(c *config.Config, s *config.Service) (notes []string) {
	if s.Sandbox == nil || !s.Sandbox.FollowsAgent {
		return nil
	}
	followed := *s.Sandbox
	s.Sandbox, followed.FollowsAgent = &followed, false
	if len(followed.Command) > 0 {
		return nil
	}
	w := wrapperOf(c, *s)
	if w.agent.Policy == nil {
		s.Sandbox = nil
		return []string{"the sandbox of " + w.agent.Name + " is not known: set sandbox.command for " + s.Name}
	}
	policy := w.agent.Policy(versionOf(w.agent, w.path), w.home, w.urls)
	followed.Want, followed.Advice, followed.Grant = wanted(policy), adviceOn(policy), policy.Grant
	followed.OwnProxy = policy.Proxy
	s.Derived = strings.TrimSuffix(describePolicy(policy)+"\n"+s.Derived, "\n")
	if policy.Unprobed {
		s.Sandbox = nil
	}
	return policy.Notes
}

// wanted returns the state of the sandbox that a policy asks for. With the agent's own proxy it is neither: whether the
// proxy lets the service through is up to its rules.
func wanted(p agent.Policy) diagnose.Want {
	switch {
	case p.Proxied:
		return diagnose.WantAny
	case p.Asked:
		return diagnose.WantOpen
	}
	return diagnose.WantClosed
}

// adviceOn returns what to do if the sandbox is closed although its configuration asks for the network.
func adviceOn(p agent.Policy) string {
	switch {
	case p.Advice != "":
		return p.Advice
	case !p.Asked:
		return ""
	case !p.Network:
		return fmt.Sprintf("%s asks for network access without effect: add sandbox_mode = \"workspace-write\" there, or "+
			"start the agent in the project and trust it.", p.File)
	}
	return fmt.Sprintf("%s allows the agent's commands network access, but its sandbox has none. Run the sandbox command "+
		"by hand to see why, or set network_access = false if that is how it should be.", p.File)
}

func describePolicy(p agent.Policy) string {
	words := "no network for the agent's commands"
	switch {
	case p.Words != "":
		return p.Words
	case p.Proxied:
		words = "network for the agent's commands through the agent's own proxy only"
	case p.Network:
		words = "network for the agent's commands"
	case p.Asked:
		words = "network for the agent's commands is asked for, without effect"
	}
	return words + ", because of " + cmp.Or(p.File, "the default")
}

// describeEndpoint returns one line per fact, without secrets.
func describeEndpoint(e agent.Endpoint) string {
	lines := []string{"requests go to an address that is not known, because of " + e.Origin()}
	if e.BaseURL != nil {
		lines[0] = fmt.Sprintf("requests go to %s (%s), because of %s", e.BaseURL, e.Mode, e.Origin())
	}
	switch {
	case e.Proxy == "none":
		lines = append(lines, "without a proxy, because of "+e.ProxySource)
	case e.Proxy != "":
		lines = append(lines, "by the proxy "+redact.String(e.Proxy)+", because of "+e.ProxySource)
	}
	if e.CAFile != "" {
		lines = append(lines, "trusting also "+e.CAFile+", because of CODEX_CA_CERTIFICATE")
	}
	return strings.Join(lines, "\n")
}

// pointAt returns s with its probes pointed at e. If the address is not known, only the run remains.
func pointAt(s config.Service, e agent.Endpoint) config.Service {
	probes := s.Probes
	s.Probes = nil
	for _, p := range probes {
		if p.Kind != probe.KindExec && !pointProbeAt(&p, e) {
			continue
		}
		s.Probes = append(s.Probes, p)
	}
	return s
}

func pointProbeAt(p *config.Probe, e agent.Endpoint) bool {
	if e.BaseURL == nil {
		return false
	}
	name := e.BaseURL.Hostname()
	if p.Kind == probe.KindDNS {
		p.Target = name
		return needsDNS(name)
	}
	target := e.BaseURL.JoinPath(e.ProbePath)
	if presets.IsRouting(p.URL) {
		if target = e.Routing; target == nil {
			return false
		}
	}
	if p.Kind == probe.KindStream {
		target.Scheme = map[string]string{"http": "ws", "https": "wss"}[target.Scheme]
	}
	p.URL = target
	if !e.KnownAnswer {
		p.Expect = config.Expect{Any: true}
	} else if e.Answer != 0 {
		p.Expect = config.Expect{Status: []int{e.Answer}}
	}
	if e.Listener() != "" {
		p.Refused = e.NothingListens()
	}
	return true
}

// needsDNS reports whether a resolver is asked for name: not for an address, nor for this host (RFC 6761, 6.3).
func needsDNS(name string) bool {
	_, err := netip.ParseAddr(name)
	return err != nil && name != "" && name != "localhost" && !strings.HasSuffix(name, ".localhost")
}

// Same reports whether p watches the same as q, with the same notes.
func (p *Plan) Same(q *Plan) bool {
	return slices.Equal(p.Notes, q.Notes) && reflect.DeepEqual(p.config.Services, q.config.Services)
}

// Endpoints describes what was derived for each service, without secrets.
func (p *Plan) Endpoints() []string {
	var all []string
	for _, s := range p.config.Services {
		if s.Derived != "" {
			all = append(all, s.Name+": "+strings.ReplaceAll(s.Derived, "\n", ", "))
		}
	}
	return all
}

// A localServer is a probe of a base URL on the loopback address. If nothing listens there, it says so: the service
// itself may be well.
type localServer struct {
	probe.Prober
	address string
	refused string
}

func onLocalServer(p *probe.Probe, u *url.URL, refused string) *probe.Probe {
	port := cmp.Or(u.Port(), map[string]string{"http": "80", "ws": "80", "https": "443", "wss": "443"}[u.Scheme])
	return &probe.Probe{Spec: p.Spec, Prober: localServer{p.Prober, net.JoinHostPort(u.Hostname(), port), refused}}
}

// Probe implements [probe.Prober].
func (l localServer) Probe(ctx context.Context) (probe.Facts, error) {
	facts, err := l.Prober.Probe(ctx)
	if err == nil {
		return facts, nil
	}
	// Behind a proxy, which may be dead too, the attempt does not show whether anything listens.
	if facts.Proxy != "" && l.isRefused(ctx) || facts.Proxy == "" && probe.Classify(facts.Phase, err) == probe.TCPRefused {
		facts.Warnings = append(facts.Warnings, probe.WarnBaseURL)
		return facts, probe.Fail(probe.ProxyRefused, errors.New(l.refused))
	}
	return facts, err
}

func (l localServer) isRefused(ctx context.Context) bool {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", l.address)
	if err == nil {
		conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// A routing is a probe of what the agent requests before every turn. If it fails, it says so.
type routing struct{ probe.Prober }

// Probe implements [probe.Prober].
func (p routing) Probe(ctx context.Context) (probe.Facts, error) {
	facts, err := p.Prober.Probe(ctx)
	if err != nil {
		facts.Warnings = append(facts.Warnings, probe.WarnRouting)
	}
	return facts, err
}
