package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"netwatchd/internal/probe"
	"netwatchd/internal/strictyaml"
)

func (d *decoder) probes(p *strictyaml.Node) []Probe {
	if p.IsEmptyList() {
		p.Errorf("is empty: list at least one probe")
	}
	probes := make([]Probe, 0, p.Len())
	p.Named(func(item *strictyaml.Node) string {
		probes = append(probes, d.probe(item))
		return probes[len(probes)-1].Name
	})
	return probes
}

// Which keys a probe may have depends on its kind.
var (
	everyKind = []string{"name", "kind", "interval", "timeout"}
	transport = []string{"target", "nameservers", "expect", "tls", "family", "proxy", "proxy_file"}
	probeKeys = map[probe.Kind][]string{
		probe.KindDNS:    slices.Concat(everyKind, []string{"target", "nameservers", "types", "expect"}),
		probe.KindHTTP:   slices.Concat(everyKind, transport, []string{"method"}),
		probe.KindStream: slices.Concat(everyKind, transport, []string{"hold"}),
		probe.KindExec:   slices.Concat(everyKind, []string{"preset", "command", "prompt", "expect", "codex", "budget"}),
	}
	kinds = []probe.Kind{probe.KindDNS, probe.KindHTTP, probe.KindStream, probe.KindExec}
)

func (d *decoder) probe(p *strictyaml.Node) Probe {
	f := p.Mapping(everyKind...)
	name := p.ReadName(f, checkName)
	kind, ok := decodeKind(p, f)
	if !ok {
		return Probe{Name: name}
	}
	p.RejectUnknown(f, probeKeys[kind], func(key string) string { return foreign(key, kind) })
	b := defaultProbe(name, kind, d.defaults)
	switch kind {
	case probe.KindDNS:
		decodeDNS(p, f, &b)
	case probe.KindHTTP:
		d.http(p, f, &b)
	case probe.KindStream:
		d.stream(p, f, &b)
	case probe.KindExec:
		d.exec(p, f, &b)
	}
	interval, timeout := f.Duration("interval", &b.Interval, shortest), f.Duration("timeout", &b.Timeout, shortest)
	switch {
	case !interval || !timeout:
	case b.Hold >= b.Interval:
		p.Errorf("its hold, %s, must be under its interval, %s: shorten one, or lengthen the other",
			strictyaml.FormatDuration(b.Hold), strictyaml.FormatDuration(b.Interval))
	case b.Hold >= b.Timeout:
		p.Errorf("its timeout, %s, must be over its hold, %s: leave it out, or lengthen it",
			strictyaml.FormatDuration(b.Timeout), strictyaml.FormatDuration(b.Hold))
	default:
		under(p, f, b.Timeout, b.Interval)
	}
	return b
}

func decodeKind(p *strictyaml.Node, f strictyaml.Fields) (kind probe.Kind, ok bool) {
	if _, there := f["kind"]; !there {
		if f != nil {
			p.Errorf("has no kind: write dns, http, stream or exec")
		}
		return 0, false
	}
	var text string
	ok = f.Text("kind", &text, strictyaml.OneOf("dns", "http", "stream", "exec"))
	ok = ok && kind.UnmarshalText([]byte(text)) == nil
	return kind, ok
}

// foreign complains about a key that only other kinds of probe have.
func foreign(key string, kind probe.Kind) string {
	var owners []string
	for _, k := range kinds {
		if slices.Contains(probeKeys[k], key) {
			owners = append(owners, k.String())
		}
	}
	if len(owners) == 0 {
		return ""
	}
	return fmt.Sprintf("key %q is not for kind %s but for %s: remove it", key, kind, strings.Join(owners, ", "))
}

func decodeDNS(p *strictyaml.Node, f strictyaml.Fields, b *Probe) {
	if _, there := f["target"]; !there {
		p.Errorf("has no target: give it a name to look up, like chatgpt.com")
	}
	f.Text("target", &b.Target, checkHostname)
	decodeServers(f, "nameservers", &b.Nameservers)
	f.Texts("types", &b.Types, strictyaml.OneOf("A", "AAAA", "CAA", "CNAME", "HTTPS", "MX", "NS", "PTR", "SOA", "SRV", "SVCB", "TXT"))
	if at, ok := f.Has("types"); ok && len(b.Types) == 0 {
		at.Errorf("is empty: write A, AAAA or another type, or remove the key")
	}
	if at, ok := f.Has("expect"); ok {
		at.Object("answers").Texts("answers", &b.Expect.Answers, checkNotEmpty)
	}
}

func (d *decoder) http(p *strictyaml.Node, f strictyaml.Fields, b *Probe) {
	u := decodeURL(p, f, "target", &b.Target, "https", "http")
	f.Text("method", &b.Method, strictyaml.OneOf("GET", "HEAD", "OPTIONS", "POST"))
	b.Expect = decodeExpectHTTP(f, b.Expect.Status)
	d.transport(p, f, b, u, "https")
}

func (d *decoder) stream(p *strictyaml.Node, f strictyaml.Fields, b *Probe) {
	u := decodeURL(p, f, "target", &b.Target, "wss", "ws")
	if f.Duration("hold", &b.Hold, shortest) {
		b.Timeout = b.Hold + d.defaults.Timeout
	}
	b.Expect = decodeExpectHTTP(f, nil)
	d.transport(p, f, b, u, "wss")
}

// transport reads what http and stream probes have in common; only the secure scheme has certificates.
func (d *decoder) transport(p *strictyaml.Node, f strictyaml.Fields, b *Probe, u *url.URL, secure string) {
	decodeServers(f, "nameservers", &b.Nameservers)
	family := string(b.Family)
	f.Text("family", &family, strictyaml.OneOf(string(AnyFamily), string(IPv4), string(IPv6)))
	b.Family = Family(family)
	d.proxy(p, f, b)
	at, ok := f.Has("tls")
	if !ok {
		return
	}
	t := at.Object("ca_file", "issuer", "name")
	d.path(t, "ca_file", &b.TLS.CAFile, checkCAFile)
	t.Text("issuer", &b.TLS.Issuer, nil)
	t.Text("name", &b.TLS.Name, func(s string) error {
		if s == "" {
			return nil
		}
		return checkHostname(s)
	})
	if u != nil && u.Scheme != secure && b.TLS != (TLS{}) {
		at.Errorf("has no meaning for %s: write %s in the target, or remove it", u.Scheme, secure)
	}
}

func (d *decoder) proxy(p *strictyaml.Node, f strictyaml.Fields, b *Probe) {
	f.Text("proxy", &b.Proxy, checkProxy)
	at, ok := f.Has("proxy_file")
	if !ok {
		return
	}
	if _, both := f["proxy"]; both {
		at.Errorf("stands beside proxy: keep one of them")
		return
	}
	f.Text("proxy_file", &b.ProxyFile, func(s string) (err error) {
		b.Proxy, err = readProxy(resolved(s, d.file))
		return err
	})
	b.ProxyFile = resolved(b.ProxyFile, d.file)
}

func (d *decoder) exec(p *strictyaml.Node, f strictyaml.Fields, b *Probe) {
	if !f.Text("preset", &b.Preset, strictyaml.OneOf("", "codex")) {
		return
	}
	if b.Preset == "codex" {
		b.codexDefaults()
	} else {
		b.Interval, b.Timeout = d.defaults.Interval, d.defaults.Timeout
	}
	f.Texts("command", &b.Command, nil)
	checkExecutable(f, "command", b.Command)
	if at, ok := f.Has("expect"); ok {
		at.Object("output").Text("output", &b.Expect.Output, nil)
	}
	if at, ok := f.Has("budget"); ok {
		at.Object("runs_per_day").Integer("runs_per_day", &b.Budget.RunsPerDay, 1, runsMost)
	}
	if b.Preset == "" {
		checkPlainCommand(p, f, b)
		return
	}
	f.Text("prompt", &b.Prompt, checkNotEmpty)
	if at, ok := f.Has("codex"); ok {
		d.codex(at, &b.Codex)
	}
}

// runsMost is one run every minute: beyond it a budget is no budget.
const runsMost = 24 * 60

func checkPlainCommand(p *strictyaml.Node, f strictyaml.Fields, b *Probe) {
	if len(b.Command) == 0 {
		p.Errorf("has nothing to run: write preset: codex, or a command")
	}
	for _, key := range []string{"codex", "prompt"} {
		if at, ok := f.Has(key); ok {
			at.Errorf("is for preset codex only: write preset: codex, or remove it")
		}
	}
}

func (d *decoder) codex(p *strictyaml.Node, c *Codex) {
	f := p.Object("path", "home", "model", "provider", "base_url")
	f.Text("path", &c.Path, nil)
	if strings.Contains(c.Path, "/") { // a bare name is found on the PATH
		c.Path = resolved(c.Path, d.file)
	}
	f.Text("home", &c.Home, nil)
	c.Home = resolved(c.Home, d.file)
	f.Text("model", &c.Model, nil)
	f.Text("provider", &c.Provider, strictyaml.OneOf("isolated", "builtin"))
	f.Text("base_url", &c.BaseURL, func(s string) error {
		_, err := parseURL(s, "https", "http")
		return err
	})
}
