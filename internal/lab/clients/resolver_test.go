package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/dnsprobe"
)

// A row is one way in which nameservers answer, and which programs then find the address of a name that has an A record.
type row struct {
	name    string
	servers []handler // of UDP, in the order of resolv.conf
	tcp     bool      // they answer rightly over TCP
	options string
	musl    bool // programs linked with musl find the address
	glibc   bool // those linked with glibc do
	byGo    bool // netwatchd's own lookup does, where it differs from glibc
}

// A handler returns a nameserver's answer to a question; nil: none.
type handler func(q *dns.Msg) *dns.Msg

const (
	serviceName = "service.example"
	service     = "192.0.2.80"
	ports       = 8100 // one for each program, from here on
)

var nameservers = []string{"192.0.2.53", "192.0.2.54"}

func right(q *dns.Msg) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	if q.Question[0].Qtype == dns.TypeA {
		m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 5},
			A: net.ParseIP(service)}}
	}
	return m
}

func silent(*dns.Msg) *dns.Msg { return nil }

func code(rcode int) handler {
	return func(q *dns.Msg) *dns.Msg { return new(dns.Msg).SetRcode(q, rcode) }
}

func truncated(q *dns.Msg) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	m.Truncated, m.RecursionAvailable = true, true // glibc takes an empty answer without recursion for a lame delegation
	return m
}

// suffixed answers a question as if a search domain had been appended to its name.
func suffixed(q *dns.Msg) *dns.Msg {
	m := new(dns.Msg).SetRcode(q, dns.RcodeNameError)
	m.Question[0].Name += "corp.example."
	return m
}

// aaaa answers AAAA with h, and A rightly.
func aaaa(h handler) handler {
	return func(q *dns.Msg) *dns.Msg {
		if q.Question[0].Qtype == dns.TypeAAAA {
			return h(q)
		}
		return right(q)
	}
}

// slower answers like h, after the other nameserver.
func slower(h handler) handler {
	return func(q *dns.Msg) *dns.Msg {
		time.Sleep(300 * time.Millisecond)
		return h(q)
	}
}

// rows are the rows of docs/clients.md.
var rows = []row{
	{name: "A right, AAAA empty: the normal case", servers: []handler{right}, musl: true, glibc: true},
	{name: "A right, AAAA dropped", servers: []handler{aaaa(silent)}, glibc: true},
	{name: "A right, AAAA SERVFAIL", servers: []handler{aaaa(code(dns.RcodeServerFailure))}, glibc: true},
	{name: "A right, AAAA NXDOMAIN", servers: []handler{aaaa(code(dns.RcodeNameError))}, glibc: true},
	{name: "A right, AAAA NOTIMP", servers: []handler{aaaa(code(dns.RcodeNotImplemented))}, glibc: true},
	{name: "A right, AAAA REFUSED", servers: []handler{aaaa(code(dns.RcodeRefused))}, glibc: true},
	{name: "A right, AAAA FORMERR", servers: []handler{aaaa(code(dns.RcodeFormatError))}, glibc: true},
	{name: "A right, AAAA answered about another name", servers: []handler{aaaa(suffixed)}, glibc: true},
	{name: "A right, AAAA truncated, no TCP", servers: []handler{aaaa(truncated)}, byGo: true},
	{name: "truncated, TCP answers", servers: []handler{truncated}, tcp: true, musl: true, glibc: true},
	{name: "truncated, no TCP", servers: []handler{truncated}},
	{name: "first right but slower, second NXDOMAIN", servers: []handler{slower(right), code(dns.RcodeNameError)}, glibc: true},
	{name: "first NXDOMAIN but slower, second right", servers: []handler{slower(code(dns.RcodeNameError)), right}, musl: true},
	{name: "first dropped, second right", servers: []handler{silent, right}, musl: true, glibc: true},
	{name: "first REFUSED, second right", servers: []handler{code(dns.RcodeRefused), right}, musl: true, glibc: true},
	{name: "first SERVFAIL, second right", servers: []handler{code(dns.RcodeServerFailure), right}, musl: true, glibc: true},
	{name: "first right but slower, second SERVFAIL", servers: []handler{slower(right), code(dns.RcodeServerFailure)}, musl: true, glibc: true},
	{name: "first: A right, AAAA SERVFAIL; second right", servers: []handler{aaaa(code(dns.RcodeServerFailure)), right}, musl: true, glibc: true},
	{name: "options use-vc, UDP dead, TCP answers", servers: []handler{silent}, tcp: true, options: " use-vc", glibc: true},
}

// An outcome is what each program found in a row.
type outcome struct {
	Programs map[string]bool   // "codex 0.104.0", "getent", "node": whether it found the address
	Said     map[string]string // their output, shortened
	Client   probe.Result      // netwatchd's lookup by musl's rules
	Own      string            // the error of netwatchd's own lookup; empty: it found the address
}

// playedVariable holds the number of the row that this process plays in namespaces of its own.
const playedVariable = "NETWATCHD_TEST_ROW"

func TestMain(m *testing.M) {
	var i int
	if _, err := fmt.Sscan(os.Getenv(playedVariable), &i); err != nil {
		os.Exit(m.Run())
	}
	o, err := play(rows[i])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(o)
}

// TestResolvers compares, in every row, the real programs with the table, and netwatchd's lookups with the programs.
func TestResolvers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: network and mount namespaces with their own /etc/resolv.conf")
	}
	for _, tool := range []string{"unshare", "ip", "getent", "node"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: apt-get install util-linux iproute2 libc-bin nodejs", tool)
		}
	}
	if len(installed()) == 0 {
		t.Skip("needs codex: make codex")
	}
	for i, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			o := r.run(t, i)
			for program, found := range o.Programs {
				want := r.glibc
				if strings.HasPrefix(program, "codex") {
					want = r.musl
				}
				if found != want {
					t.Errorf("%s: found the address: %v, the table says %v: %s", program, found, want, o.Said[program])
				}
			}
			if o.Client.OK() != r.musl {
				t.Errorf("netwatchd by musl's rules: %v (%s), the table says %v", o.Client.Class, o.Client.Why, r.musl)
			}
			if found := o.Own == ""; found != (r.glibc || r.byGo) {
				t.Errorf("netwatchd's own lookup: found the address: %v (%s), the table says %v", found, o.Own, r.glibc)
			}
		})
	}
}

// TestTable compares docs/clients.md with the rows.
func TestTable(t *testing.T) {
	text, err := os.ReadFile("../../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	word := map[bool]string{true: "found", false: "**not found**"}
	for _, r := range rows {
		if line := fmt.Sprintf("| %s | %s | %s |\n", r.name, word[r.musl], word[r.glibc]); !strings.Contains(string(text), line) {
			t.Errorf("docs/clients.md lacks this row:\n%s", line)
		}
	}
}

// installed returns the native programs of each version of codex that `make codex` has installed.
func installed() map[string]string {
	all := make(map[string]string)
	found, _ := filepath.Glob("../../../.cache/codex/*/node_modules/@openai/codex-linux-*/vendor/*/*/codex")
	for _, path := range found {
		version, _, _ := strings.Cut(path[strings.Index(path, "/codex/")+len("/codex/"):], "/")
		if absolute, err := filepath.Abs(path); err == nil {
			all["codex "+version] = absolute
		}
	}
	return all
}

// run plays the row in a process with namespaces and files of its own.
func (r row) run(t *testing.T, i int) outcome {
	t.Helper()
	etc := t.TempDir()
	var conf strings.Builder
	for i := range r.servers {
		fmt.Fprintf(&conf, "nameserver %s\n", nameservers[i])
	}
	fmt.Fprintf(&conf, "options timeout:1 attempts:2%s\n", r.options)
	for name, text := range map[string]string{"nsswitch.conf": "hosts: files dns\n", "hosts": "", "resolv.conf": conf.String()} {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private",
		"sh", "-c", `for f in resolv.conf hosts nsswitch.conf; do mount --bind "$1/$f" "/etc/$f" || exit 1; done; exec "$2"`,
		"sh", etc, os.Args[0])
	cmd.Env = append(os.Environ(), playedVariable+"="+fmt.Sprint(i), "GORACE=atexit_sleep_ms=0")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, &errs)
	}
	var o outcome
	if err := json.Unmarshal(out.Bytes(), &o); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	return o
}

// play runs the nameservers, then every program at once.
func play(r row) (o outcome, err error) {
	if err := r.serve(); err != nil {
		return o, err
	}
	o.Programs, o.Said = make(map[string]bool), make(map[string]string)
	var mu sync.Mutex
	var running sync.WaitGroup
	add := func(program string, run func() (bool, string)) {
		running.Go(func() {
			found, said := run()
			mu.Lock()
			defer mu.Unlock()
			o.Programs[program], o.Said[program] = found, said
		})
	}
	add("getent", func() (bool, string) { return finds("getent", "ahosts", serviceName) })
	add("node", func() (bool, string) {
		return finds("node", "-e", `require("dns").lookup(process.argv[1], {all: true}, (e, a) => console.log(e ? e.code : JSON.stringify(a)))`,
			serviceName)
	})
	codexes := installed()
	port := ports
	for program, path := range codexes {
		port++
		listener, err := net.Listen("tcp", netip.AddrPortFrom(netip.MustParseAddr(service), uint16(port)).String())
		if err != nil {
			return o, err
		}
		at := fmt.Sprintf("http://%s:%d/v1", serviceName, port)
		add(program, func() (bool, string) { return connects(listener, path, at) })
	}
	running.Go(func() {
		c := &dnsprobe.Client{Name: "codex"}
		o.Client, _ = probe.Do(context.Background(), &probe.Probe{Spec: probe.Spec{Kind: probe.KindDNS, Timeout: 5 * time.Second},
			Prober: c.ForRound(serviceName, nil)})
	})
	running.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		defer cancel()
		if _, _, err := dnsprobe.LookupHost(ctx, nil, nil, serviceName, "any"); err != nil {
			o.Own = err.Error()
		}
	})
	running.Wait()
	return o, nil
}

// serve brings the network up and starts the nameservers.
func (r row) serve() error {
	for _, command := range []string{"ip link set lo up", "ip addr add 192.0.2.53/32 dev lo", "ip addr add 192.0.2.54/32 dev lo",
		"ip addr add 192.0.2.80/32 dev lo",
		"ip addr add 2001:db8::2/128 dev lo nodad", // else getent does not ask for AAAA (AI_ADDRCONFIG)
		"mount -t proc proc /proc"} {
		words := strings.Fields(command)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", command, err, out)
		}
	}
	for i, h := range r.servers {
		udp, err := net.ListenPacket("udp", nameservers[i]+":53")
		if err != nil {
			return err
		}
		go (&dns.Server{PacketConn: udp, Handler: answering(h)}).ActivateAndServe()
		if !r.tcp {
			continue
		}
		tcp, err := net.Listen("tcp", nameservers[i]+":53")
		if err != nil {
			return err
		}
		go (&dns.Server{Listener: tcp, Handler: answering(right)}).ActivateAndServe()
	}
	return nil
}

func answering(h handler) dns.HandlerFunc {
	return func(w dns.ResponseWriter, q *dns.Msg) {
		if m := h(q); m != nil {
			w.WriteMsg(m)
		}
	}
}

// finds reports whether the command prints the service's address.
func finds(command ...string) (bool, string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	out, _ := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
	return strings.Contains(string(out), service), string(out)
}

// givenUp is how long codex is given to connect. Its lookup ends two seconds after it began (timeout:1 attempts:2, and
// musl's timeout is of the whole lookup); starting takes one second on an idle machine.
const givenUp = 15 * time.Second

// connects reports whether a run of codex connects to its base URL. Newer versions try for ever.
func connects(listener net.Listener, path, baseURL string) (bool, string) {
	home, err := os.MkdirTemp("/var/tmp", "netwatchd-test-")
	if err != nil {
		return false, err.Error()
	}
	defer os.RemoveAll(home)
	config := "model_provider = \"x\"\n[model_providers.x]\nname = \"x\"\nbase_url = \"" + baseURL +
		"\"\nwire_api = \"responses\"\nrequest_max_retries = 0\nstream_max_retries = 0\n"
	if err := os.WriteFile(filepath.Join(home, "config.toml"), []byte(config), 0o600); err != nil {
		return false, err.Error()
	}
	ctx, cancel := context.WithTimeout(context.Background(), givenUp)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "exec", "--skip-git-repo-check", "hi")
	cmd.Dir = home
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.Contains(strings.ToLower(v), "proxy") }),
		"CODEX_HOME="+home, "HOME="+home)
	cmd.WaitDelay = time.Second
	connected := make(chan bool, 1)
	go func() {
		conn, err := listener.Accept()
		if connected <- err == nil; err == nil {
			conn.Close()
			cancel()
		}
	}()
	out, _ := cmd.CombinedOutput()
	listener.Close()
	return <-connected, string(out[max(0, len(out)-300):])
}
