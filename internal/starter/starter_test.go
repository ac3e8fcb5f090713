package starter

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/config"
	"netwatchd/internal/doctor"
	"netwatchd/internal/host"
)

func load(t *testing.T, text string) *config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return c
}

// Whatever is found, the file is valid, and differs from the built-in configuration in what is recommended alone.
func TestConfiguration(t *testing.T) {
	server := func(addr string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(addr), 53) }
	taken := doctor.Finding{Check: "daemon", Outcome: doctor.Fault, Message: "127.0.0.1:19405 is in use\nby another program",
		Fix: []doctor.Change{{File: "/etc/netwatchd/config.yaml", Lines: []string{`web: {listen: ["127.0.0.1:19406"]}`}}}}
	for name, tt := range map[string]struct {
		facts  Facts
		listen string
		direct string
		want   []string
	}{
		"nothing": {Facts{}, "127.0.0.1:19405", "1.1.1.1:53 9.9.9.9:53",
			[]string{"# nameservers     none in /etc/resolv.conf\n", "# proxy           none in this shell\n"}},
		"a host in use": {Facts{
			Findings: []doctor.Finding{{Check: "codex", Message: "codex-cli 0.169.0, /usr/bin/codex"}, taken,
				{Check: "sign-in", Outcome: doctor.Fault, Message: "not signed\nin: [x"}},
			Watched: []string{"codex: requests go to https://chatgpt.com (ChatGPT), because of the default"},
			Notes:   []string{"claude was not found"}, Nameservers: []netip.AddrPort{server("1.0.0.1"), server("192.168.1.1")},
			Proxies: map[string]string{"HTTPS_PROXY": "http://me:S3cret@proxy.example:3128"},
			WSL:     host.WSLFacts{WSL: true, Version: 2, Networking: host.WSLNAT, DNS: "tunnel"},
		}, "127.0.0.1:19406", "9.9.9.9:53 8.8.8.8:53", []string{
			"# platform        wsl2, networking: nat or virtioproxy, DNS: tunnel\n",
			"# watched         codex: requests go to https://chatgpt.com (ChatGPT), because of the default\n",
			"# not watched     claude was not found\n", "# nameservers     1.0.0.1, 192.168.1.1\n",
			"# codex           codex-cli 0.169.0, /usr/bin/codex\n",
			"# sign-in         not signed in: [x; netwatchd doctor says what to do\n",
			"# 127.0.0.1:19405 is in use by another program\n", "@proxy.example:3128",
		}},
		"all of them": {Facts{Nameservers: []netip.AddrPort{server("1.1.1.1"), server("9.9.9.9"), server("8.8.4.4")}},
			"127.0.0.1:19405", "208.67.222.222:53", nil},
		"not a default": {Facts{Nameservers: []netip.AddrPort{server("8.8.8.8")}}, "127.0.0.1:19405",
			"1.1.1.1:53 9.9.9.9:53", nil},
	} {
		t.Run(name, func(t *testing.T) {
			text := Configuration(tt.facts)
			c := load(t, text)
			var direct []string
			for _, s := range c.Resolvers.Direct {
				direct = append(direct, s.String())
			}
			if got := strings.Join(direct, " "); got != tt.direct || strings.Join(c.Web.Listen, " ") != tt.listen {
				t.Errorf("direct %s, listen %v; want %s, %s", got, c.Web.Listen, tt.direct, tt.listen)
			}
			for _, want := range tt.want {
				if !strings.Contains(text, want) {
					t.Errorf("no %q in\n%s", want, text[:3000])
				}
			}
			if strings.Contains(text, "S3cret") {
				t.Error("a password was written")
			}
			own, _, _ := strings.Cut(text, reference)
			for n, line := range strings.Split(own, "\n") {
				if len(line) > 120 {
					t.Errorf("line %d has %d columns: %s", n+1, len(line), line)
				}
			}
			if !c.Assumed {
				t.Error("services are set: agents that are installed later would not be watched")
			}
		})
	}
}

// Without their "#" the commented keys are those of the example.
func TestCommentedKeysAreValid(t *testing.T) {
	var text strings.Builder
	for line := range strings.Lines(commented(config.Example)) {
		if rest, ok := strings.CutPrefix(line, "#"); ok && !strings.HasPrefix(rest, " ") || strings.HasPrefix(rest, "  ") {
			line = rest
		}
		text.WriteString(line)
	}
	got, want := load(t, text.String()), load(t, config.Example)
	if diff := cmp.Diff(len(want.Services), len(got.Services)); diff != "" || got.Assumed {
		t.Errorf("services: %s", diff)
	}
	if diff := cmp.Diff(want.Web, got.Web); diff != "" {
		t.Error(diff)
	}
}
