package httpprobe

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/connect"
	"netwatchd/internal/probe/dnsprobe"
	"netwatchd/internal/probe/probetest"
)

// With too few descriptors an attempt either succeeds or ends as one that could not be tried. It never finds a fault of the
// network. The test runs itself, because the limit is the process's, and the servers must not share it.
func TestFewDescriptors(t *testing.T) {
	const server, nameserver = "NETWATCHD_TEST_SERVER", "NETWATCHD_TEST_NAMESERVER"
	if os.Getenv(server) == "" {
		child := exec.Command(os.Args[0], "-test.run=^TestFewDescriptors$")
		child.Env = append(os.Environ(),
			server+"="+probetest.Serving(t, nil, probetest.Answering(200, "OK")).String(),
			nameserver+"="+probetest.Naming(t, "127.0.0.1")[0].String())
		if out, err := child.CombinedOutput(); err != nil {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	at := netip.MustParseAddrPort(os.Getenv(server))
	names := []netip.AddrPort{netip.MustParseAddrPort(os.Getenv(nameserver))}
	_, port, _ := net.SplitHostPort(os.Getenv(server))
	probers := map[string]probe.Prober{
		"by address": &Request{URL: probetest.MustURL(t, "http://"+at.String()+"/"), Options: connect.Options{Proxy: "none"}},
		"by name": &Request{URL: probetest.MustURL(t, "http://service.test:"+port+"/"),
			Options: connect.Options{Nameservers: names, Family: "ipv4", Proxy: "none"}},
		"lookup": &dnsprobe.Lookup{Name: "service.test", Types: []string{"A"}, Nameservers: names,
			Expect: dnsprobe.Expect{Answers: []string{"127.0.0.1"}}},
	}
	for name, p := range probers { // the runtime opens its poller with the first socket
		if r, _ := probe.Do(t.Context(), &probe.Probe{Prober: p}); !r.OK() {
			t.Fatalf("%s: %s: %s", name, r.Class, r.Why)
		}
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = 64
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	var held []int
	for {
		fd, err := syscall.Open("/dev/null", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err != nil {
			break
		}
		held = append(held, fd)
	}
	untried, succeeded := 0, 0
	for free := range 12 {
		for name, p := range probers {
			r, _ := probe.Do(t.Context(), &probe.Probe{Spec: probe.Spec{Timeout: 5 * time.Second}, Prober: p})
			switch {
			case r.Class == probe.LocalResources, r.Class == probe.Internal:
				untried++
			case r.OK():
				succeeded++
			default:
				t.Errorf("%d descriptors, %s: %s in %s: %s", free, name, r.Class, r.Phase, r.Why)
			}
		}
		syscall.Close(held[len(held)-1])
		held = held[:len(held)-1]
	}
	if untried == 0 || succeeded == 0 {
		t.Errorf("%d attempts could not be tried and %d succeeded, want some of both", untried, succeeded)
	}
}
