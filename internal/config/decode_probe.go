package config

import (
	"fmt"
	"slices"
	"strings"

	"netwatchd/internal/netvalue"
	"netwatchd/internal/probe"
	"netwatchd/internal/strictyaml"
)

func (d *decoder) probes(n *strictyaml.Node) []Probe {
	if n.IsEmptyList() {
		n.Errorf("is empty: add at least one probe")
	}
	probes := make([]Probe, 0, n.Len())
	n.Named(func(item *strictyaml.Node) string {
		probes = append(probes, d.probe(item))
		return probes[len(probes)-1].Name
	})
	return probes
}

// The keys that a probe may have depend on its kind.
var (
	everyKind = []string{"name", "kind", "interval", "timeout"}
	transport = []string{"target", "nameservers", "expect", "tls", "family", "proxy", "proxy_file"}
	probeKeys = map[probe.Kind][]string{
		probe.KindDNS:    slices.Concat(everyKind, []string{"target", "nameservers", "types", "expect"}),
		probe.KindHTTP:   slices.Concat(everyKind, transport, []string{"method"}),
		probe.KindStream: slices.Concat(everyKind, transport, []string{"hold"}),
		probe.KindExec:   slices.Concat(everyKind, []string{"preset", "command", "prompt", "expect", "budget", "status"}, Presets),
	}
	kinds = []probe.Kind{probe.KindDNS, probe.KindHTTP, probe.KindStream, probe.KindExec}
)

func (d *decoder) probe(n *strictyaml.Node) Probe {
	f := n.Mapping(everyKind...)
	name := n.ReadName(f, checkName)
	kind, ok := decodeKind(n, f)
	if !ok {
		return Probe{Name: name}
	}
	n.RejectUnknown(f, probeKeys[kind], func(key string) string { return wrongKind(key, kind) })
	b := defaultProbe(name, kind, d.defaults)
	switch kind {
	case probe.KindDNS:
		decodeDNS(n, f, &b)
	case probe.KindHTTP:
		d.http(n, f, &b)
	case probe.KindStream:
		d.stream(n, f, &b)
	case probe.KindExec:
		d.exec(n, f, &b)
	}
	interval := f.Duration("interval", &b.Interval, minInterval)
	timeout := f.Duration("timeout", &b.Timeout, minInterval)
	switch {
	case !interval || !timeout:
	case b.Hold >= b.Interval:
		n.Errorf("hold (%s) must be shorter than the interval (%s): lower hold or raise the interval",
			strictyaml.FormatDuration(b.Hold), strictyaml.FormatDuration(b.Interval))
	case b.Hold >= b.Timeout:
		n.Errorf("timeout (%s) must be longer than hold (%s): remove the timeout or raise it",
			strictyaml.FormatDuration(b.Timeout), strictyaml.FormatDuration(b.Hold))
	default:
		checkTimeout(n, f, b.Timeout, b.Interval)
	}
	return b
}

func decodeKind(n *strictyaml.Node, f strictyaml.Fields) (kind probe.Kind, ok bool) {
	if _, ok := f["kind"]; !ok {
		if f != nil {
			n.Errorf("has no kind: add one of dns, http, stream, exec")
		}
		return 0, false
	}
	var text string
	ok = f.Text("kind", &text, strictyaml.OneOf("dns", "http", "stream", "exec"))
	ok = ok && kind.UnmarshalText([]byte(text)) == nil
	return kind, ok
}

// wrongKind is the message for a key that only other kinds of probe have, or empty.
func wrongKind(key string, kind probe.Kind) string {
	var owners []string
	for _, k := range kinds {
		if slices.Contains(probeKeys[k], key) {
			owners = append(owners, k.String())
		}
	}
	if len(owners) == 0 {
		return ""
	}
	return fmt.Sprintf("key %q does not apply to kind %s, only to %s: remove it", key, kind, strings.Join(owners, ", "))
}

var recordTypes = []string{"A", "AAAA", "CAA", "CNAME", "HTTPS", "MX", "NS", "PTR", "SOA", "SRV", "SVCB", "TXT"}

func decodeDNS(n *strictyaml.Node, f strictyaml.Fields, b *Probe) {
	if _, ok := f["target"]; !ok {
		n.Errorf("has no target: add a name to look up, like chatgpt.com")
	}
	f.Text("target", &b.Target, netvalue.CheckHostname)
	decodeServers(f, "nameservers", &b.Nameservers)
	f.Texts("types", &b.Types, strictyaml.OneOf(recordTypes...))
	if at, ok := f.Has("types"); ok && len(b.Types) == 0 {
		at.Errorf("is empty: add A, AAAA or another type, or remove the key")
	}
	if at, ok := f.Has("expect"); ok {
		at.Object("answers").Texts("answers", &b.Expect.Answers, checkNotEmpty)
	}
}

func (d *decoder) http(n *strictyaml.Node, f strictyaml.Fields, b *Probe) {
	b.URL = decodeURL(n, f, "target", "https", "http")
	f.Text("method", &b.Method, strictyaml.OneOf("GET", "HEAD", "OPTIONS", "POST"))
	b.Expect = decodeExpectHTTP(f, b.Expect.Status)
	d.transport(n, f, b, "https")
}

func (d *decoder) stream(n *strictyaml.Node, f strictyaml.Fields, b *Probe) {
	b.URL = decodeURL(n, f, "target", "wss", "ws")
	if f.Duration("hold", &b.Hold, minInterval) {
		b.Timeout = b.Hold + d.defaults.Timeout
	}
	b.Expect = decodeExpectHTTP(f, nil)
	d.transport(n, f, b, "wss")
}

// transport reads what http and stream probes have in common. Only the secure scheme has certificates.
func (d *decoder) transport(n *strictyaml.Node, f strictyaml.Fields, b *Probe, secure string) {
	decodeServers(f, "nameservers", &b.Nameservers)
	family := string(b.Family)
	f.Text("family", &family, strictyaml.OneOf(string(anyFamily), string(ipv4), string(ipv6)))
	b.Family = Family(family)
	d.proxy(n, f, b)
	at, ok := f.Has("tls")
	if !ok {
		return
	}
	t := at.Object("ca_file", "extra_ca_file", "cert_file", "key_file", "issuer", "name")
	d.path(t, "ca_file", &b.TLS.CAFile, checkCAFile)
	d.path(t, "extra_ca_file", &b.TLS.Extra, checkCAFile)
	d.clientCertificate(at, t, &b.TLS)
	t.Text("issuer", &b.TLS.Issuer, nil)
	t.Text("name", &b.TLS.Name, func(s string) error {
		if s == "" {
			return nil
		}
		return netvalue.CheckHostname(s)
	})
	if b.URL != nil && b.URL.Scheme != secure && b.TLS != (TLS{}) {
		at.Errorf("has no effect with %s: use %s in the target, or remove the key", b.URL.Scheme, secure)
	}
}

// clientCertificate reads the certificate that the probe presents. Its key is read by netwatchd alone, and never shown.
func (d *decoder) clientCertificate(n *strictyaml.Node, f strictyaml.Fields, t *TLS) {
	checkedTogether := func(string) error { return nil }
	d.path(f, "cert_file", &t.Cert, checkedTogether)
	d.path(f, "key_file", &t.Key, checkedTogether)
	switch {
	case t.Cert == "" && t.Key == "":
	case t.Key == "":
		n.Errorf("cert_file is set without key_file: set key_file to the file with its private key")
	case t.Cert == "":
		n.Errorf("key_file is set without cert_file: set cert_file to the file with the certificate")
	default:
		if err := checkKeyPair(t.Cert, t.Key); err != nil {
			n.Errorf("%v", err)
		}
	}
}

func (d *decoder) proxy(n *strictyaml.Node, f strictyaml.Fields, b *Probe) {
	f.Text("proxy", &b.Proxy, checkProxy)
	at, ok := f.Has("proxy_file")
	if !ok {
		return
	}
	if _, both := f["proxy"]; both {
		at.Errorf("proxy and proxy_file are both set: keep one")
		return
	}
	f.Text("proxy_file", &b.ProxyFile, func(s string) (err error) {
		b.Proxy, err = readProxy(resolved(s, d.file))
		return err
	})
	b.ProxyFile = resolved(b.ProxyFile, d.file)
}

func (d *decoder) exec(n *strictyaml.Node, f strictyaml.Fields, b *Probe) {
	if !f.Text("preset", &b.Preset, strictyaml.OneOf(append([]string{""}, Presets...)...)) {
		return
	}
	if b.Preset != "" {
		b.agentDefaults()
	} else {
		b.Interval, b.Timeout = d.defaults.Interval, d.defaults.Timeout
	}
	f.Texts("command", &b.Command, nil)
	checkExecutable(f, "command", b.Command)
	if at, ok := f.Has("expect"); ok {
		at.Object("output").Text("output", &b.Expect.Output, nil)
	}
	if at, ok := f.Has("budget"); ok {
		budget := at.Object("runs_per_day", "tokens_per_day")
		budget.Integer("runs_per_day", &b.Budget.RunsPerDay, 1, maxRuns)
		if budget.Integer("tokens_per_day", &b.Budget.TokensPerDay, 0, maxTokens) && b.Preset == "" {
			at.Errorf("tokens_per_day applies only to a preset: a plain command reports no tokens: remove the key")
		}
	}
	if b.Preset == "" {
		checkPlainCommand(n, f, b)
		return
	}
	for _, key := range []string{"command", "expect", "budget", "prompt", "status"} {
		if at, ok := f.Has(key); ok && !IsRun(b.Preset) {
			at.Errorf("has no effect: netwatchd does not run %s, it watches its requests: remove the key", b.Preset)
		}
	}
	f.Text("prompt", &b.Prompt, checkNotEmpty)
	if at, ok := f.Has("status"); ok {
		decodeStatus(at, &b.Status)
	}
	for _, preset := range Presets {
		at, ok := f.Has(preset)
		switch {
		case ok && preset == b.Preset:
			d.agent(at, b)
		case ok:
			at.Errorf("applies only to preset: %s: name the key %s, as the preset", preset, b.Preset)
		}
	}
}

// maxRuns is one run per minute: a higher budget limits nothing.
const maxRuns = 24 * 60

// maxTokens is more than a run each minute uses: 50,000 tokens each.
const maxTokens = 100_000_000

func checkPlainCommand(n *strictyaml.Node, f strictyaml.Fields, b *Probe) {
	if len(b.Command) == 0 {
		n.Errorf("has nothing to run: set a preset (%s), or a command", strings.Join(Presets, ", "))
	}
	for _, key := range []string{"prompt", "status"} {
		if at, ok := f.Has(key); ok {
			at.Errorf("applies only to a preset: add preset: codex, or remove the key")
		}
	}
	for _, preset := range Presets {
		if at, ok := f.Has(preset); ok {
			at.Errorf("applies only to the %s preset: add preset: %[1]s, or remove the key", preset)
		}
	}
}

func decodeStatus(n *strictyaml.Node, s *Status) {
	f := n.Object("enabled", "interval", "timeout")
	f.Boolean("enabled", &s.Enabled)
	interval := f.Duration("interval", &s.Interval, minInterval)
	timeout := f.Duration("timeout", &s.Timeout, minInterval)
	if interval && timeout {
		checkTimeout(n, f, s.Timeout, s.Interval)
	}
}

func (d *decoder) agent(n *strictyaml.Node, b *Probe) {
	c, keys := &b.Codex, []string{"path", "home", "model", "base_url"}
	if !IsRun(b.Preset) {
		keys = []string{"path", "home"}
	}
	if b.Preset == codexPreset {
		keys = append(keys, "provider", "builtin_interval")
	}
	f := n.Object(keys...)
	f.Text("path", &c.Path, nil)
	if strings.Contains(c.Path, "/") { // a bare name is looked up on the PATH
		c.Path = resolved(c.Path, d.file)
	}
	f.Text("home", &c.Home, nil)
	c.Home = resolved(c.Home, d.file)
	f.Text("model", &c.Model, nil)
	f.Text("provider", &c.Provider, strictyaml.OneOf("isolated", "builtin"))
	f.Duration("builtin_interval", &c.BuiltinInterval, 0)
	f.Text("base_url", &c.BaseURL, func(s string) error {
		if s == "" {
			return nil
		}
		_, err := netvalue.ParseURL(s, "https", "http")
		return err
	})
}
