package dnsprobe

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"netwatchd/internal/probe"
)

// serveDNSVariable makes this test binary a nameserver in a process of its own, so that its work is not counted as ours.
const serveDNSVariable = "NETWATCHD_TEST_SERVE_DNS"

func init() {
	if os.Getenv(serveDNSVariable) == "" {
		return
	}
	at, _, err := serveDNS("127.0.0.1:0", behave)
	if err != nil {
		panic(err)
	}
	fmt.Println(at)
	bufio.NewReader(os.Stdin).ReadString('\n') // ends with the benchmark
	os.Exit(0)
}

func nameserverProcess(tb testing.TB) netip.AddrPort {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serveDNSVariable+"=1")
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { in.Close(); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		tb.Fatal(err)
	}
	return netip.MustParseAddrPort(strings.TrimSpace(line))
}

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDNS says what an attempt costs this process, the kernel's work for it included, as cpu-µs/op; many are in
// flight at a time, as when thousands of targets are due within a second.
func BenchmarkDNS(b *testing.B) {
	server := nameserverProcess(b)
	for _, types := range [][]string{{"A"}, {"A", "A"}} {
		p := preparedProbe(server, types...)
		name := strings.Join(types, "+")
		b.Run(name+" by itself", func(b *testing.B) {
			price(b, func(done func(probe.Result)) {
				go func() {
					r, _ := probe.Do(b.Context(), p)
					done(r)
				}()
			})
		})
		b.Run(name+" on a line", func(b *testing.B) {
			lines := NewPool(b.Context())
			price(b, func(done func(probe.Result)) { lines.Start(p, done) })
		})
	}
}

func preparedProbe(server netip.AddrPort, types ...string) *probe.Probe {
	d := Lookup{Name: "ok.test", Types: types, Nameservers: []netip.AddrPort{server}}
	return &probe.Probe{Spec: probe.Spec{Kind: probe.KindDNS, Timeout: defaultTimeout}, Prober: d.Prepared()}
}

// TestPoolAllocatesNothing: a lookup whose answers are those of the one before makes no garbage.
func TestPoolAllocatesNothing(t *testing.T) {
	server := nameserverProcess(t)
	lines := NewPool(t.Context())
	for _, types := range [][]string{{"A"}, {"A", "AAAA"}} {
		p := preparedProbe(server, types...)
		ended := make(chan probe.Class, 1)
		done := func(r probe.Result) { ended <- r.Class }
		// A new socket each second has some allocations of its own: far fewer than one for each lookup.
		if n := testing.AllocsPerRun(500, func() {
			lines.Start(p, done)
			if class := <-ended; class != probe.OK {
				t.Fatalf("got %v", class)
			}
		}); n != 0 {
			t.Errorf("%v: %v allocations for each lookup, want none", types, n)
		}
	}
}

func price(b *testing.B, start func(done func(probe.Result))) {
	b.ReportAllocs()
	room := make(chan struct{}, inBench)
	done := func(r probe.Result) {
		if !r.OK() {
			b.Error(r.Why)
		}
		<-room
	}
	before := cpu()
	for b.Loop() {
		room <- struct{}{}
		start(done)
	}
	for range inBench {
		room <- struct{}{}
	}
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
}

// inBench is what 10,000 attempts a second at a few milliseconds each come to.
const inBench = 32
