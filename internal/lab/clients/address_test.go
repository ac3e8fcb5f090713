package clients

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// Other addresses of the service.
const (
	service6 = "2001:db8::80"
	another  = "192.0.2.81"
)

// A fault is what is wrong with one of the addresses of a name. Every program reaches the service all the same.
type fault struct {
	name      string
	addresses []string // of the name
	dropped   string   // packets to it are dropped
	refuses   string   // nobody listens there
	at        string   // where the programs connect
	waits     bool     // codex and curl try no other address until the kernel gives up
}

var faults = []fault{
	{name: "nothing", addresses: []string{service, service6}, at: service6},
	{name: "IPv6 is dropped", addresses: []string{service, service6}, dropped: service6, at: service},
	{name: "IPv4 is dropped", addresses: []string{service, service6}, dropped: service, at: service6},
	{name: "IPv6 refuses", addresses: []string{service, service6}, refuses: service6, at: service},
	{name: "IPv4 refuses", addresses: []string{service, service6}, refuses: service, at: service6},
	{name: "the first of two IPv4 addresses refuses", addresses: []string{service, another}, refuses: service,
		at: another},
	{name: "the first of two IPv4 addresses is dropped", addresses: []string{service, another}, dropped: service,
		at: another, waits: true},
}

// synRetries is how often the kernel repeats a SYN, after 1, 2 and 4 seconds, in place of six times or more: it gives
// up after 15 seconds, not after two minutes.
const synRetries = 3

// A program that waits for the kernel sends all of its SYNs to the address that is dropped. One that does not wait
// sends the fourth only if it takes seven seconds to try the other address: RFC 8305 has 250 ms.
func waited(e end) bool { return e.Dropped == synRetries+1 }

func (f fault) answer(q *dns.Msg) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	header := dns.RR_Header{Name: q.Question[0].Name, Rrtype: q.Question[0].Qtype, Class: dns.ClassINET, Ttl: 5}
	for _, address := range f.addresses {
		switch ip := net.ParseIP(address); {
		case header.Rrtype == dns.TypeA && ip.To4() != nil:
			m.Answer = append(m.Answer, &dns.A{Hdr: header, A: ip})
		case header.Rrtype == dns.TypeAAAA && ip.To4() == nil:
			m.Answer = append(m.Answer, &dns.AAAA{Hdr: header, AAAA: ip})
		}
	}
	return m
}

// play runs every program that connects.
func (f fault) play() (o outcome, err error) {
	if err := (row{servers: []handler{f.answer}}).serve(); err != nil {
		return o, err
	}
	err = runAll(fmt.Sprintf("sysctl -qw net.ipv4.tcp_syn_retries=%d", synRetries),
		"ip addr add "+another+"/32 dev lo", "ip addr add "+service6+"/128 dev lo nodad",
		"nft add table inet t", "nft add chain inet t in { type filter hook input priority 0 ; }")
	if err != nil {
		return o, err
	}
	// Linux since 6.5 repeats the first four every second.
	linear := "/proc/sys/net/ipv4/tcp_syn_linear_timeouts"
	if err := os.WriteFile(linear, []byte("0"), 0o644); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return o, err
	}
	all, err := programs(os.Getenv(versionVariable))
	if err != nil {
		return o, err
	}
	all = slices.DeleteFunc(append(all, program{Name: curl}), func(p program) bool { return p.Name == getent })
	listening := slices.DeleteFunc(slices.Clone(f.addresses), func(a string) bool { return a == f.refuses })
	o.Programs = make(map[string]end)
	var mu sync.Mutex
	var running sync.WaitGroup
	for i, p := range all {
		port := ports + i
		if err := f.drop(port); err != nil {
			return o, err
		}
		running.Go(func() {
			e := p.connects(port, listening...)
			if f.dropped != "" && e.Error == "" {
				e.Dropped, err = droppedAt(port)
				if err != nil {
					e.Error = err.Error()
				}
			}
			mu.Lock()
			defer mu.Unlock()
			o.Programs[p.Name] = e
		})
	}
	running.Wait()
	return o, nil
}

// drop drops what is sent to a port of the address, and counts it.
func (f fault) drop(port int) error {
	if f.dropped == "" {
		return nil
	}
	family := "ip"
	if strings.Contains(f.dropped, ":") {
		family = "ip6"
	}
	counter := fmt.Sprintf("port%d", port)
	return runAll("nft add counter inet t "+counter,
		fmt.Sprintf("nft add rule inet t in %s daddr %s tcp dport %d counter name %s drop", family, f.dropped, port, counter))
}

var packets = regexp.MustCompile(`packets (\d+)`)

func droppedAt(port int) (int, error) {
	out, err := exec.Command("nft", "list", "counter", "inet", "t", fmt.Sprintf("port%d", port)).CombinedOutput()
	if found := packets.FindSubmatch(out); found != nil {
		return strconv.Atoi(string(found[1]))
	}
	return 0, fmt.Errorf("no counter: %v: %s", err, out)
}

// TestAddresses compares where the real programs connect, if one address of the name does not work, with the faults.
func TestAddresses(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	for i, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			o := row{servers: []handler{f.answer}}.run(t, len(rows)+i)
			if o.Programs[curl].At == "" {
				t.Error("curl was not asked")
			}
			for name, e := range o.Programs {
				waits := f.waits && (name == curl || strings.HasPrefix(name, "codex"))
				// On a busy machine the other family may win.
				isRight := e.At == f.at || e.At != "" && f.dropped+f.refuses == ""
				if e.Error != "" || !isRight || waited(e) != waits {
					t.Errorf("%s: connected to %q after %d dropped packets, want %q, waiting for the kernel: %v; %s %s",
						name, e.At, e.Dropped, f.at, waits, e.Error, e.Said)
				}
			}
		})
	}
}

// TestTableOfAddresses compares docs/clients.md with the faults.
func TestTableOfAddresses(t *testing.T) {
	text, err := os.ReadFile("../../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		where := map[string]string{service: "IPv4", service6: "IPv6", another: "the second"}[f.at]
		patient := where
		if f.waits {
			patient += ", **after two minutes**"
		}
		if line := fmt.Sprintf("| %s | %s | %s |\n", f.name, patient, where); !strings.Contains(string(text), line) {
			t.Errorf("docs/clients.md lacks this row:\n%s", line)
		}
	}
}
