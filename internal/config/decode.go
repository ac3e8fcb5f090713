package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/net/http/httpguts"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
)

const (
	// shortest is where a probe starts to measure this host's scheduler instead of the network.
	shortest = 10 * time.Millisecond
	// keepLeast lets an incident of last night still be explained in the morning.
	keepLeast = day
)

// decode reads the document into c, over the defaults that stand there.
func (r *reader) decode(c *Config, document *yaml.Node) {
	root := &place{r: r, key: "the file", line: document.Line, node: document}
	f := root.object("web", "storage", "status_file", "log", "defaults", "resolvers", "controls", "services", "push")
	r.settings(c, f)
	if p, ok := f.has("defaults"); ok {
		p.defaults(&c.Defaults)
	}
	if p, ok := f.has("resolvers"); ok {
		p.resolvers(&c.Resolvers)
	}
	if p, ok := f.has("controls"); ok {
		c.Controls = p.controls()
	}
	if p, ok := f.has("services"); ok {
		c.Services, c.Assumed = p.services(c.Defaults), false
	}
	if p, ok := f.has("push"); ok {
		p.push(&c.Push)
	}
}

// settings are what flags and the environment may override.
func (r *reader) settings(c *Config, f fields) {
	f.text("status_file", &c.StatusFile, nil)
	if p, ok := f.has("web"); ok {
		w := p.object("listen", "config_file", "profiling")
		w.texts("listen", &c.Web.Listen, checkListen)
		if p, ok := w.has("listen"); ok && len(c.Web.Listen) == 0 {
			p.fault("is empty: write an address, like 127.0.0.1:19405")
		}
		w.path("config_file", &c.Web.ConfigFile, checkWebConfig)
		w.boolean("profiling", &c.Web.Profiling)
	}
	if p, ok := f.has("storage"); ok {
		s := p.object("path", "keep")
		s.text("path", &c.Storage.Path, checkNotEmpty)
		s.duration("keep", &c.Storage.Keep, keepLeast)
	}
	if p, ok := f.has("log"); ok {
		l := p.object("level", "format")
		l.text("level", &c.Log.Level, checkLevel)
		l.text("format", &c.Log.Format, checkFormat)
	}
	c.Storage.Path, c.StatusFile = resolved(c.Storage.Path, r.file), resolved(c.StatusFile, r.file)
}

// path reads the name of a file, makes it independent of the working directory, and checks what is in it, once.
func (f fields) path(key string, into *string, check func(string) error) {
	f.text(key, into, func(s string) error {
		if s == "" {
			return nil
		}
		r := f[key].r
		at := resolved(s, r.file)
		err, known := r.files[key+at]
		if !known {
			err = check(at)
			r.files[key+at] = err
		}
		return err
	})
	if p, ok := f[key]; ok && *into != "" {
		*into = resolved(*into, p.r.file)
	}
}

func (p *place) defaults(d *Defaults) {
	f := p.object("interval", "timeout")
	interval, timeout := f.duration("interval", &d.Interval, shortest), f.duration("timeout", &d.Timeout, shortest)
	if interval && timeout {
		p.under(f, d.Timeout, d.Interval)
	}
	if d.Timeout >= d.Interval { // said once; not again by every probe
		*d = builtinDefaults
	}
}

// under complains about a timeout that would let an attempt run into the next one.
func (p *place) under(f fields, timeout, interval time.Duration) {
	if timeout < interval {
		return
	}
	if at, ok := f.has("timeout"); ok {
		at.fault("%s must be under the interval, %s: shorten it, or lengthen the interval",
			formatDuration(timeout), formatDuration(interval))
	} else if at, ok := f.has("interval"); ok {
		at.fault("%s must be over the timeout, %s by default: set a shorter timeout, or lengthen the interval",
			formatDuration(interval), formatDuration(timeout))
	} else {
		p.fault("the default timeout, %s, must be under the default interval, %s: set both",
			formatDuration(timeout), formatDuration(interval))
	}
}

func (p *place) resolvers(rs *Resolvers) {
	f := p.object("system", "files", "direct")
	f.boolean("system", &rs.System)
	f.texts("files", &rs.Files, checkNotEmpty)
	for i, file := range rs.Files {
		rs.Files[i] = resolved(file, p.r.file)
	}
	f.servers("direct", &rs.Direct)
}

func (f fields) servers(key string, into *[]netip.AddrPort) {
	parsed(f, key, into, parseServer)
}

// parsed reads the list at key into values that are more than their text.
func parsed[T any](f fields, key string, into *[]T, parse func(string) (T, error)) {
	if _, there := f[key]; !there {
		return
	}
	var values []T
	var texts []string
	f.texts(key, &texts, func(s string) error {
		v, err := parse(s)
		if err == nil {
			values = append(values, v)
		}
		return err
	})
	*into = values
}

// named reads the list at p, whose elements have names of their own: unique ones.
func (p *place) named(read func(*place) string) {
	items, _ := p.list()
	first := make(map[string]int, len(items))
	for _, item := range items {
		name := read(item)
		if name == "" {
			continue
		}
		if line, twice := first[name]; twice {
			item.fault("has a name that is taken on line %d: give it another", line)
			continue
		}
		first[name] = item.node.Line
	}
}

// itsName reads an element's name, ahead of everything else: complaints about the rest are headed with it.
func (p *place) itsName(f fields, check func(string) error) string {
	if _, there := f["name"]; there {
		f.text("name", &p.name, check)
	} else if f != nil {
		p.fault("has no name: give it one, it becomes a label of every metric")
	}
	return p.name
}

func (p *place) controls() []Control {
	var controls []Control
	p.named(func(item *place) string {
		controls = append(controls, item.control())
		return controls[len(controls)-1].Name
	})
	return controls
}

func (p *place) control() Control {
	known := []string{"name", "url", "expect", "addresses"}
	f := p.mapping(known...)
	c := Control{Name: p.itsName(f, checkName)}
	p.refuse(f, known, plain)
	c.URL = p.url(f, "url", nil, "http", "https")
	c.Expect = f.expectHTTP(success)
	parsed(f, "addresses", &c.Addresses, parseAddress)
	return c
}

// plain is what there is to say of most unknown keys.
func plain(string) string { return "" }

// url reads the URL at key, which must be there; into, if there is one, gets it as it was written.
func (p *place) url(f fields, key string, into *string, schemes ...string) (u *url.URL) {
	if _, there := f[key]; !there {
		if f != nil {
			p.fault("has no %s: give it a URL, like %s://example.com/", key, schemes[0])
		}
		return nil
	}
	if into == nil {
		into = new(string)
	}
	f.text(key, into, func(s string) (err error) {
		u, err = parseURL(s, schemes...)
		return err
	})
	return u
}

func (p *place) services(d Defaults) []Service {
	var services []Service
	p.named(func(item *place) string {
		services = append(services, item.service(d))
		return services[len(services)-1].Name
	})
	if p.node.Kind == yaml.SequenceNode && len(p.node.Content) == 0 {
		p.fault("is empty: list a service, or remove the key to watch Codex")
	}
	return services
}

func (p *place) service(d Defaults) Service {
	known := []string{"name", "probes", "sandbox", "late", "severity", "moves"}
	f := p.mapping(known...)
	s := Service{Name: p.itsName(f, checkServiceName), Moves: defaultMoves}
	p.refuse(f, known, plain)
	f.duration("late", &s.Late, 0)
	if at, ok := f.has("probes"); ok {
		s.Probes = at.probes(d)
	} else if f != nil {
		p.fault("has no probes: list at least one")
	}
	if at, ok := f.has("sandbox"); ok {
		s.Sandbox = at.sandbox()
	}
	if at, ok := f.has("severity"); ok {
		s.Severity = at.severity()
	}
	if at, ok := f.has("moves"); ok {
		at.moves(&s.Moves)
	}
	return s
}

func (p *place) sandbox() *Sandbox {
	s := defaultSandbox()
	f := p.object("command", "want", "interval", "timeout")
	f.texts("command", &s.Command, nil)
	f.executable("command", s.Command)
	want := wantNames[s.Want]
	f.text("want", &want, oneOf(wantNames...))
	s.Want = diagnose.Want(slices.Index(wantNames, want))
	interval, timeout := f.duration("interval", &s.Interval, shortest), f.duration("timeout", &s.Timeout, shortest)
	if interval && timeout {
		p.under(f, s.Timeout, s.Interval)
	}
	return &s
}

var wantNames = []string{diagnose.WantAny: "any", diagnose.WantClosed: "closed", diagnose.WantOpen: "open"}

func (f fields) executable(key string, command []string) {
	if len(command) > 0 && command[0] == "" {
		f[key].fault("starts with an empty text: write the program first")
	}
}

func (p *place) severity() map[diagnose.Cause]diagnose.Severity {
	severities := make(map[diagnose.Cause]diagnose.Severity)
	f := p.object(causes...)
	for _, name := range causes {
		at, there := f[name]
		if !there {
			continue
		}
		var text string
		fields{name: at}.text(name, &text, oneOf("page", "ticket", "info", "none"))
		var cause diagnose.Cause
		var severity diagnose.Severity
		if cause.UnmarshalText([]byte(name)) == nil && severity.UnmarshalText([]byte(text)) == nil {
			severities[cause] = severity
		}
	}
	if len(severities) == 0 {
		return nil
	}
	return severities
}

var causes = func() (names []string) {
	for c := range diagnose.Causes() {
		names = append(names, c.String())
	}
	return names
}()

// movesMost bounds how much past a verdict may hang on: with the default interval ten results are five minutes old.
const movesMost = 10

func (p *place) moves(m *Moves) {
	f := p.object("results", "of")
	results, of := f.integer("results", &m.Results, 1, movesMost), f.integer("of", &m.Of, 1, movesMost)
	if results && of && m.Results > m.Of {
		p.fault("%d results out of %d cannot be: make of at least %d", m.Results, m.Of, m.Results)
	}
}

func (p *place) probes(d Defaults) []Probe {
	if p.node.Kind == yaml.SequenceNode && len(p.node.Content) == 0 {
		p.fault("is empty: list at least one probe")
	}
	probes := make([]Probe, 0, len(p.node.Content))
	p.named(func(item *place) string {
		probes = append(probes, item.probe(d))
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

func (p *place) probe(d Defaults) Probe {
	f := p.mapping(everyKind...)
	name := p.itsName(f, checkName)
	kind, ok := p.kind(f)
	if !ok {
		return Probe{Name: name}
	}
	p.refuse(f, probeKeys[kind], func(key string) string { return foreign(key, kind) })
	b := defaultProbe(name, kind, d)
	switch kind {
	case probe.KindDNS:
		p.dns(f, &b)
	case probe.KindHTTP:
		p.http(f, &b)
	case probe.KindStream:
		p.stream(f, &b, d)
	case probe.KindExec:
		p.exec(f, &b, d)
	}
	interval, timeout := f.duration("interval", &b.Interval, shortest), f.duration("timeout", &b.Timeout, shortest)
	switch {
	case !interval || !timeout:
	case b.Hold >= b.Interval:
		p.fault("its hold, %s, must be under its interval, %s: shorten one, or lengthen the other",
			formatDuration(b.Hold), formatDuration(b.Interval))
	case b.Hold >= b.Timeout:
		p.fault("its timeout, %s, must be over its hold, %s: leave it out, or lengthen it",
			formatDuration(b.Timeout), formatDuration(b.Hold))
	default:
		p.under(f, b.Timeout, b.Interval)
	}
	return b
}

func (p *place) kind(f fields) (kind probe.Kind, ok bool) {
	if _, there := f["kind"]; !there {
		if f != nil {
			p.fault("has no kind: write dns, http, stream or exec")
		}
		return 0, false
	}
	var text string
	ok = f.text("kind", &text, oneOf("dns", "http", "stream", "exec"))
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

func (p *place) dns(f fields, b *Probe) {
	if _, there := f["target"]; !there {
		p.fault("has no target: give it a name to look up, like chatgpt.com")
	}
	f.text("target", &b.Target, checkHostname)
	f.servers("nameservers", &b.Nameservers)
	f.texts("types", &b.Types, oneOf("A", "AAAA", "CAA", "CNAME", "HTTPS", "MX", "NS", "PTR", "SOA", "SRV", "SVCB", "TXT"))
	if at, ok := f.has("types"); ok && len(b.Types) == 0 {
		at.fault("is empty: write A, AAAA or another type, or remove the key")
	}
	if at, ok := f.has("expect"); ok {
		at.object("answers").texts("answers", &b.Expect.Answers, checkNotEmpty)
	}
}

func (p *place) http(f fields, b *Probe) {
	u := p.url(f, "target", &b.Target, "https", "http")
	f.text("method", &b.Method, oneOf("GET", "HEAD", "OPTIONS", "POST"))
	b.Expect = f.expectHTTP(b.Expect.Status)
	p.transport(f, b, u, "https")
}

func (p *place) stream(f fields, b *Probe, d Defaults) {
	u := p.url(f, "target", &b.Target, "wss", "ws")
	if f.duration("hold", &b.Hold, shortest) {
		b.Timeout = b.Hold + d.Timeout
	}
	b.Expect = f.expectHTTP(nil)
	p.transport(f, b, u, "wss")
}

// transport reads what http and stream probes have in common; only the secure scheme has certificates.
func (p *place) transport(f fields, b *Probe, u *url.URL, secure string) {
	f.servers("nameservers", &b.Nameservers)
	family := string(b.Family)
	f.text("family", &family, oneOf(string(AnyFamily), string(IPv4), string(IPv6)))
	b.Family = Family(family)
	p.proxy(f, b)
	at, ok := f.has("tls")
	if !ok {
		return
	}
	t := at.object("ca_file", "issuer", "name")
	t.path("ca_file", &b.TLS.CAFile, checkCAFile)
	t.text("issuer", &b.TLS.Issuer, nil)
	t.text("name", &b.TLS.Name, func(s string) error {
		if s == "" {
			return nil
		}
		return checkHostname(s)
	})
	if u != nil && u.Scheme != secure && b.TLS != (TLS{}) {
		at.fault("has no meaning for %s: write %s in the target, or remove it", u.Scheme, secure)
	}
}

func (p *place) proxy(f fields, b *Probe) {
	f.text("proxy", &b.Proxy, checkProxy)
	at, ok := f.has("proxy_file")
	if !ok {
		return
	}
	if _, both := f["proxy"]; both {
		at.fault("stands beside proxy: keep one of them")
		return
	}
	f.text("proxy_file", &b.ProxyFile, func(s string) (err error) {
		b.Proxy, err = readProxy(resolved(s, p.r.file))
		return err
	})
	b.ProxyFile = resolved(b.ProxyFile, p.r.file)
}

// expectHTTP reads what an HTTP answer should be; without a word on the status it is one of the usual.
func (f fields) expectHTTP(usual []int) Expect {
	e := Expect{Status: usual}
	at, ok := f.has("expect")
	if !ok {
		return e
	}
	x := at.object("status", "headers", "body")
	if status, ok := x.has("status"); ok {
		e.Status = status.statuses()
	}
	if headers, ok := x.has("headers"); ok {
		e.Headers = headers.headers()
	}
	var body string
	x.text("body", &body, func(s string) (err error) {
		if s == "" {
			return nil
		}
		if e.Body, err = regexp.Compile(s); err != nil {
			return fmt.Errorf("is not a regular expression (%v): write one as in https://golang.org/s/re2syntax", err)
		}
		return nil
	})
	return e
}

func (p *place) statuses() []int {
	items, ok := p.list()
	if ok && len(items) == 0 {
		p.fault("is empty: list the statuses that are right, or remove the key")
	}
	statuses := make([]int, len(items))
	for i, item := range items {
		fields{"": item}.integer("", &statuses[i], 100, 599)
	}
	return statuses
}

// headers reads a mapping of names to values, sorted by name. Their case is kept, which viper would not do.
func (p *place) headers() []Header {
	f := p.mapping("names to values")
	var headers []Header
	for name, at := range f {
		if !httpguts.ValidHeaderFieldName(name) {
			at.fault("is not a header's name: use letters, digits and hyphens")
		}
		h := Header{Name: name}
		fields{name: at}.text(name, &h.Value, func(s string) error {
			if !httpguts.ValidHeaderFieldValue(s) {
				return fmt.Errorf("%s cannot be a header's value: write one line of printable text", quote(s))
			}
			return nil
		})
		headers = append(headers, h)
	}
	slices.SortFunc(headers, func(a, b Header) int { return strings.Compare(a.Name, b.Name) })
	return headers
}

func (p *place) exec(f fields, b *Probe, d Defaults) {
	if !f.text("preset", &b.Preset, oneOf("", "codex")) {
		return
	}
	if b.Preset == "codex" {
		b.codexDefaults()
	} else {
		b.Interval, b.Timeout = d.Interval, d.Timeout
	}
	f.texts("command", &b.Command, nil)
	f.executable("command", b.Command)
	if at, ok := f.has("expect"); ok {
		at.object("output").text("output", &b.Expect.Output, nil)
	}
	if at, ok := f.has("budget"); ok {
		at.object("runs_per_day").integer("runs_per_day", &b.Budget.RunsPerDay, 1, runsMost)
	}
	if b.Preset == "" {
		p.plainCommand(f, b)
		return
	}
	f.text("prompt", &b.Prompt, checkNotEmpty)
	if at, ok := f.has("codex"); ok {
		at.codex(&b.Codex)
	}
}

// runsMost is one run every minute: beyond it a budget is no budget.
const runsMost = 24 * 60

func (p *place) plainCommand(f fields, b *Probe) {
	if len(b.Command) == 0 {
		p.fault("has nothing to run: write preset: codex, or a command")
	}
	for _, key := range []string{"codex", "prompt"} {
		if at, ok := f.has(key); ok {
			at.fault("is for preset codex only: write preset: codex, or remove it")
		}
	}
}

func (p *place) codex(c *Codex) {
	f := p.object("path", "home", "model", "provider", "base_url")
	f.text("path", &c.Path, nil)
	if strings.Contains(c.Path, "/") { // a bare name is found on the PATH
		c.Path = resolved(c.Path, p.r.file)
	}
	f.text("home", &c.Home, nil)
	c.Home = resolved(c.Home, p.r.file)
	f.text("model", &c.Model, nil)
	f.text("provider", &c.Provider, oneOf("isolated", "builtin"))
	f.text("base_url", &c.BaseURL, func(s string) error {
		_, err := parseURL(s, "https", "http")
		return err
	})
}
