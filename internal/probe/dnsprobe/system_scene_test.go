package dnsprobe

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"netwatchd/internal/probe"
)

// A scene is a host whose name resolution is wrong in one way. It is played by this test binary in network and mount
// namespaces of its own, since Go's resolver reads /etc/resolv.conf and nothing else.
type scene struct {
	Name       string
	ResolvConf string // "missing", "dangling", or the file's text
	Hosts      string
	NSSwitch   string   // empty: "hosts: files dns"
	Setup      []string // commands run before the attempt; nameservers answer at 192.0.2.53 and .54, silence is at .55
	DNS        Lookup
	Lookup     string // a family: lookup is called instead

	class    probe.Class
	server   string
	rcode    string
	answers  string
	warnings string
	why      string // part of it
}

var (
	both  = []string{"A", "AAAA"}
	fine  = "nameserver 192.0.2.53\n"
	mute  = "nameserver 192.0.2.55\n"
	other = "nameserver 192.0.2.54\n"
	shut  = "nameserver 192.0.2.99\n"
)

var scenes = []scene{
	{Name: "ok", ResolvConf: fine, DNS: Lookup{Name: "ok.com", Types: both},
		class: probe.OK, server: "192.0.2.53:53", rcode: "NOERROR", answers: "192.0.2.80 2001:db8::80"},
	{Name: "ok, one after the other", ResolvConf: fine + "options single-request\n", DNS: Lookup{Name: "ok.com", Types: both},
		class: probe.OK, server: "192.0.2.53:53", rcode: "NOERROR", answers: "192.0.2.80 2001:db8::80"},
	{Name: "over TCP alone", ResolvConf: fine + "options use-vc\n", DNS: Lookup{Name: "ok.com", Types: both},
		class: probe.OK, server: "192.0.2.53:53", rcode: "NOERROR", answers: "192.0.2.80 2001:db8::80"},
	{Name: "NXDOMAIN over TCP", ResolvConf: fine + "options use-vc\n", DNS: Lookup{Name: "gone.com", Types: both},
		class: probe.DNSNameNotResolved, server: "192.0.2.53:53", rcode: "NXDOMAIN"},
	{Name: "large", ResolvConf: fine, DNS: Lookup{Name: "large.com"}, // the datagram holds none of its addresses
		class: probe.OK, server: "192.0.2.53:53", rcode: "NOERROR", answers: "192.0.2.80"},
	{Name: "NXDOMAIN", ResolvConf: fine, DNS: Lookup{Name: "gone.com", Types: both},
		class: probe.DNSNameNotResolved, server: "192.0.2.53:53", rcode: "NXDOMAIN", why: "gone.com does not exist"},
	{Name: "canary", ResolvConf: fine, DNS: Lookup{Name: "gone.com", Expect: Expect{NXDomain: true}},
		class: probe.OK, server: "192.0.2.53:53", rcode: "NXDOMAIN"},
	{Name: "no data", ResolvConf: fine, DNS: Lookup{Name: "empty.com", Types: both},
		class: probe.DNSNoData, server: "192.0.2.53:53", rcode: "NOERROR", why: "empty.com has no A record"},
	{Name: "no AAAA", ResolvConf: fine, DNS: Lookup{Name: "four.com", Types: both},
		class: probe.OK, server: "192.0.2.53:53", rcode: "NOERROR", answers: "192.0.2.80", warnings: "dns_no_aaaa"},
	{Name: "AAAA alone, absent", ResolvConf: fine, DNS: Lookup{Name: "four.com", Types: both[1:]},
		class: probe.DNSNoData, server: "192.0.2.53:53", rcode: "NOERROR"},
	{Name: "AAAA alone, present", ResolvConf: fine, DNS: Lookup{Name: "six.com", Types: both},
		class: probe.DNSNoData, server: "192.0.2.53:53", rcode: "NOERROR", answers: "2001:db8::80", why: "has AAAA but no A record"},
	{Name: "SERVFAIL", ResolvConf: fine, DNS: Lookup{Name: "servfail.com"},
		class: probe.DNSServfail, server: "192.0.2.53:53", rcode: "SERVFAIL"},
	{Name: "REFUSED", ResolvConf: fine, DNS: Lookup{Name: "refused.com"},
		class: probe.DNSRefused, server: "192.0.2.53:53", rcode: "REFUSED"},
	{Name: "half SERVFAIL", ResolvConf: fine, DNS: Lookup{Name: "halfservfail.com", Types: both},
		class: probe.DNSServfail, server: "192.0.2.53:53", rcode: "SERVFAIL", answers: "192.0.2.80"},
	{Name: "forged first", ResolvConf: fine, DNS: Lookup{Name: "forged.com"},
		class: probe.OK, server: "192.0.2.53:53", rcode: "NOERROR", answers: "192.0.2.80"},
	{Name: "garbage", ResolvConf: fine, DNS: Lookup{Name: "garbage.com"}, class: probe.DNSFailed, server: "192.0.2.53:53"},
	{Name: "another type", ResolvConf: fine, DNS: Lookup{Name: "text.com", Types: []string{"TXT"}},
		class: probe.OK, server: "192.0.2.53:53", rcode: "NOERROR", answers: `"a" "v=1" "b"`},
	{Name: "another type, no file", ResolvConf: "missing", DNS: Lookup{Name: "text.com", Types: []string{"TXT"}},
		class: probe.DNSNoNameserver, why: "/etc/resolv.conf does not exist"},

	{Name: "search domain", ResolvConf: fine + "search test\n", DNS: Lookup{Name: "short", Types: both},
		class: probe.OK, server: "192.0.2.53:53", rcode: "NOERROR", answers: "192.0.2.80 2001:db8::80"},
	{Name: "search domain after", ResolvConf: fine + "search lan\n", DNS: Lookup{Name: "empty.com", Types: both},
		class: probe.DNSNoData, server: "192.0.2.53:53", rcode: "NOERROR"},
	{Name: "search domain before", ResolvConf: fine + "search lan\noptions ndots:3\n", DNS: Lookup{Name: "gone.com"},
		class: probe.DNSNameNotResolved, server: "192.0.2.53:53", rcode: "NXDOMAIN", why: "gone.com does not exist"},

	{Name: "hosts file", ResolvConf: fine, Hosts: "192.0.2.7 gone.com\n", DNS: Lookup{Name: "gone.com", Types: both},
		class: probe.OK, answers: "192.0.2.7", warnings: "dns_hosts_file dns_no_aaaa"},
	{Name: "hosts file, other family", ResolvConf: fine, Hosts: "192.0.2.7 gone.com\n", DNS: Lookup{Name: "gone.com", Types: both[1:]},
		class: probe.DNSNoData, why: "no AAAA record in /etc/hosts"},
	{Name: "hosts file blocks", ResolvConf: fine, Hosts: "0.0.0.0 ok.com\n", DNS: Lookup{Name: "ok.com", Types: both},
		class: probe.DNSWrongAnswer, answers: "0.0.0.0", warnings: "dns_hosts_file"},

	{Name: "nobody is asked", ResolvConf: fine, NSSwitch: "hosts: files\n", DNS: Lookup{Name: "ok.com"},
		class: probe.DNSNameNotResolved, warnings: "dns_not_asked", why: "the hosts line of /etc/nsswitch.conf needs dns"},

	{Name: "first silent", ResolvConf: mute + fine, DNS: Lookup{Name: "ok.com", Types: both},
		class: probe.OK, server: "192.0.2.53:53", rcode: "NOERROR", answers: "192.0.2.80 2001:db8::80", warnings: "dns_first_nameserver_failed"},
	{Name: "first closed", ResolvConf: shut + fine, DNS: Lookup{Name: "ok.com", Types: both},
		class: probe.OK, server: "192.0.2.53:53", rcode: "NOERROR", answers: "192.0.2.80 2001:db8::80", warnings: "dns_first_nameserver_failed"},
	{Name: "first refuses", ResolvConf: other + fine, DNS: Lookup{Name: "ok.com", Types: both},
		class: probe.OK, server: "192.0.2.53:53", rcode: "NOERROR", answers: "192.0.2.80 2001:db8::80", warnings: "dns_first_nameserver_failed"},
	{Name: "silent", ResolvConf: mute, DNS: Lookup{Name: "ok.com", Types: both}, class: probe.DNSTimeout, server: "192.0.2.55:53"},
	{Name: "closed", ResolvConf: shut, DNS: Lookup{Name: "ok.com", Types: both}, class: probe.DNSUnreachable, server: "192.0.2.99:53"},
	{Name: "no route", ResolvConf: "nameserver 198.51.100.1\n", DNS: Lookup{Name: "ok.com", Types: both},
		class: probe.LocalNoRoute, server: "198.51.100.1:53"},
	{Name: "firewall", ResolvConf: fine, DNS: Lookup{Name: "ok.com", Types: both}, class: probe.LocalDenied, server: "192.0.2.53:53",
		Setup: []string{"nft add table inet t", "nft add chain inet t o { type filter hook output priority 0 ; }", "nft add rule inet t o udp dport 53 drop"},
		why:   "operation not permitted"},
	{Name: "prohibited route", ResolvConf: "nameserver 198.51.100.1\n", DNS: Lookup{Name: "ok.com"}, class: probe.LocalDenied,
		server: "198.51.100.1:53", Setup: []string{"ip route add prohibit 198.51.100.0/24"}},

	{Name: "empty file", ResolvConf: "\n", DNS: Lookup{Name: "ok.com", Types: both}, class: probe.DNSNoNameserver, server: "[::1]:53", why: "/etc/resolv.conf is empty"},
	{Name: "lists no nameserver", ResolvConf: "search lan\n", DNS: Lookup{Name: "ok.com"}, class: probe.DNSNoNameserver, server: "[::1]:53", why: "lists no nameserver"},
	{Name: "missing file", ResolvConf: "missing", DNS: Lookup{Name: "ok.com", Types: both}, class: probe.DNSNoNameserver, server: "[::1]:53", why: "/etc/resolv.conf does not exist"},
	{Name: "dangling link", ResolvConf: "dangling", DNS: Lookup{Name: "ok.com", Types: both}, class: probe.DNSNoNameserver, server: "[::1]:53",
		why: "/etc/resolv.conf is a link to /mnt/wsl/resolv.conf, which does not exist"},
	{Name: "missing file, local nameserver", ResolvConf: "missing", Hosts: "serve 127.0.0.1\n", DNS: Lookup{Name: "ok.com"},
		class: probe.OK, server: "127.0.0.1:53", rcode: "NOERROR", answers: "192.0.2.80"},

	{Name: "lookup", Lookup: "any", ResolvConf: fine, DNS: Lookup{Name: "ok.com"},
		class: probe.OK, server: "192.0.2.53:53", rcode: "NOERROR", answers: "192.0.2.80 2001:db8::80"},
	{Name: "lookup of IPv6", Lookup: "ipv6", ResolvConf: fine, DNS: Lookup{Name: "ok.com"},
		class: probe.OK, server: "192.0.2.53:53", rcode: "NOERROR", answers: "2001:db8::80"},
	{Name: "lookup, one family broken", Lookup: "any", ResolvConf: fine, DNS: Lookup{Name: "halfservfail.com"},
		class: probe.OK, server: "192.0.2.53:53", rcode: "NOERROR", answers: "192.0.2.80", warnings: "dns_aaaa_failed"},
	{Name: "lookup, silence about one family", Lookup: "any", ResolvConf: fine, DNS: Lookup{Name: "halfsilent.com"},
		class: probe.DNSTimeout, server: "192.0.2.53:53", why: "no answer"},
	{Name: "lookup, first silent", Lookup: "any", ResolvConf: mute + fine, DNS: Lookup{Name: "gone.com"},
		class: probe.DNSNameNotResolved, server: "192.0.2.53:53", rcode: "NXDOMAIN", warnings: "dns_first_nameserver_failed"},
}

// sceneVariable holds the scene to play.
const sceneVariable = "NETWATCHD_TEST_SCENE"

func init() {
	text := os.Getenv(sceneVariable)
	if text == "" {
		return
	}
	var s scene
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		panic(err)
	}
	r, err := s.play()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(r)
	os.Exit(0)
}

func TestSystemResolver(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: network and mount namespaces with their own /etc/resolv.conf")
	}
	for _, tool := range []string{"unshare", "ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: apt-get install util-linux iproute2 nftables", tool)
		}
	}
	for _, s := range scenes {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			r := s.run(t)
			got := []string{r.Class.String(), r.Server, r.RCode, strings.Join(r.Answers, " "), strings.Join(r.Warnings, " ")}
			want := []string{s.class.String(), s.server, s.rcode, s.answers, s.warnings}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("class, server, rcode, answers, warnings (-want +got):\n%s\nwhy: %s", diff, r.Why)
			}
			if !strings.Contains(r.Why, s.why) {
				t.Errorf("why = %q, want %q in it", r.Why, s.why)
			}
		})
	}
}

// run plays the scene in a process with namespaces of its own, and an /etc of its own.
func (s scene) run(t *testing.T) probe.Result {
	t.Helper()
	etc := t.TempDir()
	if s.NSSwitch == "" {
		s.NSSwitch = "hosts: files dns\n"
	}
	for name, text := range map[string]string{"nsswitch.conf": s.NSSwitch, "hosts": s.Hosts, "resolv.conf": s.ResolvConf} {
		var err error
		switch file := filepath.Join(etc, name); text {
		case "missing":
		case "dangling":
			err = os.Symlink("/mnt/wsl/resolv.conf", file)
		default:
			err = os.WriteFile(file, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--net", "--mount", "--propagation", "private", "sh", "-c",
		`mount --bind "$1" /etc && exec "$2"`, "sh", etc, os.Args[0])
	// The race detector makes every process sleep a second at its end, in case another race is found.
	cmd.Env = append(os.Environ(), sceneVariable+"="+string(text), "GORACE=atexit_sleep_ms=0")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, &errs)
	}
	var r probe.Result
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	return r
}

// play makes the attempt, inside.
func (s scene) play() (probe.Result, error) {
	setup := append([]string{"ip link set lo up", "ip addr add 192.0.2.53/32 dev lo", "ip addr add 192.0.2.54/32 dev lo",
		"ip addr add 192.0.2.55/32 dev lo", "ip addr add 192.0.2.99/32 dev lo"}, s.Setup...)
	for _, command := range setup {
		words := strings.Fields(command)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			return probe.Result{}, fmt.Errorf("%s: %w: %s", command, err, out)
		}
	}
	handlers := map[string]dns.HandlerFunc{"192.0.2.53": behave, "192.0.2.54": refusing, "192.0.2.55": stayingSilent}
	if _, local, ok := strings.Cut(s.Hosts, "serve "); ok {
		handlers[strings.TrimSpace(local)] = behave
	}
	for addr, handler := range handlers {
		if _, _, err := serveDNS(addr+":53", handler); err != nil {
			return probe.Result{}, err
		}
	}
	before := goleak.IgnoreCurrent()
	r, ok := probe.Do(context.Background(), &probe.Probe{Spec: probe.Spec{Timeout: time.Second}, Prober: s.prober()})
	if !ok {
		return r, syscall.ECANCELED
	}
	return r, goleak.Find(before)
}

func (s scene) prober() probe.Prober {
	if s.Lookup == "" {
		return s.DNS
	}
	return lookedUp{s.DNS.Name, s.Lookup}
}

// lookedUp shows lookup as an attempt.
type lookedUp struct{ host, family string }

func (l lookedUp) Probe(ctx context.Context) (probe.Facts, error) {
	addrs, trace, err := LookupHost(ctx, nil, nil, l.host, l.family)
	facts := probe.Facts{Phase: probe.Resolve, Server: trace.Server, RCode: trace.RCode, Warnings: trace.Warnings}
	for _, addr := range addrs {
		facts.Answers = append(facts.Answers, addr.String())
	}
	return facts, err
}
