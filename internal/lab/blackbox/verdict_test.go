package blackbox

import (
	"encoding/json"
	"testing"
	"time"

	"netwatchd/internal/lab/stack"
)

func TestMain(m *testing.M) { stack.Main(m) }

// A status is what check --json prints, by the names that users hold.
type status struct {
	At       time.Time
	Version  string
	Services []struct {
		Service  string
		Cause    string
		Severity string
		Title    string
		Advice   string
		Since    time.Time
		Evidence []struct{ Probe, Class, Why string }
	}
}

// patience is far beyond what a verdict takes here (half a second): it only tells slow from stuck on a busy machine.
const patience = 10 * time.Second

func TestVerdict(t *testing.T) {
	tests := []struct {
		scene  string
		inject func(*stack.Stack)
		cause  string
		class  string // of the decisive evidence; empty: there is none
		exit   int
	}{
		{"all is well", func(*stack.Stack) {}, "healthy", "", 0},

		{"the link is down", (*stack.Stack).Unplug, "host_offline", "local.no_interface", 1},
		{"a firewall on this host drops lookups",
			func(s *stack.Stack) { s.Firewall("udp dport 53 drop") }, "local_policy", "local.denied", 1},

		{"the nameserver is stopped", (*stack.Stack).StopDNS, "resolver", "dns.unreachable", 1},
		{"the nameserver says nothing about the service",
			func(s *stack.Stack) { s.SystemSays(stack.Silent) }, "resolver", "dns.timeout", 1},
		{"the nameserver denies the service's name",
			func(s *stack.Stack) { s.SystemSays(stack.Missing) }, "resolver", "dns.name_not_resolved", 1},
		{"the nameserver refuses the service's name",
			func(s *stack.Stack) { s.SystemSays(stack.Refusing) }, "resolver", "dns.refused", 1},
		{"a block list answers 0.0.0.0",
			func(s *stack.Stack) { s.SystemSays(stack.BlockList) }, "resolver", "dns.wrong_answer", 1},
		{"every nameserver agrees that the name is gone",
			func(s *stack.Stack) { s.SystemSays(stack.Missing); s.DirectSays(stack.Missing) },
			"upstream", "dns.name_not_resolved", 1},

		{"the certificate is of an unknown authority",
			func(s *stack.Stack) { s.ServiceCertificate(stack.ByAnotherAuthority) },
			"interception", "tls.cert.authority_invalid", 1},
		{"the certificate has expired",
			func(s *stack.Stack) { s.ServiceCertificate(stack.Expired) }, "upstream", "tls.cert.date_invalid", 1},
		{"the certificate names another",
			func(s *stack.Stack) { s.ServiceCertificate(stack.OfAnotherName) }, "upstream", "tls.cert.name_invalid", 1},

		{"the service's port is closed", (*stack.Stack).CloseService, "upstream", "tcp.refused", 1},
		{"the service answers 503",
			func(s *stack.Stack) { s.ServiceAnswers(503) }, "upstream", "http.server_error", 1},
		{"its CDN answers in its place",
			func(s *stack.Stack) { s.ServiceAnswers(403, "Cf-Mitigated: challenge") }, "edge_blocked", "http.edge_blocked", 1},
		{"the service answers 429",
			func(s *stack.Stack) { s.ServiceAnswers(429) }, "edge_blocked", "http.rate_limited", 1},
		{"the service answers 200",
			func(s *stack.Stack) { s.ServiceAnswers(200) }, "unexpected_answer", "http.unexpected_status", 1},
		{"the service answers 403 before any sign-in",
			func(s *stack.Stack) { s.ServiceAnswers(403) }, "edge_blocked", "http.edge_blocked", 1},
		{"the service allows another method",
			func(s *stack.Stack) { s.ServiceAnswers(405, "Allow: GET") }, "unexpected_answer", "http.unexpected_header", 1},
	}
	for _, tt := range tests {
		t.Run(tt.scene, func(t *testing.T) {
			s := stack.Start(t)
			tt.inject(s)
			exit := s.Run("check", "--config.file="+s.Config(), "--json")
			if exit.Code != tt.exit || exit.Elapsed > patience {
				t.Errorf("check exits %d after %v, want %d within %v", exit.Code, exit.Elapsed, tt.exit, patience)
			}
			got := decode(t, exit)
			codex := got.Services[0]
			if codex.Service != "codex" || codex.Cause != tt.cause {
				t.Errorf("%s: cause %q, want codex: %q", codex.Service, codex.Cause, tt.cause)
			}
			if class := got.decisive(); class != tt.class {
				t.Errorf("decisive class %q, want %q", class, tt.class)
			}
			if codex.Title == "" || codex.Advice == "" && tt.exit != 0 {
				t.Errorf("title %q, advice %q: want words for people", codex.Title, codex.Advice)
			}
			if t.Failed() {
				t.Logf("stdout: %s\nstderr: %s", exit.Stdout, exit.Stderr)
			}
		})
	}
}

// decisive is the class of the first evidence; empty if healthy.
func (s status) decisive() string {
	codex := s.Services[0]
	if codex.Cause == "healthy" || len(codex.Evidence) == 0 {
		return ""
	}
	return codex.Evidence[0].Class
}

func decode(t *testing.T, exit stack.Exit) status {
	t.Helper()
	var got status
	if err := json.Unmarshal([]byte(exit.Stdout), &got); err != nil {
		t.Fatalf("check --json: %v\nstdout: %s\nstderr: %s", err, exit.Stdout, exit.Stderr)
	}
	if len(got.Services) != 1 || got.At.IsZero() || got.Version == "" {
		t.Fatalf("got %+v, want one service, at, version", got)
	}
	return got
}
