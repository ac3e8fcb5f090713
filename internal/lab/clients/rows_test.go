package clients

import (
	"net"
	"time"

	"github.com/miekg/dns"
)

// A row is one way in which nameservers answer, and which programs then find the address of a name that has an A record.
type row struct {
	name    string
	servers []handler // of UDP, in the order of resolv.conf
	tcp     bool      // they answer rightly over TCP
	options string    // beside timeouts
	musl    bool      // programs linked with musl find the address
	glibc   bool      // those linked with glibc do
	byGo    bool      // netwatchd's own lookup does, where it differs from glibc
}

// A handler returns a nameserver's answer to a question; nil: none.
type handler func(q *dns.Msg) *dns.Msg

const (
	serviceName = "service.example"
	service     = "192.0.2.80"
	ports       = 8100 // one for each program, from here on
	// timeouts are 16 times what a nameserver here takes on a busy machine. A lookup that must fail takes four seconds.
	timeouts = "timeout:2 attempts:2"
	// later is when a slower nameserver answers: well after the other one, well before a lookup ends, and before musl
	// asks again, after timeout/attempts.
	later = 700 * time.Millisecond
)

var nameservers = []string{"192.0.2.53", "192.0.2.54"}

func right(q *dns.Msg) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	if q.Question[0].Qtype == dns.TypeA {
		m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 5},
			A: net.ParseIP(service)}}
	}
	return m
}

func silent(*dns.Msg) *dns.Msg { return nil }

func code(rcode int) handler {
	return func(q *dns.Msg) *dns.Msg { return new(dns.Msg).SetRcode(q, rcode) }
}

func truncated(q *dns.Msg) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	m.Truncated, m.RecursionAvailable = true, true // glibc takes an empty answer without recursion for a lame delegation
	return m
}

// suffixed answers a question as if a search domain had been appended to its name.
func suffixed(q *dns.Msg) *dns.Msg {
	m := new(dns.Msg).SetRcode(q, dns.RcodeNameError)
	m.Question[0].Name += "corp.example."
	return m
}

// aaaa answers AAAA with h, and A rightly.
func aaaa(h handler) handler {
	return func(q *dns.Msg) *dns.Msg {
		if q.Question[0].Qtype == dns.TypeAAAA {
			return h(q)
		}
		return right(q)
	}
}

// slower answers like h, after the other nameserver.
func slower(h handler) handler {
	return func(q *dns.Msg) *dns.Msg {
		time.Sleep(later)
		return h(q)
	}
}

// rows are the rows of docs/clients.md.
var rows = []row{
	{name: "A right, AAAA empty: the normal case", servers: []handler{right}, musl: true, glibc: true},
	{name: "A right, AAAA dropped", servers: []handler{aaaa(silent)}, glibc: true},
	{name: "A right, AAAA SERVFAIL", servers: []handler{aaaa(code(dns.RcodeServerFailure))}, glibc: true},
	{name: "A right, AAAA NXDOMAIN", servers: []handler{aaaa(code(dns.RcodeNameError))}, glibc: true},
	{name: "A right, AAAA NOTIMP", servers: []handler{aaaa(code(dns.RcodeNotImplemented))}, glibc: true},
	{name: "A right, AAAA REFUSED", servers: []handler{aaaa(code(dns.RcodeRefused))}, glibc: true},
	{name: "A right, AAAA FORMERR", servers: []handler{aaaa(code(dns.RcodeFormatError))}, glibc: true},
	{name: "A right, AAAA answered about another name", servers: []handler{aaaa(suffixed)}, glibc: true},
	{name: "A right, AAAA truncated, no TCP", servers: []handler{aaaa(truncated)}, byGo: true},
	{name: "truncated, TCP answers", servers: []handler{truncated}, tcp: true, musl: true, glibc: true},
	{name: "truncated, no TCP", servers: []handler{truncated}},
	{name: "first right but slower, second NXDOMAIN", servers: []handler{slower(right), code(dns.RcodeNameError)}, glibc: true},
	{name: "first NXDOMAIN but slower, second right", servers: []handler{slower(code(dns.RcodeNameError)), right}, musl: true},
	{name: "first dropped, second right", servers: []handler{silent, right}, musl: true, glibc: true},
	{name: "first REFUSED, second right", servers: []handler{code(dns.RcodeRefused), right}, musl: true, glibc: true},
	{name: "first SERVFAIL, second right", servers: []handler{code(dns.RcodeServerFailure), right}, musl: true, glibc: true},
	{name: "first right but slower, second SERVFAIL", servers: []handler{slower(right), code(dns.RcodeServerFailure)}, musl: true, glibc: true},
	{name: "first: A right, AAAA SERVFAIL; second right", servers: []handler{aaaa(code(dns.RcodeServerFailure)), right}, musl: true, glibc: true},
	{name: "options use-vc, UDP dead, TCP answers", servers: []handler{silent}, tcp: true, options: " use-vc", glibc: true},
}
