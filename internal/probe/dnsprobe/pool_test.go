package dnsprobe

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"netwatchd/internal/probe"
	"netwatchd/internal/udpsocket"
)

// tryOnLine makes the attempt on a line. One that no line takes is made by itself, as the watcher does.
func tryOnLine(t *testing.T, d *Lookup) probe.Result {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	lines := NewPool(ctx)
	t.Cleanup(func() { cancel(); lines.Wait() })
	return tryOn(t, lines, d)
}

func tryOn(t *testing.T, lines *Pool, d *Lookup) probe.Result {
	t.Helper()
	ended := make(chan probe.Result, 1)
	p := &probe.Probe{Spec: probe.Spec{Kind: probe.KindDNS, Target: d.Name, Timeout: patienceInTests}, Prober: d}
	if !lines.Start(p, func(r probe.Result) { ended <- r }) {
		return tryDNS(t, d)
	}
	return <-ended
}

// Thousands at once, each of a fate of its own: every one hears its own answer, and nobody another's.
func TestLinesManyAtOnce(t *testing.T) {
	server := nameserver(t, behave)
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(t.Context())
	lines := NewPool(ctx)
	fates := []struct {
		label string
		class probe.Class
	}{{"ok", probe.OK}, {"gone", probe.DNSNameNotResolved}, {"servfail", probe.DNSServfail}, {"silent", probe.DNSTimeout}, {"large", probe.OK}, {"malformed", probe.DNSFailed}}
	var all sync.WaitGroup
	room := make(chan struct{}, 200) // the nameserver's socket holds so many questions
	for i := range 3000 {
		fate := fates[i%len(fates)]
		if i%50 != 0 && fate.label == "large" { // a connection each
			fate = fates[0]
		}
		room <- struct{}{}
		all.Add(1)
		name := fmt.Sprintf("%s.n%d.com", fate.label, i)
		p := &probe.Probe{Spec: probe.Spec{Name: name, Timeout: patienceInTests},
			Prober: &Lookup{Name: name, Types: []string{"A", "AAAA"}[i%2 : i%2+1], Nameservers: []netip.AddrPort{server}}}
		started := lines.Start(p, func(r probe.Result) {
			defer func() { <-room; all.Done() }()
			if r.Name != name || r.Class != fate.class {
				t.Errorf("%s: got %v as %s, want %v: %s", name, r.Class, r.Name, fate.class, r.Why)
			}
		})
		if !started {
			t.Fatal("no line takes it")
		}
	}
	all.Wait()
	cancel()
	lines.Wait()
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}

// Whoever is asked through a socket that is a second old is asked through a new one, and the old one is closed.
func TestLinesAreRenewed(t *testing.T) {
	peers := make(chan string, 1)
	server := nameserver(t, func(w dns.ResponseWriter, q *dns.Msg) { peers <- w.RemoteAddr().String(); behave(w, q) })
	lines := NewPool(t.Context())
	from := func() string {
		tryOn(t, lines, &Lookup{Name: "ok.com", Nameservers: []netip.AddrPort{server}})
		return <-peers
	}
	first := from()
	if again := from(); again != first {
		t.Errorf("asked from %s, then from %s, want the same", first, again)
	}
	old := lines.sockets["udp4"]
	old.mu.Lock()
	old.made = old.made.Add(-socketLifetime)
	old.mu.Unlock()
	if again := from(); again == first {
		t.Errorf("asked from %s again, a second later", again)
	}
	lines.Wait() // what nobody asks through is closed by itself
	if len(lines.sockets) != 0 {
		t.Errorf("%d sockets are kept", len(lines.sockets))
	}
}

// An answer that comes twice, or too late, is not taken for a stranger's.
func TestLinesLateAnswers(t *testing.T) {
	late := make(chan func(), 2) // it is asked twice
	server := nameserver(t, func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.Answer = records(q.Question[0].Name, dns.TypeA, "192.0.2.80", "")
		switch q.Question[0].Name {
		case "late.com.":
			late <- func() { w.WriteMsg(m) }
		case "twice.com.":
			w.WriteMsg(m)
			w.WriteMsg(m)
		}
	})
	lines := NewPool(t.Context())
	ask := func(name string, timeout time.Duration) <-chan probe.Result {
		ended := make(chan probe.Result, 1)
		lines.Start(&probe.Probe{Spec: probe.Spec{Timeout: timeout}, Prober: &Lookup{Name: name, Nameservers: []netip.AddrPort{server}}},
			func(r probe.Result) { ended <- r })
		return ended
	}
	silent := ask("silent.com", patienceInTests/2)
	slow := ask("late.com", patienceInTests/10)
	if r := <-slow; r.Class != probe.DNSTimeout {
		t.Errorf("late: got %v: %s", r.Class, r.Why)
	}
	(<-late)()
	if r := <-ask("twice.com", patienceInTests); r.Class != probe.OK {
		t.Errorf("twice: got %v: %s", r.Class, r.Why)
	}
	if r := <-silent; r.Class != probe.DNSTimeout {
		t.Errorf("silent: got %v, though the others' answers are no strangers: %s", r.Class, r.Why)
	}
}

// A refused port ends everything that is open at once, and what is asked next.
func TestLinesRefused(t *testing.T) {
	conn, err := net.ListenPacket("udp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	server := netip.MustParseAddrPort(conn.LocalAddr().String())
	lines := NewPool(t.Context())
	d := &Lookup{Name: "ok.com", Types: []string{"A", "AAAA"}, Nameservers: []netip.AddrPort{server}}
	ended := make(chan probe.Result, 2)
	start := func() {
		lines.Start(&probe.Probe{Spec: probe.Spec{Timeout: time.Hour}, Prober: d}, func(r probe.Result) { ended <- r })
	}
	start() // nobody answers, but the port is there
	conn.Close()
	start()
	for range 2 {
		if r := <-ended; r.Class != probe.DNSUnreachable || r.Server != server.String() {
			t.Errorf("got %v from %s: %s", r.Class, r.Server, r.Why)
		}
	}
}

// TestPoolSharesOneSocket: many nameservers, healthy, refused and silent, are asked through one socket. Each query ends
// with the fate of its own nameserver.
func TestPoolSharesOneSocket(t *testing.T) {
	t.Parallel()
	var sources sync.Map
	noting := func(h dns.HandlerFunc) dns.HandlerFunc {
		return func(w dns.ResponseWriter, q *dns.Msg) { sources.Store(w.RemoteAddr().String(), true); h(w, q) }
	}
	servers := make([]netip.AddrPort, 60)
	want := []probe.Class{probe.OK, probe.DNSUnreachable, probe.DNSTimeout}
	for i := range servers {
		switch want[i%len(want)] {
		case probe.OK:
			servers[i] = nameserver(t, noting(behave))
		case probe.DNSTimeout:
			servers[i] = nameserver(t, noting(stayingSilent))
		default:
			conn, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			servers[i] = netip.MustParseAddrPort(conn.LocalAddr().String())
			defer conn.Close()
			conn.Close()
		}
	}
	lines := NewPool(t.Context())
	var ended sync.WaitGroup
	for i := range 10 * len(servers) {
		ended.Add(1)
		server := servers[i%len(servers)]
		timeout := patienceInTests
		if want[i%len(want)] == probe.DNSTimeout {
			timeout = time.Second // it passes
		}
		p := &probe.Probe{Spec: probe.Spec{Timeout: timeout}, Prober: &Lookup{Name: "ok.com", Nameservers: []netip.AddrPort{server}}}
		lines.Start(p, func(r probe.Result) {
			defer ended.Done()
			if class := want[i%len(want)]; r.Class != class || r.Server != server.String() {
				t.Errorf("got %v from %s, want %v from %s: %s", r.Class, r.Server, class, server, r.Why)
			}
		})
	}
	ended.Wait()
	used := 0
	sources.Range(func(any, any) bool { used++; return true })
	if limit := 3; used > limit { // a new one after a second, on a busy machine
		t.Errorf("%d nameservers were asked from %d sockets, want at most %d", len(servers), used, limit)
	}
}

// TestPoolIgnoresStrangers: an answer from another address is not the nameserver's, however right it is.
func TestPoolIgnoresStrangers(t *testing.T) {
	t.Parallel()
	stranger, err := net.ListenPacket("udp4", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	server := nameserver(t, func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.Answer = records(q.Question[0].Name, dns.TypeA, "192.0.2.66", "")
		if forged, err := m.Pack(); err == nil {
			stranger.WriteTo(forged, w.RemoteAddr())
		}
		behave(w, q)
	})
	r := tryOnLine(t, &Lookup{Name: "ok.com", Nameservers: []netip.AddrPort{server}})
	if r.Class != probe.OK || len(r.Answers) != 1 || r.Answers[0] != "192.0.2.80" {
		t.Errorf("got %v %v: %s", r.Class, r.Answers, r.Why)
	}
}

// TestPoolOwnDelay: the time that an answer waits for this program is not the nameserver's.
func TestPoolOwnDelay(t *testing.T) {
	t.Parallel()
	awaitTimestamps(t)
	const stall = 100 * time.Millisecond
	first := make(chan func(), 1)
	written := make(chan time.Time, 1)
	server := nameserver(t, func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.Answer = records(q.Question[0].Name, dns.TypeA, "192.0.2.80", "")
		if q.Question[0].Name == "first.com." {
			first <- func() { w.WriteMsg(m) }
			return
		}
		(<-first)()
		w.WriteMsg(m)
		written <- time.Now()
	})
	lines := NewPool(t.Context())
	ask := func(name string, done func(probe.Result)) {
		lines.Start(&probe.Probe{Spec: probe.Spec{Timeout: patienceInTests}, Prober: &Lookup{Name: name, Nameservers: []netip.AddrPort{server}}}, done)
	}
	ended := make(chan probe.Result, 1)
	var answered time.Time
	ask("first.com", func(probe.Result) { // in the goroutine that reads
		answered = <-written
		time.Sleep(stall)
	})
	ask("second.com", func(r probe.Result) { ended <- r })
	if r := <-ended; r.Class != probe.OK || r.Start.Add(r.Elapsed.Duration()-stall).After(answered) || r.Phases[probe.Resolve] != r.Elapsed {
		t.Errorf("got %v after %v, of it %v for the lookup; the answer was sent after %v", r.Class, r.Elapsed.Duration(),
			r.Phases[probe.Resolve].Duration(), answered.Sub(r.Start))
	}
}

// awaitTimestamps waits until the kernel notes when datagrams arrive: it begins some time after the first socket that
// requests it (net/core/dev.c, net_enable_timestamp).
func awaitTimestamps(t *testing.T) {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	udpsocket.RequestTimestamps(conn)
	const wait = 10 * time.Millisecond
	for control := make([]byte, udpsocket.TimestampSize); ; {
		if _, err := conn.WriteTo([]byte{0}, conn.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(wait)
		_, n, _, _, err := conn.ReadMsgUDP(make([]byte, 1), control)
		if err != nil {
			t.Fatal(err)
		}
		if now := time.Now(); now.Sub(udpsocket.Arrival(control[:n], now)) >= wait/2 {
			return
		}
	}
}

// What nobody waits for any more is not told, and nothing is left behind.
func TestLinesEnd(t *testing.T) {
	asked := make(chan struct{}, 1)
	server := nameserver(t, func(dns.ResponseWriter, *dns.Msg) { asked <- struct{}{} })
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(t.Context())
	lines := NewPool(ctx)
	lines.Start(&probe.Probe{Prober: &Lookup{Name: "ok.com", Nameservers: []netip.AddrPort{server}}}, func(r probe.Result) {
		t.Errorf("told of %v: %s", r.Class, r.Why)
	})
	<-asked
	cancel()
	lines.Wait()
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}
