package main

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestReply(t *testing.T) {
	for _, tt := range []struct {
		qtype uint16
		want  int // answers
	}{{dns.TypeA, 1}, {dns.TypeAAAA, 0}} {
		query := new(dns.Msg).SetQuestion("host-1.example.", tt.qtype).SetEdns0(1232, false)
		buf := make([]byte, 1500)
		packed, err := query.PackBuffer(buf)
		if err != nil {
			t.Fatal(err)
		}
		reply := new(dns.Msg)
		if err := reply.Unpack(replyTo(buf, len(packed))); err != nil {
			t.Fatal(err)
		}
		if !reply.Response || reply.Id != query.Id || len(reply.Answer) != tt.want || reply.Question[0] != query.Question[0] {
			t.Errorf("got %v, want %d answers to %v", reply, tt.want, query.Question[0])
		}
	}
	if reply := replyTo([]byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 63}, 13); reply != nil {
		t.Errorf("a question cut short: got %v, want no reply", reply)
	}
}

func TestQuantile(t *testing.T) {
	buckets := []bucket{{.001, 50}, {.002, 90}, {.005, 100}, {math.Inf(1), 101}}
	for _, tt := range []struct {
		q    float64
		want time.Duration
	}{{0, 0}, {50. / 101, time.Millisecond}, {70. / 101, 1500 * time.Microsecond}, {95. / 101, 3500 * time.Microsecond}, {1, 5 * time.Millisecond}} {
		if got := quantile(buckets, tt.q); got != tt.want {
			t.Errorf("quantile %v: got %v, want %v", tt.q, got, tt.want)
		}
	}
	if got := quantile(nil, .99); got != 0 {
		t.Errorf("of nothing: got %v, want 0", got)
	}
}

func TestDeviations(t *testing.T) {
	a := newArrivals(3)
	add := func(target int, came ...time.Duration) {
		for _, c := range came {
			a.add(target, a.begun.Add(c), time.Time{})
		}
	}
	const ms = time.Millisecond
	add(0, 100*ms, 1100*ms, 2103*ms, 3100*ms) // one start is 3 ms late
	add(1, 990*ms, 3010*ms, 3990*ms)          // one was missed, one is 20 ms late
	add(2, 5*ms, 1500*ms)                     // too few to know the plan
	got := a.deviations(time.Second)
	want := []time.Duration{0, 0, 0, 0, 0, 3 * ms, 20 * ms}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if at(got, 1) != 20*ms || at(got, .5) != 0 || at(nil, .5) != 0 {
		t.Errorf("the values at 1, .5 and of nothing: %v, %v, %v", at(got, 1), at(got, .5), at(nil, .5))
	}
}

// The reported time of an attempt is compared with that of its own request.
func TestErrors(t *testing.T) {
	a := newArrivals(1)
	const ms = time.Millisecond
	for _, came := range []time.Duration{100 * ms, 1100 * ms} {
		a.add(0, a.begun.Add(came), a.begun.Add(came+50*ms+came/100))
	}
	latest := map[string]attempted{"p0": {start: a.begun.Add(1099 * ms), took: 60 * ms}, "other": {}}
	if got, want := a.errors(latest), []time.Duration{ms}; !slices.Equal(got, want) { // 61 ms in truth
		t.Errorf("got %v, want %v", got, want)
	}
}

// The tables are those of docs/performance.md: a value with a limit has it in parentheses.
func TestTable(t *testing.T) {
	l := load{name: "dns-each", kind: "dns", targets: 10, interval: time.Second}.withDefaults()
	ours := measured{load: l, span: 10 * time.Second, made: 99, each: 40 * time.Microsecond, resident: 50 * mb, failed: 1}
	lean := measured{load: l, made: 100, each: 20 * time.Microsecond}
	var all table
	all.add(ours, lean)
	all.note("a scrape", "100 ms", "150 ms")
	var text strings.Builder
	all.print(&text)
	for _, want := range []string{
		"| `dns-each`: 10 dns probes every 1s at 10 addresses | 40 µs (38 µs) | 20 µs | 2.00 (1.5) | 50 MB (60) | 0.00 ms |" +
			" 0.00 ms (3.00 ms) | 99.00 %, 1 failed |\n",
		"| a scrape | 100 ms | 150 ms |\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("got\n%s\nwithout\n%s", &text, want)
		}
	}
}

// The leanest program makes the requests of each kind of load, and every one reaches its target.
func TestLean(t *testing.T) {
	for _, kind := range []string{"dns", "http", "https"} {
		t.Run(kind, func(t *testing.T) {
			l := load{kind: kind, targets: 5, interval: time.Second}.withDefaults()
			targets, err := startTargets(l)
			if err != nil {
				t.Fatal(err)
			}
			defer targets.close()
			ca := filepath.Join(t.TempDir(), "ca.pem")
			if err := targets.writeCAIfAny(ca); err != nil {
				t.Fatal(err)
			}
			task := leanTask{Kind: kind, Targets: l.targets, Servers: l.servers, Interval: time.Minute, Port: targets.port}
			one, err := task.starter(ca)
			if err != nil {
				t.Fatal(err)
			}
			for i := range l.targets {
				one(i)
			}
			for deadline := time.Now().Add(time.Minute); targets.count() < l.targets; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("%d of %d requests have come", targets.count(), l.targets)
				}
			}
			for i, came := range targets.perNode {
				if len(came) != 1 {
					t.Errorf("target %d has %d requests, want 1", i, len(came))
				}
			}
		})
	}
}
