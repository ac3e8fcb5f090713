package host

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"netwatchd/internal/probe"
	"netwatchd/internal/resolvconf"
)

func TestResolvConf(t *testing.T) {
	write := func(text string) func(*testing.T, string) {
		return func(t *testing.T, file string) {
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	link := func(target string) func(*testing.T, string) {
		return func(t *testing.T, file string) {
			if err := os.Symlink(target, file); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tt := range []struct {
		name    string
		make    func(t *testing.T, file string)
		class   probe.Class
		why     string
		answers string
	}{
		{"two", write("# resolv.conf\nsearch lan\nnameserver 192.0.2.1\nnameserver\tfe80::1%eth0 # mine\noptions edns0"), probe.OK, "",
			"192.0.2.1 fe80::1%eth0"},
		{"missing", func(*testing.T, string) {}, probe.DNSNoNameserver, "does not exist", ""},
		{"empty", write("\n"), probe.DNSNoNameserver, "is empty", ""},
		{"none", write("# nameserver 192.0.2.1\n;nameserver 192.0.2.1\nsearch lan\n nameserver 192.0.2.1\nnameservers 192.0.2.1\nnameserver dns.example\n"),
			probe.DNSNoNameserver, "lists no nameserver", ""},
		{"WSL's link", link("/nowhere/mnt/wsl/resolv.conf"), probe.DNSNoNameserver, "WSL did not write it: `wsl --shutdown`", ""},
		{"systemd-resolved's link", link("../run/systemd/resolve/stub-resolv.conf"), probe.DNSNoNameserver, "restart systemd-resolved", ""},
		{"a directory", func(t *testing.T, file string) {
			if err := os.Mkdir(file, 0o755); err != nil {
				t.Fatal(err)
			}
		}, probe.DNSNoNameserver, "cannot be read", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "resolv.conf")
			tt.make(t, file)
			facts, err := ResolvConf{resolvconf.Read(file)}.Probe(context.Background())
			if class := probe.Classify(facts.Phase, err); class != tt.class {
				t.Errorf("got %s %v, want %s", class, err, tt.class)
			}
			if err != nil && !strings.Contains(err.Error(), tt.why) {
				t.Errorf("got %q, want %q in it", err, tt.why)
			}
			if got := strings.Join(facts.Answers, " "); got != tt.answers {
				t.Errorf("got %s, want %s", got, tt.answers)
			}
		})
	}
}

func TestResolvConfOneOfTwoIsEnough(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(file, []byte("nameserver 192.0.2.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := ResolvConf{resolvconf.Read(file+".missing", file)}
	if facts, err := r.Probe(context.Background()); err != nil || len(facts.Answers) != 1 {
		t.Errorf("got %v, %v", facts.Answers, err)
	}
}
