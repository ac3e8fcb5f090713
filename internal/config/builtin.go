package config

import (
	"net/netip"
	"net/url"
	"regexp"
	"time"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/hostpaths"
	"netwatchd/internal/probe"
	"netwatchd/internal/strictyaml"
	"netwatchd/internal/tally"
)

// All defaults are in this file. config.example.yaml gives their reasons and must load to the same configuration.

var (
	defaultMoves = Moves{Results: 2, Of: 3}
	// One failure is chance, and so are two in the ten minutes that twenty attempts take.
	defaultIntermittent = tally.Limits{Failures: 3, Of: 20}
	// Shared by all probes, never modified.
	success      = []int{200, 201, 202, 203, 204, 205, 206} // what an http probe expects by default
	bothFamilies = []string{"A", "AAAA"}                    // what a dns probe queries by default
)

// DefaultBodyLimit is how much of a body is searched for expect.body: more than a page has before its content, and read
// in a tenth of a second on any link that a probe should not report as slow.
const DefaultBodyLimit = 1 << 20

// ownCertificateLeft is how long before its end the certificate of a service that is not a vendor's is reported.
// Certificates that renew themselves do so a month before (Let's Encrypt's of 90 days); two weeks leave time to find
// out why one did not, and to buy one by hand.
const ownCertificateLeft = 14 * strictyaml.Day

func defaultSandbox() Sandbox {
	return Sandbox{Want: diagnose.WantClosed, FollowsAgent: true, Interval: 5 * time.Minute, Timeout: 20 * time.Second}
}

func defaultProbe(name string, kind probe.Kind, d Defaults) Probe {
	b := Probe{Name: name, Kind: kind, Interval: d.Interval, Timeout: d.Timeout}
	switch kind {
	case probe.KindDNS:
		b.Types = bothFamilies
	case probe.KindHTTP:
		b.Method, b.Family, b.Proxy, b.Expect.Status = "GET", anyFamily, "environment", success
	case probe.KindStream:
		b.Family, b.Proxy = anyFamily, "environment"
		b.Hold, b.Interval = time.Minute, 5*time.Minute
		b.Timeout = b.Hold + d.Timeout
	}
	return b
}

// agentDefaults sets the defaults of an agent's run: it costs money, so it is rare, patient and within a budget.
func (b *Probe) agentDefaults() {
	if !IsRun(b.Preset) {
		return
	}
	b.Interval, b.Timeout, b.Budget.RunsPerDay = time.Hour, 90*time.Second, 24
	b.Prompt, b.Expect.Output = "Reply with the two letters OK and nothing else", "OK"
	if b.Preset == codexPreset {
		// Once a day: such a run may send thirty requests, where a usual one sends one.
		b.Codex.Provider, b.Codex.BuiltinInterval = "isolated", 24*time.Hour
	}
	// It takes 0.3 s of CPU and 60 MB for a moment. A sign-in or a setting changes by hand, so that five minutes are soon
	// enough; a confirming round asks at once.
	b.Status.Enabled, b.Status.Interval = true, 5*time.Minute
	b.Status.Timeout = 30 * time.Second // codex doctor waits 15 s for a service that does not answer
}

// Builtin returns the configuration used without a file. It watches Codex.
func Builtin() *Config { return builtin(hostpaths.Of()) }

func builtin(at hostpaths.Paths) *Config {
	return &Config{
		Web:        Web{Listen: []string{"127.0.0.1:19405"}, ConfigFile: at.Web},
		Storage:    Storage{Path: at.State, Keep: 90 * strictyaml.Day},
		StatusFile: at.Status(),
		Log:        Log{Level: "info", Format: "auto"},
		Metrics:    Metrics{ClassicHistograms: "auto", RedundantSeries: "auto"},
		Defaults:   builtinDefaults,
		Resolvers: Resolvers{System: true, Files: []string{"/etc/resolv.conf"},
			Direct: []netip.AddrPort{netip.MustParseAddrPort("1.1.1.1:53"), netip.MustParseAddrPort("9.9.9.9:53")}},
		Controls: builtinControls(),
		Services: []Service{builtinCodex()},
		Assumed:  true,
		Agents:   Agents{Sessions: true},
	}
}

var builtinDefaults = Defaults{Interval: 30 * time.Second, Timeout: 5 * time.Second}

func builtinControls() []Control {
	return []Control{
		{Name: "gstatic", URL: mustURL("http://connectivitycheck.gstatic.com/generate_204"),
			Expect: Expect{Status: []int{204}}},
		{Name: "microsoft", URL: mustURL("http://www.msftconnecttest.com/connecttest.txt"),
			Expect: Expect{Status: []int{200}, Body: regexp.MustCompile(`^Microsoft Connect Test$`)}},
		{Name: "cloudflare-dns", URL: mustURL("http://one.one.one.one/"),
			Expect:    Expect{Status: []int{200, 301, 302, 307, 308}, Headers: []Header{{"Server", "cloudflare"}}},
			Addresses: []netip.Addr{netip.MustParseAddr("1.1.1.1"), netip.MustParseAddr("2606:4700:4700::1111")}},
		{Name: "google-dns", URL: mustURL("https://dns.google/resolve?name=example.com"),
			Expect:    Expect{Status: []int{200}, Body: regexp.MustCompile(`"Status":`)},
			Addresses: []netip.Addr{netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("2001:4860:4860::8888")}},
		{Name: "quad9-dns", URL: mustURL("https://dns.quad9.net/dns-query?dns=AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB"),
			Expect: Expect{Status: []int{200}, Headers: []Header{{"Content-Type", "application/dns-message"}},
				Body: regexp.MustCompile(`www\x07example\x03com`)},
			Addresses: []netip.Addr{netip.MustParseAddr("9.9.9.9")}},
	}
}

// statusPages are those of the agents' vendors. All have the format of Atlassian's Statuspage.
var statusPages = map[string]string{
	codexPreset: "https://status.openai.com",
	"claude":    "https://status.claude.com",
	"copilot":   "https://www.githubstatus.com",
}

func builtinCodex() Service {
	const endpoint = "chatgpt.com/backend-api/codex/responses"
	dns := defaultProbe("dns", probe.KindDNS, builtinDefaults)
	dns.Target = "chatgpt.com"
	head := defaultProbe("head", probe.KindHTTP, builtinDefaults)
	head.URL, head.Method = mustURL("https://"+endpoint), "HEAD"
	head.Expect = Expect{Status: []int{405}, Headers: []Header{{"Allow", "POST"}}}
	routing := defaultProbe("routing", probe.KindHTTP, builtinDefaults)
	routing.URL = mustURL("https://chatgpt.com/backend-api/wham/accounts/check")
	routing.Expect = Expect{Status: []int{401}}
	stream := defaultProbe("stream", probe.KindStream, builtinDefaults)
	stream.URL = mustURL("wss://" + endpoint)
	exec := defaultProbe("exec", probe.KindExec, builtinDefaults)
	exec.Preset = codexPreset
	exec.agentDefaults()
	s := agentService(codexPreset, dns, head, routing, stream, exec)
	s.Sandbox = new(defaultSandbox())
	return s
}

func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}
