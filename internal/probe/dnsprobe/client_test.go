package dnsprobe

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"netwatchd/internal/probe"
	"netwatchd/internal/resolvconf"
)

// late answers like handler, but after another nameserver on the loopback address has.
func late(handler dns.HandlerFunc) dns.HandlerFunc {
	return func(w dns.ResponseWriter, q *dns.Msg) {
		time.Sleep(50 * time.Millisecond)
		handler(w, q)
	}
}

func denying(w dns.ResponseWriter, q *dns.Msg) {
	w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeNameError))
}

func failing(w dns.ResponseWriter, q *dns.Msg) {
	w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeServerFailure))
}

// TestClientLookup is the table of docs/clients.md, measured with codex 0.104.0 and 0.169.0.
func TestClientLookup(t *testing.T) {
	for _, test := range []struct {
		name     string // the first label tells the nameserver how to misbehave
		first    dns.HandlerFunc
		second   dns.HandlerFunc
		class    probe.Class
		answers  string
		question string
		rcode    string
		why      string
	}{
		{name: "ok.com", first: behave, class: probe.OK, answers: "192.0.2.80 2001:db8::80", question: "ok.com A", rcode: "NOERROR"},
		{name: "four.com", first: behave, class: probe.OK, answers: "192.0.2.80", question: "four.com A", rcode: "NOERROR"},
		{name: "six.com", first: behave, class: probe.OK, answers: "2001:db8::80", question: "six.com AAAA", rcode: "NOERROR"},
		{name: "large.com", first: behave, class: probe.OK, answers: "192.0.2.80", question: "large.com A", rcode: "NOERROR"},
		{name: "alias.com", first: behave, class: probe.OK, answers: "192.0.2.80", question: "alias.com A", rcode: "NOERROR"},
		{name: "halfdropped.com", first: behave, class: probe.DNSTimeout, answers: "192.0.2.80",
			question: "halfdropped.com AAAA", why: "no answer"},
		{name: "halfservfail.com", first: behave, class: probe.DNSServfail, answers: "192.0.2.80",
			question: "halfservfail.com AAAA", rcode: "SERVFAIL", why: "codex would find no address: "},
		{name: "halfrefused.com", first: behave, class: probe.DNSRefused, answers: "192.0.2.80",
			question: "halfrefused.com AAAA", rcode: "REFUSED"},
		{name: "halfnotimp.com", first: behave, class: probe.DNSFailed, answers: "192.0.2.80",
			question: "halfnotimp.com AAAA", rcode: "NOTIMP"},
		{name: "halfformerr.com", first: behave, class: probe.DNSFailed, answers: "192.0.2.80",
			question: "halfformerr.com AAAA", rcode: "FORMERR"},
		{name: "halfnxdomain.com", first: behave, class: probe.DNSNameNotResolved, answers: "192.0.2.80",
			question: "halfnxdomain.com AAAA", rcode: "NXDOMAIN", why: "answers NXDOMAIN for halfnxdomain.com AAAA"},
		{name: "gone.com", first: behave, class: probe.DNSNameNotResolved, question: "gone.com A", rcode: "NXDOMAIN"},
		{name: "empty.com", first: behave, class: probe.DNSNoData, question: "empty.com A", rcode: "NOERROR"},
		{name: "zero.com", first: behave, class: probe.DNSWrongAnswer, answers: "0.0.0.0 ::", question: "zero.com A", rcode: "NOERROR"},
		{name: "suffixed.com", first: behave, class: probe.DNSFailed, question: "suffixed.com A", rcode: "NXDOMAIN",
			why: "about another name: suffixed.com.corp.test A"},
		{name: "malformed.com", first: behave, class: probe.DNSNoData, question: "malformed.com A", rcode: "NOERROR"},
		{name: "garbage.com", first: behave, class: probe.DNSTimeout, question: "garbage.com A"},

		{name: "ok.com", first: late(behave), second: denying, class: probe.DNSNameNotResolved, question: "ok.com A", rcode: "NXDOMAIN"},
		{name: "ok.com", first: late(denying), second: behave, class: probe.OK, answers: "192.0.2.80 2001:db8::80",
			question: "ok.com A", rcode: "NOERROR"},
		{name: "ok.com", first: stayingSilent, second: behave, class: probe.OK, answers: "192.0.2.80 2001:db8::80",
			question: "ok.com A", rcode: "NOERROR"},
		{name: "ok.com", first: refusing, second: late(behave), class: probe.OK, answers: "192.0.2.80 2001:db8::80",
			question: "ok.com A", rcode: "NOERROR"},
		{name: "ok.com", first: late(behave), second: failing, class: probe.OK, answers: "192.0.2.80 2001:db8::80",
			question: "ok.com A", rcode: "NOERROR"},
		{name: "halfservfail.com", first: behave, second: late(func(w dns.ResponseWriter, q *dns.Msg) {
			w.WriteMsg(new(dns.Msg).SetReply(q))
		}), class: probe.OK, answers: "192.0.2.80", question: "halfservfail.com A", rcode: "NOERROR"},
		{name: "ok.com", first: refusing, second: refusing, class: probe.DNSRefused, question: "ok.com A", rcode: "REFUSED"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			conf := resolvconf.Parse([]byte("options timeout:1"))
			conf.Nameservers = []netip.AddrPort{nameserver(t, test.first)}
			if test.second != nil {
				conf.Nameservers = append(conf.Nameservers, nameserver(t, test.second))
			}
			r := lookUpAsClient(t, &ClientLookup{Name: test.name, Client: "codex", conf: &conf})
			got := []string{r.Class.String(), strings.Join(r.Answers, " "), r.Question, r.RCode}
			want := []string{test.class.String(), test.answers, test.question, test.rcode}
			if diff := cmp.Diff(want, got); diff != "" || !strings.Contains(r.Why, test.why) {
				t.Errorf("class, answers, question, rcode (-want +got):\n%s\nwhy: %s, want %q in it", diff, r.Why, test.why)
			}
		})
	}
}

func lookUpAsClient(t *testing.T, l *ClientLookup) probe.Result {
	t.Helper()
	r, ok := probe.Do(t.Context(), &probe.Probe{
		Spec: probe.Spec{Kind: probe.KindDNS, Target: l.Name, Timeout: patienceInTests}, Prober: l,
	})
	if !ok {
		t.Fatal("the attempt was cut short")
	}
	return r
}

// TestClientWithoutTCP: an answer that does not fit into a datagram is fetched over TCP, or the lookup fails.
func TestClientWithoutTCP(t *testing.T) {
	t.Parallel()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(behave)}
	go server.ActivateAndServe()
	t.Cleanup(func() { conn.Close() })
	conf := resolvconf.Parse(nil)
	conf.Nameservers = []netip.AddrPort{netip.MustParseAddrPort(conn.LocalAddr().String())}
	r := lookUpAsClient(t, &ClientLookup{Name: "large.com", Client: "codex", conf: &conf})
	if r.Class != probe.DNSUnreachable || r.Question != "large.com A" || r.RCode != "NOERROR" {
		t.Errorf("got %v %s for %q (%s), want dns.unreachable NOERROR for large.com A", r.Class, r.RCode, r.Question, r.Why)
	}
}

// TestClientLosesDatagrams: one lost datagram in two is not a nameserver that never answers.
func TestClientLosesDatagrams(t *testing.T) {
	t.Parallel()
	var received atomic.Int32
	conf := resolvconf.Parse(nil)
	conf.Nameservers = []netip.AddrPort{nameserver(t, func(w dns.ResponseWriter, q *dns.Msg) {
		if received.Add(1) > 4 {
			behave(w, q)
		}
	})}
	r := lookUpAsClient(t, &ClientLookup{Name: "ok.com", Client: "codex", conf: &conf})
	if r.Class != probe.OK {
		t.Errorf("got %v (%s), want ok", r.Class, r.Why)
	}
}

// TestClientSearch: musl looks a short name up below each search domain, then as it is, and a name with enough dots
// below none.
func TestClientSearch(t *testing.T) {
	t.Parallel()
	server := nameserver(t, behave)
	for _, test := range []struct{ name, options, question string }{
		{"short", "search nx.test test", "short.test A"},
		{"ok.com", "search test", "ok.com A"},
		{"gone.com", "search test\noptions ndots:3", "gone.com A"},
		{"gone.com.", "search test\noptions ndots:9", "gone.com A"},
		{"silent", "search test\noptions timeout:1", "silent.test A"}, // no answer ends the search
	} {
		conf := resolvconf.Parse([]byte(test.options))
		conf.Nameservers = []netip.AddrPort{server}
		if test.name == "short" {
			conf.Search[0] = "gone.test"
			conf.Nameservers[0] = nameserver(t, func(w dns.ResponseWriter, q *dns.Msg) {
				if strings.HasPrefix(q.Question[0].Name, "short.gone.") {
					denying(w, q)
					return
				}
				behave(w, q)
			})
		}
		r := lookUpAsClient(t, &ClientLookup{Name: test.name, Client: "codex", conf: &conf})
		if r.Question != test.question {
			t.Errorf("%s with %q: decided by %q, want %q", test.name, test.options, r.Question, test.question)
		}
	}
}

// TestClientShares: while all is well, the lookups of a round ask no question twice; where one has no good answer, each
// lookup asks again by itself.
func TestClientShares(t *testing.T) {
	t.Parallel()
	var queries atomic.Int32
	var seen sync.Map
	counting := func(w dns.ResponseWriter, q *dns.Msg) {
		// On a busy machine a query is sent again, with the same ID, before its answer is read.
		if _, again := seen.LoadOrStore(fmt.Sprint(w.LocalAddr(), q.Id, q.Question[0]), true); !again {
			queries.Add(1)
		}
		behave(w, q)
	}
	for name, want := range map[string]int32{"ok.com": 4, "four.com": 4, "halfrefused.com": 10} {
		queries.Store(0)
		servers := []netip.AddrPort{nameserver(t, counting), nameserver(t, counting)}
		c := &Client{Name: "codex"}
		l := c.ForRound(name, servers)
		conf := resolvconf.Parse(nil)
		conf.Nameservers = servers
		l.conf, l.until = &conf, time.Now().Add(time.Minute) // a busy machine answers late
		probers := []probe.Prober{l,
			&Lookup{Name: name, Nameservers: servers[:1], Client: c}, &Lookup{Name: name, Nameservers: servers[1:], Client: c},
			&Lookup{Name: name, Types: []string{"A", "AAAA"}, Nameservers: servers[:1], Client: c}}
		results := make(chan probe.Result, len(probers))
		for _, p := range probers {
			go func() {
				r, _ := probe.Do(t.Context(), &probe.Probe{Spec: probe.Spec{Kind: probe.KindDNS, Timeout: time.Minute}, Prober: p})
				results <- r
			}()
		}
		for range probers {
			if r := <-results; name != "halfrefused.com" && (r.Class != probe.OK || len(r.Answers) == 0) {
				t.Errorf("%s: %v %s", name, r.Class, r.Why)
			}
		}
		// Nobody needs the second nameserver's answer for AAAA: on a busy machine it counts the query late.
		for deadline := time.Now().Add(time.Minute); queries.Load() < 4 && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		// Both nameservers refuse AAAA twice; then the lookup of both types asks again.
		if got := queries.Load(); got != want && !(name == "halfrefused.com" && got > 4 && got <= want) {
			t.Errorf("%s: %d queries, want %d", name, got, want)
		}
	}
}

// TestClientAlone: a lookup without a round to share in, or of another name, asks by itself.
func TestClientAlone(t *testing.T) {
	t.Parallel()
	server := nameserver(t, behave)
	c := &Client{Name: "codex"}
	c.ForRound("ok.com", []netip.AddrPort{server}) // never runs
	for _, name := range []string{"ok.com", "four.com"} {
		r := tryDNS(t, &Lookup{Name: name, Nameservers: []netip.AddrPort{server}, Client: c})
		if r.Class != probe.OK {
			t.Errorf("%s: %v %s", name, r.Class, r.Why)
		}
	}
}

func TestHostsAddresses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "hosts")
	text := "127.0.0.1 localhost\n# 192.0.2.1 ok.com\n192.0.2.2\tother.com ok.com # mine\n2001:db8::2 ok.com\nx ok.com\nok.com\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ file, name, want string }{
		{file, "ok.com", "192.0.2.2 2001:db8::2"}, {file, "OK.com", ""}, {file, "k.com", ""}, {fifo, "ok.com", ""},
		{dir, "ok.com", ""}, {file + "x", "ok.com", ""},
	} {
		got := strings.Join(outcomes{{reply: reply{addrs: hostsAddresses(test.file, test.name)}}}.texts(), " ")
		if got != test.want {
			t.Errorf("%s in %s: got %q, want %q", test.name, filepath.Base(test.file), got, test.want)
		}
	}
}

func TestClientCancelled(t *testing.T) {
	t.Parallel()
	conf := resolvconf.Parse(nil)
	conf.Nameservers = []netip.AddrPort{nameserver(t, stayingSilent)}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	l := &ClientLookup{Name: "ok.com", Client: "codex", conf: &conf}
	if _, ok := probe.Do(ctx, &probe.Probe{Spec: probe.Spec{Kind: probe.KindDNS}, Prober: l}); ok {
		t.Error("a cancelled lookup has a result")
	}
}
