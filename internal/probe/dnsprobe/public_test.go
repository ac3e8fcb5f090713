package dnsprobe

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"netwatchd/internal/probe"
)

func TestPublicLookup(t *testing.T) {
	zones := []string{"com.", "example.com.", "net."}
	for _, tt := range []struct {
		name      string
		notPublic bool
		queries   int32
	}{
		{"api.corp-internal.net", true, 2},
		{"db.eu.corp-internal.net.", true, 2},
		{"gone.example.com", false, 2},
		{"expired.com", false, 1},
		{"www.example.com", false, 1}, // it exists
		{"build.corp", true, 1},
		{"nas.home.arpa", true, 1},
		{"intranet", true, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var queries atomic.Int32
			server := nameserver(t, func(w dns.ResponseWriter, q *dns.Msg) {
				queries.Add(1)
				m := new(dns.Msg).SetReply(q)
				switch name := q.Question[0].Name; {
				case name == "www.example.com.":
					rr, _ := dns.NewRR("www.example.com. 0 IN A 192.0.2.1")
					m.Answer = append(m.Answer, rr)
				case !slices.Contains(zones, name):
					m.Rcode = dns.RcodeNameError
				}
				w.WriteMsg(m)
			})
			p := &PublicLookup{Lookup{Name: tt.name, Types: []string{"A"}, Nameservers: []netip.AddrPort{server}}}
			facts, err := p.Probe(t.Context())
			if got := slices.Contains(facts.Warnings, probe.WarnNotPublic); got != tt.notPublic {
				t.Errorf("not public: got %v, want %v (%v)", got, tt.notPublic, err)
			}
			if queries.Load() != tt.queries {
				t.Errorf("%d queries, want %d", queries.Load(), tt.queries)
			}
		})
	}
}

// A nameserver that does not answer the second question proves nothing.
func TestPublicLookupWithoutAnAnswerAboutTheZone(t *testing.T) {
	for name, rcode := range map[string]int{"refused": dns.RcodeRefused, "servfail": dns.RcodeServerFailure, "exists": dns.RcodeSuccess} {
		t.Run(name, func(t *testing.T) {
			server := nameserver(t, func(w dns.ResponseWriter, q *dns.Msg) {
				m := new(dns.Msg).SetReply(q)
				m.Rcode = dns.RcodeNameError
				if q.Question[0].Name == "corp-internal.net." {
					m.Rcode = rcode
				}
				w.WriteMsg(m)
			})
			p := &PublicLookup{Lookup{Name: "api.corp-internal.net", Nameservers: []netip.AddrPort{server}}}
			facts, err := p.Probe(t.Context())
			if probe.Classify(probe.Resolve, err) != probe.DNSNameNotResolved || len(facts.Warnings) > 0 {
				t.Errorf("got %v with %v, want %s without a warning", err, facts.Warnings, probe.DNSNameNotResolved)
			}
		})
	}
}
