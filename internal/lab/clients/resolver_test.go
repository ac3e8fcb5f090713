package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/dnsprobe"
)

var only = flag.String("codex", "",
	"the version of codex to ask, and no other program; newest: as make codex-newest installs it")

// An outcome is what each program found in a row.
type outcome struct {
	Programs map[string]end
	Client   probe.Result // netwatchd's lookup by musl's rules
	Own      string       // the error of netwatchd's own lookup; empty: it found the address
	Verdicts map[string]string
}

// In a process with these variables the row of that number is played, in namespaces of its own.
const (
	playedVariable  = "NETWATCHD_TEST_ROW"
	versionVariable = "NETWATCHD_TEST_ONLY_CODEX" // the flag -codex
)

// atOnce is how many rows are played in parallel. Most of a row is waiting for nameservers that do not answer.
const atOnce = 6

func TestMain(m *testing.M) {
	var i int
	if _, err := fmt.Sscan(os.Getenv(playedVariable), &i); err != nil {
		flag.Set("test.parallel", fmt.Sprint(atOnce))
		os.Exit(m.Run())
	}
	var o outcome
	var err error
	if i < len(rows) {
		o, err = play(rows[i])
	} else {
		o, err = faults[i-len(rows)].play()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(o)
}

// TestResolvers compares, in every row, the real programs with the table, and netwatchd's lookups and verdicts with the
// programs: a service is "resolver" where its client does not find the name, and usable where it does.
func TestResolvers(t *testing.T) {
	t.Parallel()
	all := needPrograms(t)
	for i, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			o := r.run(t, i)
			for _, p := range all {
				want := r.glibc
				if p.Musl {
					want = r.musl
				}
				if e, asked := o.Programs[p.Name]; !asked || e.Error != "" {
					t.Errorf("%s: asked: %v: %s: %s", p.Name, asked, e.Error, e.Said)
				} else if e.Found != want {
					t.Errorf("%s: found the address: %v, the table says %v: %s", p.Name, e.Found, want,
						e.Said)
				}
			}
			if o.Client.OK() != r.musl {
				t.Errorf("netwatchd by musl's rules: %v (%s), the table says %v", o.Client.Class, o.Client.Why, r.musl)
			}
			if found := o.Own == ""; found != (r.glibc || r.byGo) {
				t.Errorf("netwatchd's own lookup: found the address: %v (%s), the table says %v", found, o.Own, r.glibc)
			}
			for name, found := range map[string]bool{"musl": r.musl, "glibc": r.glibc || r.byGo} {
				v := o.Verdicts[name]
				if cause, title, _ := strings.Cut(v, ": "); (cause == "resolver") == found || cause == "inconclusive" ||
					strings.Contains(title, "no IPv4 address") { // each row has an A record
					t.Errorf("the verdict on a service whose client has %s's resolver: %q, the table says that it finds the name: %v",
						name, v, found)
				}
			}
		})
	}
}

func needPrograms(t *testing.T) []program {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: network and mount namespaces with their own /etc/resolv.conf")
	}
	for _, tool := range []string{"unshare", "ip", "nft", "getent", "node", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: apt-get install util-linux iproute2 nftables libc-bin nodejs curl", tool)
		}
	}
	all, err := programs(*only)
	if err != nil {
		t.Skip(err)
	}
	return all
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

// run plays the row in a process with namespaces and files of its own.
func (r row) run(t *testing.T, i int) outcome {
	t.Helper()
	etc := t.TempDir()
	var conf strings.Builder
	for i := range r.servers {
		fmt.Fprintf(&conf, "nameserver %s\n", nameservers[i])
	}
	fmt.Fprintf(&conf, "options %s%s\n", timeouts, r.options)
	for name, text := range map[string]string{"nsswitch.conf": "hosts: files dns\n", "hosts": "", "resolv.conf": conf.String()} {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*lookupLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private",
		"sh", "-c", `for f in resolv.conf hosts nsswitch.conf; do mount --bind "$1/$f" "/etc/$f" || exit 1; done; exec "$2"`,
		"sh", etc, os.Args[0])
	cmd.Env = append(os.Environ(), playedVariable+"="+fmt.Sprint(i), versionVariable+"="+*only,
		"GORACE=atexit_sleep_ms=0")
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
	all, err := programs(os.Getenv(versionVariable))
	if err != nil {
		return o, err
	}
	o.Programs = make(map[string]end)
	var mu sync.Mutex
	var running sync.WaitGroup
	for i, p := range all {
		running.Go(func() {
			e := p.lookup(ports + i)
			mu.Lock()
			defer mu.Unlock()
			o.Programs[p.Name] = e
		})
	}
	running.Go(func() {
		c := &dnsprobe.Client{Name: "codex"}
		o.Client, _ = probe.Do(context.Background(), &probe.Probe{Spec: probe.Spec{Kind: probe.KindDNS, Timeout: lookupLimit},
			Prober: c.ForRound(serviceName, nil)})
	})
	running.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), lookupLimit)
		defer cancel()
		if _, _, err := dnsprobe.LookupHost(ctx, nil, nil, serviceName, "any"); err != nil {
			o.Own = err.Error()
		}
	})
	var failed error
	running.Go(func() { o.Verdicts, failed = verdicts() })
	running.Wait()
	return o, failed
}

// serve brings the network up and starts the nameservers.
func (r row) serve() error {
	err := runAll("ip link set lo up", "ip addr add 192.0.2.53/32 dev lo", "ip addr add 192.0.2.54/32 dev lo",
		"ip addr add "+service+"/32 dev lo",
		"ip addr add 2001:db8::2/128 dev lo nodad", // else getent does not ask for AAAA (AI_ADDRCONFIG)
		"mount -t proc proc /proc")
	if err != nil {
		return err
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

func runAll(commands ...string) error {
	for _, command := range commands {
		words := strings.Fields(command)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", command, err, out)
		}
	}
	return nil
}
