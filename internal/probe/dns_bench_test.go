package probe

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
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
	for _, bench := range []struct {
		name  string
		types []string
	}{{"A", []string{"A"}}, {"A twice", []string{"A", "A"}}} {
		b.Run(bench.name, func(b *testing.B) {
			d := &DNSProber{Name: "ok.test", Types: bench.types, Nameservers: []netip.AddrPort{server}}
			b.ReportAllocs()
			b.SetParallelism(inFlight)
			before := cpu()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					ctx, cancel := context.WithTimeout(b.Context(), 5*time.Second)
					if _, err := d.Probe(ctx); err != nil {
						b.Error(err)
					}
					cancel()
				}
			})
			b.ReportMetric(float64((cpu()-before).Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
		})
	}
}

// inFlight is what 10,000 attempts a second at a few milliseconds each come to.
const inFlight = 32
