package config

import (
	"io"
	"net/netip"
	"regexp"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
	"netwatchd/internal/strictyaml"
)

// Show writes the complete configuration, every default included, as YAML that loads to the same again. It holds no
// secret: a proxy that was read from a file is shown as that file's name.
func (c *Config) Show(w io.Writer) error {
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(c.shown()); err != nil {
		return err
	}
	return e.Close()
}

// shown is a mapping whose keys keep their order.
type shown []entry

type entry struct {
	key   string
	value any
}

// MarshalYAML writes the entries in their order.
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

// when adds an entry that not everything has.
func (s shown) when(has bool, key string, value any) shown {
	if !has {
		return s
	}
	return append(s, entry{key, value})
}

func (c *Config) shown() shown {
	return shown{
		{"web", shown{{"listen", c.Web.Listen}, {"config_file", c.Web.ConfigFile}, {"profiling", c.Web.Profiling}}},
		{"storage", shown{{"path", c.Storage.Path}, {"keep", strictyaml.FormatDuration(c.Storage.Keep)}}},
		{"status_file", c.StatusFile},
		{"log", shown{{"level", c.Log.Level}, {"format", c.Log.Format}}},
		{"defaults", every(c.Defaults.Interval, c.Defaults.Timeout)},
		{"resolvers", shown{{"system", c.Resolvers.System}, {"files", filled(c.Resolvers.Files)},
			{"direct", written(c.Resolvers.Direct, netip.AddrPort.String)}}},
		{"controls", written(c.Controls, Control.shown)},
		{"services", written(c.Services, Service.shown)},
		{"push", c.Push.shown()},
	}
}

func every(interval, timeout time.Duration) shown {
	return shown{{"interval", strictyaml.FormatDuration(interval)}, {"timeout", strictyaml.FormatDuration(timeout)}}
}

// written is each of the values in the form it has in the file; an empty list is [], not null.
func written[T, F any](values []T, form func(T) F) []F {
	all := make([]F, 0, len(values))
	for _, v := range values {
		all = append(all, form(v))
	}
	return all
}

func filled(texts []string) []string { return append([]string{}, texts...) }

func (c Control) shown() shown {
	return shown{{"name", c.Name}, {"url", c.URL.String()}, {"expect", c.Expect.shown()},
		{"addresses", written(c.Addresses, netip.Addr.String)}}
}

func (e Expect) shown() shown {
	headers := make(shown, 0, len(e.Headers))
	for _, h := range e.Headers {
		headers = append(headers, entry{h.Name, h.Value})
	}
	return shown{}.
		when(len(e.Status) > 0, "status", e.Status).
		when(len(headers) > 0, "headers", headers).
		when(e.Body != nil, "body", pattern(e.Body)).
		when(len(e.Answers) > 0, "answers", e.Answers)
}

func pattern(re *regexp.Regexp) string {
	if re == nil {
		return ""
	}
	return re.String()
}

func (s Service) shown() shown {
	severity := shown{}
	for cause := range diagnose.Causes() {
		if of, set := s.Severity[cause]; set {
			severity = append(severity, entry{cause.String(), of.String()})
		}
	}
	all := shown{{"name", s.Name}, {"probes", written(s.Probes, Probe.shown)}}
	if s.Sandbox != nil {
		all = append(all, entry{"sandbox", s.Sandbox.shown()})
	}
	return append(all, shown{{"late", strictyaml.FormatDuration(s.Late)}, {"severity", severity},
		{"moves", shown{{"results", s.Moves.Results}, {"of", s.Moves.Of}}}}...)
}

func (s Sandbox) shown() shown {
	return append(shown{{"command", filled(s.Command)}, {"want", wantNames[s.Want]}}, every(s.Interval, s.Timeout)...)
}

func (p Probe) shown() shown {
	all := append(shown{{"name", p.Name}, {"kind", p.Kind.String()}}, every(p.Interval, p.Timeout)...)
	switch p.Kind {
	case probe.KindDNS:
		all = append(all, shown{{"target", p.Target}, {"types", p.Types}, {"expect", p.Expect.shown()}}...)
		return append(all, entry{"nameservers", written(p.Nameservers, netip.AddrPort.String)})
	case probe.KindHTTP:
		all = append(all, entry{"target", p.Target}, entry{"method", p.Method})
	case probe.KindStream:
		all = append(all, entry{"target", p.Target}, entry{"hold", strictyaml.FormatDuration(p.Hold)})
	case probe.KindExec:
		return append(all, p.shownExec()...)
	}
	return append(all, p.shownTransport()...)
}

func (p Probe) shownTransport() shown {
	return shown{{"expect", p.Expect.shown()},
		{"tls", shown{{"ca_file", p.TLS.CAFile}, {"issuer", p.TLS.Issuer}, {"name", p.TLS.Name}}},
		{"family", string(p.Family)}, {"nameservers", written(p.Nameservers, netip.AddrPort.String)}}.
		when(p.ProxyFile == "", "proxy", p.Proxy).
		when(p.ProxyFile != "", "proxy_file", p.ProxyFile)
}

func (p Probe) shownExec() shown {
	codex := shown{{"path", p.Codex.Path}, {"home", p.Codex.Home}, {"model", p.Codex.Model},
		{"provider", p.Codex.Provider}, {"base_url", p.Codex.BaseURL}}
	isCodex := p.Preset == "codex"
	return shown{{"preset", p.Preset}, {"command", filled(p.Command)},
		{"expect", shown{{"output", p.Expect.Output}}}}.
		when(isCodex, "prompt", p.Prompt).
		when(isCodex, "codex", codex).
		when(p.Budget.RunsPerDay > 0, "budget", shown{{"runs_per_day", p.Budget.RunsPerDay}})
}

func (r Receiver) shown(remoteWrite bool) shown {
	labels, headers := shown{}, make(shown, 0, len(r.Headers))
	for _, l := range defaultReceiver().Labels { // one that was taken away must not come back
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
	c := r.Credentials
	basic := shown{{"username", c.Username}}.when(c.File != "", "password_file", c.File).when(c.Variable != "", "password_env", c.Variable)
	return shown{{"name", r.Name}, {"url", r.URL}, {"interval", strictyaml.FormatDuration(r.Interval)}, {"timeout", strictyaml.FormatDuration(r.Timeout)}}.
		when(remoteWrite, "protocol", r.Protocol).
		when(true, "labels", labels).
		when(true, "headers", headers).
		when(c.Username != "", "basic_auth", basic).
		when(c.Username == "" && c.File != "", "bearer_token_file", c.File).
		when(c.Username == "" && c.Variable != "", "bearer_token_env", c.Variable).
		when(true, "tls", shown{{"ca_file", r.CAFile}}).
		when(true, "queue", shown{{"size", strictyaml.FormatSize(r.Queue)}})
}

func (p Push) shown() shown {
	return shown{
		{"remote_write", written(p.RemoteWrite, func(r Receiver) shown { return r.shown(true) })},
		{"otlp", written(p.OTLP, func(r Receiver) shown { return r.shown(false) })},
	}
}
