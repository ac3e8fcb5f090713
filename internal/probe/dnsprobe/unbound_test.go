package dnsprobe

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/probetest"
)

// unboundConf is a resolver as people run one, its own data apart.
const unboundConf = `server:
  interface: 127.0.0.1@%d
  directory: %[2]q
  pidfile: ""
  chroot: ""
  username: ""
  use-syslog: no
  verbosity: 1
  do-ip6: no
  local-zone: "test." static
  local-data: "ok.test. A 192.0.2.80"
  local-data: "ok.test. AAAA 2001:db8::80"
  local-data: "text.test. TXT 'one'"
  local-zone: "blocked.com." always_null
  local-zone: "gone.com." always_nxdomain
  local-zone: "empty.com." always_nodata
  local-zone: "refused.com." always_refuse
remote-control:
  control-enable: no
`

func TestUnbound(t *testing.T) {
	server := unbound(t)
	for _, test := range []struct {
		queryEach  string
		types      []string
		class      probe.Class
		isResponse string
	}{
		{"ok.test", []string{"A", "AAAA"}, probe.OK, "192.0.2.80 2001:db8::80"},
		{"text.test", []string{"TXT"}, probe.OK, `"one"`},
		{"text.test", []string{"A"}, probe.DNSNoData, ""},
		{"absent.test", []string{"A", "AAAA"}, probe.DNSNameNotResolved, ""},
		{"gone.com", []string{"A"}, probe.DNSNameNotResolved, ""},
		{"empty.com", []string{"A"}, probe.DNSNoData, ""},
		{"refused.com", []string{"A"}, probe.DNSRefused, ""},
		{"blocked.com", []string{"A", "AAAA"}, probe.DNSWrongAnswer, "0.0.0.0 ::"},
	} {
		r := tryDNS(t, &Lookup{Name: test.queryEach, Types: test.types, Nameservers: []netip.AddrPort{server}})
		if got := strings.Join(r.Answers, " "); r.Class != test.class || got != test.isResponse {
			t.Errorf("%s %v: got %v %q, want %v %q (%s)", test.queryEach, test.types, r.Class, got, test.class, test.isResponse, r.Why)
		}
	}
}

// unbound starts the real one and waits until it says that it serves.
func unbound(t *testing.T) netip.AddrPort {
	t.Helper()
	program, err := exec.LookPath("unbound")
	if err != nil {
		t.Skip("needs unbound: apt-get install unbound")
	}
	at, dir := probetest.Nobody(t), t.TempDir()
	conf := filepath.Join(dir, "unbound.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, unboundConf, at.Port(), dir), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "-d", "-c", conf)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	var said []string
	for lines := bufio.NewScanner(log); lines.Scan(); {
		said = append(said, lines.Text())
		if strings.Contains(lines.Text(), "start of service") {
			return at
		}
	}
	t.Fatalf("unbound did not start:\n%s", strings.Join(said, "\n"))
	return at
}
