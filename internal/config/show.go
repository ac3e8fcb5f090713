package config

import (
	"io"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"netwatchd/internal/causes"
	"netwatchd/internal/probe"
	"netwatchd/internal/redact"
	"netwatchd/internal/strictyaml"
)

// Show writes the complete configuration, including every default, as YAML. If it has no secret, the YAML loads to the
// same configuration. In place of a secret stands [redact.Mark]; of one that was read from a file, the file's name.
func (c *Config) Show(w io.Writer) error {
	var document yaml.Node
	if err := document.Encode(c.shown()); err != nil {
		return err
	}
	redactNode("", &document)
	for _, n := range document.Content {
		if n.Value == "services" {
			n.HeadComment = c.derived()
		}
	}
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(&document); err != nil {
		return err
	}
	return e.Close()
}

// redactNode removes secrets from every text of a node. Each new key of the configuration passes here.
func redactNode(key string, n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			redactNode(n.Content[i].Value, n.Content[i+1])
		}
	case yaml.SequenceNode:
		texts := make([]string, len(n.Content))
		for i, item := range n.Content {
			texts[i] = item.Value
		}
		clean, _ := redact.Args(texts)
		for i, item := range n.Content {
			if item.Kind == yaml.ScalarNode && clean[i] != item.Value {
				item.SetString(clean[i])
			}
			redactNode(key, item)
		}
	case yaml.ScalarNode:
		if clean := redact.Named(key, n.Value); n.Tag == "!!str" && clean != n.Value {
			n.SetString(clean)
		}
	}
}

// shown is a mapping with its keys in order.
type shown []entry

type entry struct {
	key   string
	value any
}

// MarshalYAML implements [yaml.Marshaler].
func (s shown) MarshalYAML() (any, error) {
	node := &yaml.Node{Kind: yaml.MappingNode}
	for _, e := range s {
		var key, value yaml.Node
		key.SetString(e.key)
		if err := value.Encode(e.value); err != nil {
			return nil, err
		}
		node.Content = append(node.Content, &key, &value)
	}
	return node, nil
}

// addIf adds an entry if cond holds.
func (s shown) addIf(cond bool, key string, value any) shown {
	if !cond {
		return s
	}
	return append(s, entry{key, value})
}

func (c *Config) shown() shown {
	return shown{
		{"web", shown{{"listen", c.Web.Listen}, {"hosts", notNil(c.Web.Hosts)}, {"config_file", c.Web.ConfigFile},
			{"token_file", c.Web.TokenFile}, {"profiling", c.Web.Profiling}}},
		{"storage", shown{{"path", c.Storage.Path}, {"keep", strictyaml.FormatDuration(c.Storage.Keep)}}},
		{"status_file", c.StatusFile},
		{"log", shown{{"level", c.Log.Level}, {"format", c.Log.Format}}},
		{"metrics", shown{{"classic_histograms", c.Metrics.ClassicHistograms}, {"redundant_series", c.Metrics.RedundantSeries}}},
		{"defaults", showTimes(c.Defaults.Interval, c.Defaults.Timeout)},
		{"resolvers", c.Resolvers.shown()},
		{"controls", showAll(c.Controls, Control.shown)},
		{"services", showAll(c.Services, func(s Service) shown { return s.shown(c.Controls) })},
		{"push", c.Push.shown()},
		{"agents", shown{{"sessions", c.Agents.Sessions}}},
	}
}

// derived says what was derived from the files of agents: the probes below follow it.
func (c *Config) derived() string {
	var lines []string
	for _, s := range c.Services {
		for line := range strings.Lines(s.Derived) {
			lines = append(lines, s.Name+": "+strings.TrimSpace(line))
		}
	}
	return strings.Join(lines, "\n")
}

func showTimes(interval, timeout time.Duration) shown {
	return shown{{"interval", strictyaml.FormatDuration(interval)}, {"timeout", strictyaml.FormatDuration(timeout)}}
}

// showAll returns each value in the form it has in the file. An empty list becomes [], not null.
func showAll[T, F any](values []T, form func(T) F) []F {
	all := make([]F, 0, len(values))
	for _, v := range values {
		all = append(all, form(v))
	}
	return all
}

func notNil(texts []string) []string { return append([]string{}, texts...) }

func (c Control) shown() shown {
	return shown{{"name", c.Name}, {"url", c.URL.String()}, {"expect", c.Expect.shown()},
		{"addresses", showAll(c.Addresses, netip.Addr.String)}}
}

func (e Expect) shown() shown {
	headers := make(shown, 0, len(e.Headers))
	for _, h := range e.Headers {
		headers = append(headers, entry{h.Name, h.Value})
	}
	return shown{}.
		addIf(e.Any, "status", "any").
		addIf(len(e.Status) > 0, "status", e.Status).
		addIf(len(headers) > 0, "headers", headers).
		addIf(e.Body != nil, "body", pattern(e.Body)).
		addIf(e.BodyLimit > 0, "body_limit", strictyaml.FormatSize(e.BodyLimit)).
		addIf(len(e.Answers) > 0, "answers", e.Answers)
}

func pattern(re *regexp.Regexp) string {
	if re == nil {
		return ""
	}
	return re.String()
}

// named returns a control of the configuration as its name.
func (c Control) named(all []Control) any {
	if slices.ContainsFunc(all, func(other Control) bool { return other.Name == c.Name }) {
		return c.Name
	}
	return c.shown()
}

func (r Resolvers) shown() shown {
	return shown{{"system", r.System}, {"files", notNil(r.Files)}, {"direct", showAll(r.Direct, netip.AddrPort.String)}}
}

func (s Service) shown(c []Control) shown {
	severity := shown{}
	for cause := range causes.All() {
		if of, set := s.Severity[cause]; set {
			severity = append(severity, entry{cause.String(), of.String()})
		}
	}
	all := shown{{"name", s.Name}, {"probes", showAll(s.Probes, Probe.shown)}, {"owner", s.Owner.String()}, {"advice", s.Advice},
		{"runbook", s.Runbook}, {"status_page", s.StatusPage},
		{"ask_status_page", !s.StatusPageUnasked}, {"client", s.Client}}
	if len(s.Controls) > 0 {
		all = append(all, entry{"controls", showAll(s.Controls, func(own Control) any { return own.named(c) })})
	}
	if s.Resolvers != nil {
		all = append(all, entry{"resolvers", s.Resolvers.shown()})
	}
	if s.Sandbox != nil {
		all = append(all, entry{"sandbox", s.Sandbox.shown()})
	}
	return append(all, shown{{"certificate_left", strictyaml.FormatDuration(s.CertificateLeft)},
		{"late", strictyaml.FormatDuration(s.Late)}, {"severity", severity},
		{"moves", shown{{"results", s.Moves.Results}, {"of", s.Moves.Of}}},
		{"intermittent", shown{{"failures", s.Intermittent.Failures}, {"of", s.Intermittent.Of}}}}...)
}

// withoutCredentials returns a proxy as it may be shown. One from a file of an agent may have a password.
func withoutCredentials(proxy string) string {
	u, err := url.Parse(proxy)
	if err != nil || u.User == nil {
		return proxy
	}
	u.User = nil
	return u.String()
}

func (s Sandbox) shown() shown {
	want := wantNames[s.Want]
	if s.FollowsAgent {
		want = wantOfAgent
	}
	return append(shown{{"command", notNil(s.Command)}, {"want", want}}, showTimes(s.Interval, s.Timeout)...)
}

func (p Probe) shown() shown {
	all := append(shown{{"name", p.Name}, {"kind", p.Kind.String()}}, showTimes(p.Interval, p.Timeout)...)
	switch p.Kind {
	case probe.KindDNS:
		all = append(all, shown{{"target", p.Target}, {"types", p.Types}, {"expect", p.Expect.shown()}}...)
		return append(all, entry{"nameservers", showAll(p.Nameservers, netip.AddrPort.String)})
	case probe.KindHTTP:
		all = append(all, entry{"target", p.URL.String()}, entry{"method", p.Method})
	case probe.KindStream:
		all = append(all, entry{"target", p.URL.String()}, entry{"hold", strictyaml.FormatDuration(p.Hold)})
	case probe.KindExec:
		return append(all, p.shownExec()...)
	}
	return append(all, p.shownTransport()...)
}

func (p Probe) shownTransport() shown {
	return shown{
		{"expect", p.Expect.shown()},
		{
			"tls",
			shown{{"ca_file", p.TLS.CAFile}, {"extra_ca_file", p.TLS.Extra}, {"cert_file", p.TLS.Cert},
				{"key_file", p.TLS.Key}, {"issuer", p.TLS.Issuer}, {"name", p.TLS.Name}},
		},
		{"family", string(p.Family)},
		{"nameservers", showAll(p.Nameservers, netip.AddrPort.String)},
	}.
		addIf(p.ProxyFile == "", "proxy", withoutCredentials(p.Proxy)).
		addIf(p.ProxyFile != "", "proxy_file", p.ProxyFile)
}

func (p Probe) shownExec() shown {
	if !IsRun(p.Preset) {
		return shown{{"preset", p.Preset}, {p.Preset, shown{{"path", p.Codex.Path}, {"home", p.Codex.Home}}}}
	}
	isCodex, isAgent := p.Preset == codexPreset, p.Preset != ""
	settings := shown{{"path", p.Codex.Path}, {"home", p.Codex.Home}, {"model", p.Codex.Model}}.
		addIf(isCodex, "provider", p.Codex.Provider).
		addIf(isCodex, "builtin_interval", strictyaml.FormatDuration(p.Codex.BuiltinInterval))
	settings = append(settings, entry{"base_url", p.Codex.BaseURL})
	return shown{{"preset", p.Preset}, {"command", notNil(p.Command)},
		{"expect", shown{{"output", p.Expect.Output}}}}.
		addIf(isAgent, "prompt", p.Prompt).
		addIf(isAgent, p.Preset, settings).
		addIf(isAgent, "status", append(shown{{"enabled", p.Status.Enabled}},
			showTimes(p.Status.Interval, p.Status.Timeout)...)).
		addIf(p.Budget != Budget{}, "budget", shown{}.
			addIf(p.Budget.RunsPerDay > 0, "runs_per_day", p.Budget.RunsPerDay).
			addIf(p.Budget.TokensPerDay > 0, "tokens_per_day", p.Budget.TokensPerDay))
}

func (r Receiver) shown(remoteWrite bool) shown {
	labels, headers := shown{}, make(shown, 0, len(r.Headers))
	for _, l := range defaultReceiver().Labels { // a default label that was removed must stay removed
		if !slices.ContainsFunc(r.Labels, func(own Label) bool { return own.Name == l.Name }) {
			labels = append(labels, entry{l.Name, ""})
		}
	}
	for _, l := range r.Labels {
		labels = append(labels, entry{l.Name, l.Value})
	}
	for _, h := range r.Headers {
		headers = append(headers, entry{h.Name, h.Value})
	}
	for _, h := range r.KeyHeaders {
		headers = append(
			headers,
			entry{h.Name, shown{}.addIf(h.File != "", "file", h.File).addIf(h.Variable != "", "env", h.Variable)},
		)
	}
	c := r.Credentials
	basic := shown{{"username", c.Username}}.
		addIf(c.File != "", "password_file", c.File).
		addIf(c.Variable != "", "password_env", c.Variable)
	return append(shown{{"name", r.Name}, {"url", r.URL}}, showTimes(r.Interval, r.Timeout)...).
		addIf(remoteWrite, "protocol", r.Protocol).
		addIf(true, "labels", labels).
		addIf(true, "headers", headers).
		addIf(c.Username != "", "basic_auth", basic).
		addIf(c.Username == "" && c.File != "", "bearer_token_file", c.File).
		addIf(c.Username == "" && c.Variable != "", "bearer_token_env", c.Variable).
		addIf(true, "tls", shown{{"ca_file", r.CAFile}}).
		addIf(true, "queue", shown{{"size", strictyaml.FormatSize(r.Queue)}})
}

func (p Push) shown() shown {
	return shown{
		{"remote_write", showAll(p.RemoteWrite, func(r Receiver) shown { return r.shown(true) })},
		{"otlp", showAll(p.OTLP, func(r Receiver) shown { return r.shown(false) })},
	}
}
