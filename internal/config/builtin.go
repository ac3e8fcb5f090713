package config

import (
	"cmp"
	"net/netip"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
)

// Every default stands in this file. Their reasons are in config.example.yaml, which must load to the same.

var (
	defaultMoves = Moves{Results: 2, Of: 3}
	success      = []int{200, 201, 202, 203, 204, 205, 206} // what an http probe takes for success unless told; shared, never changed
	bothFamilies = []string{"A", "AAAA"}                    // what a dns probe asks for unless told; shared, never changed
)

func defaultSandbox() Sandbox {
	return Sandbox{Want: diagnose.WantClosed, Interval: 5 * time.Minute, Timeout: 20 * time.Second}
}

func defaultProbe(name string, kind probe.Kind, d Defaults) Probe {
	b := Probe{Name: name, Kind: kind, Interval: d.Interval, Timeout: d.Timeout}
	switch kind {
	case probe.KindDNS:
		b.Types = bothFamilies
	case probe.KindHTTP:
		b.Method, b.Family, b.Proxy, b.Expect.Status = "GET", AnyFamily, "environment", success
	case probe.KindStream:
		b.Family, b.Proxy = AnyFamily, "environment"
		b.Hold, b.Interval = time.Minute, 5*time.Minute
		b.Timeout = b.Hold + d.Timeout
	}
	return b
}

// codexDefaults are for an agent's run, which costs money: rarely, with time to think, within a budget.
func (b *Probe) codexDefaults() {
	b.Interval, b.Timeout, b.Budget.RunsPerDay = time.Hour, 90*time.Second, 24
	b.Prompt, b.Expect.Output = "Reply with the two letters OK and nothing else", "OK"
	b.Codex = Codex{Provider: "isolated", BaseURL: "https://chatgpt.com/backend-api/codex"}
}

// Builtin is the configuration without a file: it watches Codex.
func Builtin() *Config { return builtin(hostPlaces()) }

func builtin(at places) *Config {
	return &Config{
		Web:        Web{Listen: []string{"127.0.0.1:19405"}, ConfigFile: at.web},
		Storage:    Storage{Path: at.state, Keep: 90 * day},
		StatusFile: filepath.Join(at.run, "status.json"),
		Log:        Log{Level: "info", Format: "auto"},
		Defaults:   builtinDefaults,
		Resolvers: Resolvers{System: true, Files: []string{"/etc/resolv.conf"},
			Direct: []netip.AddrPort{netip.MustParseAddrPort("1.1.1.1:53"), netip.MustParseAddrPort("9.9.9.9:53")}},
		Controls: builtinControls(),
		Services: []Service{builtinCodex()},
		Assumed:  true,
	}
}

var builtinDefaults = Defaults{Interval: 30 * time.Second, Timeout: 5 * time.Second}

func builtinControls() []Control {
	return []Control{
		{Name: "gstatic", URL: mustURL("http://connectivitycheck.gstatic.com/generate_204"), Expect: Expect{Status: []int{204}}},
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

func builtinCodex() Service {
	const endpoint = "chatgpt.com/backend-api/codex/responses"
	dns := defaultProbe("dns", probe.KindDNS, builtinDefaults)
	dns.Target = "chatgpt.com"
	head := defaultProbe("head", probe.KindHTTP, builtinDefaults)
	head.Target, head.Method = "https://"+endpoint, "HEAD"
	head.Expect = Expect{Status: []int{405}, Headers: []Header{{"Allow", "POST"}}}
	stream := defaultProbe("stream", probe.KindStream, builtinDefaults)
	stream.Target = "wss://" + endpoint
	exec := defaultProbe("exec", probe.KindExec, builtinDefaults)
	exec.Preset = "codex"
	exec.codexDefaults()
	sandbox := defaultSandbox()
	return Service{Name: "codex", Probes: []Probe{dns, head, stream, exec}, Sandbox: &sandbox, Moves: defaultMoves}
}

func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

// places are where the daemon keeps things.
type places struct {
	files      []string // configuration files, the first that exists is read
	state, run string
	web        string // the web configuration that systemd hands over; empty: none
}

// StatusFiles are where a daemon may keep its status for this user to read: where this configuration says, and if that is
// the usual place, where the system's daemon keeps it, the instance of netwatchd@.service that runs as this user (for root:
// every instance), and the user's own when this process lacks XDG_RUNTIME_DIR.
func (c *Config) StatusFiles() []string {
	me := &user.User{}
	if found, err := user.Current(); err == nil {
		me = found
	}
	return statusFiles(c.StatusFile, hostPlaces(), me)
}

func statusFiles(configured string, at places, me *user.User) []string {
	if configured != filepath.Join(at.run, "status.json") {
		return []string{configured}
	}
	all := []string{configured, systemRun + "/status.json"}
	if me.Uid == "0" {
		instances, _ := filepath.Glob(systemRun + "@*/status.json") // the pattern is well formed
		all = append(all, instances...)
	} else {
		all = append(all, filepath.Join("/run/user", me.Uid, "netwatchd/status.json"), systemRun+"@"+me.Username+"/status.json")
	}
	slices.Sort(all)
	return slices.Compact(all)
}

const systemRun = "/run/netwatchd"

const systemFile = "/etc/netwatchd/config.yaml"

func hostPlaces() places {
	if os.Geteuid() == 0 {
		return places{files: []string{systemFile}, state: "/var/lib/netwatchd", run: systemRun}.inUnit(os.Getenv)
	}
	home, _ := os.UserHomeDir() // without one, what follows is relative to the root and cannot be written: the store says so
	return userPlaces(os.Getenv, home).inUnit(os.Getenv)
}

// webCredential is the name under which a unit may be handed a web configuration: LoadCredential= in systemd.exec(5).
const webCredential = "netwatchd.web.yml"

// inUnit is at with what systemd has made for the unit that this process belongs to, if it does: StateDirectory=,
// RuntimeDirectory= (the first of several) and LoadCredential= in systemd.exec(5).
func (at places) inUnit(getenv func(string) string) places {
	if state, _, _ := strings.Cut(getenv("STATE_DIRECTORY"), ":"); state != "" {
		at.state = state
	}
	if run, _, _ := strings.Cut(getenv("RUNTIME_DIRECTORY"), ":"); run != "" {
		at.run = run
	}
	if credentials := getenv("CREDENTIALS_DIRECTORY"); credentials != "" {
		web := filepath.Join(credentials, webCredential)
		if _, err := os.Stat(web); err == nil {
			at.web = web
		}
	}
	return at
}

// userPlaces follows the XDG base directory specification. Without a runtime directory (no session, no lingering) the
// status file stands beside the store: a name in /tmp could be taken by anyone.
func userPlaces(getenv func(string) string, home string) places {
	absolute := func(variable, otherwise string) string {
		if dir := getenv(variable); filepath.IsAbs(dir) {
			return dir
		}
		return otherwise
	}
	state := filepath.Join(absolute("XDG_STATE_HOME", filepath.Join("/", home, ".local/state")), "netwatchd")
	config := filepath.Join(absolute("XDG_CONFIG_HOME", filepath.Join("/", home, ".config")), "netwatchd/config.yaml")
	run := cmp.Or(absolute("XDG_RUNTIME_DIR", ""), filepath.Dir(state))
	return places{files: []string{systemFile, config}, state: state, run: filepath.Join(run, "netwatchd")}
}
