package stack

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"netwatchd/internal/lab/parts"
)

// A Stack is the network of one test. It starts healthy. Its methods inject faults, which are in effect when the
// method returns.
type Stack struct {
	Dir string   // of its files; ca.pem among them
	Env []string // of netwatchd, beside HOME and PATH

	t              testing.TB
	system, direct *parts.Nameserver
	web            *parts.Server
	authority      *parts.Authority

	open    bool // the service's port
	status  int
	headers []string
}

// Start starts the servers, and stops them when the test ends. It skips the test if the machine cannot run a stack.
func Start(t testing.TB) *Stack {
	t.Helper()
	parts.Need(t)
	s := &Stack{Dir: t.TempDir(), t: t, authority: parts.NewAuthority(t, "Stack Authority"),
		open: true, status: 405, headers: []string{"Allow POST"}}
	s.authority.Write(filepath.Join(s.Dir, "ca.pem"))
	s.issue(s.authority, Valid)
	s.system, s.direct = s.nameserver(SystemResolver, "system"), s.nameserver(DirectResolver, "direct")
	s.web = &parts.Server{In: far, Path: parts.Program(t, "nginx", "nginx-light"),
		Args: []string{"-p", s.Dir, "-c", filepath.Join(s.Dir, "nginx.conf"), "-e", "stderr"}}
	t.Cleanup(s.stop)
	s.serve(s.system, Correct)
	s.serve(s.direct, Correct)
	s.serveWeb()
	return s
}

func (s *Stack) stop() {
	s.system.Stop()
	s.direct.Stop()
	s.web.Stop()
}

func (s *Stack) issue(signer *parts.Authority, kind Certificate) {
	signer.Issue(filepath.Join(s.Dir, "service"), kind, "chatgpt.com")
}

// Certify writes stem.pem and stem.key, a certificate of another server for this name, signed by ca.pem.
func (s *Stack) Certify(stem, name string) { s.authority.Issue(stem, Valid, name) }

// StopDNS stops the host's nameserver: its port is closed. The direct one goes on.
func (s *Stack) StopDNS() { s.system.Stop() }

// StartDNS starts it again.
func (s *Stack) StartDNS() { s.SystemSays(Correct) }

// SystemSays changes how the host's nameserver answers for the service's name.
func (s *Stack) SystemSays(zone Zone) { s.serve(s.system, zone) }

// DirectSays changes how the direct nameserver answers for it.
func (s *Stack) DirectSays(zone Zone) { s.serve(s.direct, zone) }

// ServiceAnswers changes the service's answer to every request. Initially it is 405 with the header "Allow: POST".
func (s *Stack) ServiceAnswers(status int, headers ...string) {
	s.status, s.headers = status, nil
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		s.headers = append(s.headers, fmt.Sprintf("%s %q", name, value))
	}
	s.serveWeb()
}

// CloseService closes the service's port.
func (s *Stack) CloseService() {
	s.open = false
	s.serveWeb()
}

// StopWeb closes the service's port and the controls'.
func (s *Stack) StopWeb() { s.web.Stop() }

// ServiceCertificate changes the service's certificate.
func (s *Stack) ServiceCertificate(kind Certificate) {
	signer := s.authority
	if kind == ByAnotherAuthority {
		signer = parts.NewAuthority(s.t, "Another Authority")
	}
	s.issue(signer, kind)
	s.serveWeb()
}

// Unplug takes the host's link down, until the test ends.
func (s *Stack) Unplug() {
	s.t.Helper()
	s.must(host.Batch([]string{"link set " + hostInterface + " down"}, "ip"))
	s.t.Cleanup(s.Plug)
}

// Plug takes it up again.
func (s *Stack) Plug() {
	s.t.Helper()
	s.must(host.Batch(hostSide, "ip"))
}

// Firewall adds an nftables rule for outgoing packets on the host, until the test ends: "udp dport 53 drop". It skips
// the test if nft is missing.
func (s *Stack) Firewall(rule string) {
	s.t.Helper()
	if err := host.NFT("add table inet stack\nadd chain inet stack out { type filter hook output priority 0; }\n" +
		"add rule inet stack out " + rule + "\n"); err != nil {
		s.t.Skipf("needs nftables: apt-get install nftables: %v", err)
	}
	s.t.Cleanup(func() { s.must(host.NFT("delete table inet stack\n")) })
}

func (s *Stack) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Error(err)
	}
}

// Config writes a configuration that watches the service, with more top-level YAML appended, and returns its path.
func (s *Stack) Config(further ...string) string {
	s.t.Helper()
	path := filepath.Join(s.Dir, "config.yaml")
	s.WriteConfig(path, further...)
	return path
}

// WriteConfig writes it to path.
func (s *Stack) WriteConfig(path string, further ...string) {
	s.t.Helper()
	places := fmt.Sprintf("storage: {path: %s/storage}\nstatus_file: %s/status.json\n", s.Dir, s.Dir)
	if err := os.WriteFile(path, []byte(places+s.Watching(further...)), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// Watching is a configuration that watches the service, without paths for storage, and with more top-level YAML
// appended.
func (s *Stack) Watching(further ...string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "defaults: {interval: 2s, timeout: 1s}\n")
	fmt.Fprintf(&text, "resolvers: {system: true, files: [/etc/resolv.conf], direct: [\"%s:53\"]}\n", DirectResolver)
	text.WriteString("controls:\n")
	for _, c := range controls {
		fmt.Fprintf(&text, "  - {name: %s, url: \"http://%s%s\", expect: %s, addresses: [%s]}\n",
			strings.TrimSuffix(c.name, ".example"), c.name, c.path, c.expect, c.address)
	}
	fmt.Fprintf(&text, `services:
  - name: codex
    probes:
      - {name: dns,  kind: dns,  target: chatgpt.com, types: [A, AAAA]}
      - {name: head, kind: http, target: "https://chatgpt.com/backend-api/codex/responses", method: HEAD,
         expect: {status: [405], headers: {Allow: POST}}, tls: {ca_file: %s/ca.pem}}
`, s.Dir)
	for _, more := range further {
		text.WriteString(more + "\n")
	}
	return text.String()
}
