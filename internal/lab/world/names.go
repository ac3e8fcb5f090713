package world

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"netwatchd/internal/lab/parts"
)

// records are served by every nameserver.
func records() parts.Records {
	r := parts.Records{Name: ServiceName, Answers: []string{"A " + ServiceIPv4, "AAAA " + ServiceIPv6}}
	for _, control := range Controls {
		r.Data = append(r.Data, control.Name+". A "+control.IPv4, control.Name+". AAAA "+control.IPv6)
	}
	return r
}

// serveNames starts the nameservers.
func (w *World) serveNames() {
	w.t.Helper()
	for name, server := range map[string]struct {
		to *(*parts.Nameserver)
		at []string
	}{"gateway": {&w.system, []string{Resolver}}, "second": {&w.second, []string{SecondResolver}}, "public": {&w.public, DirectResolvers}} {
		*server.to = parts.NewNameserver(w.t, w.Beyond, w.Dir, name, records(), server.at...)
		w.t.Cleanup((*server.to).Stop)
		w.serveZone(*server.to, parts.Correct)
	}
}

// serveZone starts or restarts a nameserver with this answer for the service's name.
func (w *World) serveZone(n *parts.Nameserver, zone parts.Zone) {
	w.t.Helper()
	n.Serve(w.t, zone, func(address string) error {
		return w.Beyond.Do(func() error { return parts.AskName(address, Controls[0].Name) })
	})
}

// ResolverAnswers changes how the gateway's resolver answers for the service's name.
func (w *World) ResolverAnswers(zone parts.Zone) {
	w.t.Helper()
	w.t.Cleanup(func() { w.serveZone(w.system, parts.Correct) })
	w.serveZone(w.system, zone)
}

// AllResolversAnswer changes how all resolvers answer for the service's name.
func (w *World) AllResolversAnswer(zone parts.Zone) {
	w.t.Helper()
	w.ResolverAnswers(zone)
	for _, n := range []*parts.Nameserver{w.second, w.public} {
		w.t.Cleanup(func() { w.serveZone(n, parts.Correct) })
		w.serveZone(n, zone)
	}
}

// JoinVPN makes the service an inner one: the gateway's resolver gives its name a private address, where it is reached,
// and the other resolvers do not know it.
func (w *World) JoinVPN() {
	w.t.Helper()
	w.ScriptResolver(ServiceAt(PrivateIPv4))
	w.nat("ip daddr " + PrivateIPv4 + " tcp dport 443 dnat ip to " + ServiceIPv4)
	for _, n := range []*parts.Nameserver{w.second, w.public} {
		w.t.Cleanup(func() { w.serveZone(n, parts.Correct) })
		w.serveZone(n, parts.Missing)
	}
}

// StopResolver stops the gateway's resolver: its port is closed.
func (w *World) StopResolver() {
	w.t.Helper()
	w.t.Cleanup(func() { w.serveZone(w.system, parts.Correct) })
	w.system.Stop()
}

// A Rewrite changes a correct answer.
type Rewrite func(question dns.Question, answer *dns.Msg)

// ScriptResolver replaces the gateway's resolver by a scripted one, for answers that unbound cannot give.
func (w *World) ScriptResolver(rewrite Rewrite) {
	w.t.Helper()
	w.StopResolver()
	known := make(map[dns.Question][]dns.RR)
	r := records()
	lines := r.Data
	for _, answer := range r.Answers {
		lines = append(lines, r.Name+". "+answer)
	}
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		w.must(err)
		q := dns.Question{Name: rr.Header().Name, Qtype: rr.Header().Rrtype, Qclass: dns.ClassINET}
		known[q] = append(known[q], rr)
	}
	handler := dns.HandlerFunc(func(rw dns.ResponseWriter, question *dns.Msg) {
		answer := new(dns.Msg).SetReply(question)
		q := question.Question[0]
		q.Name = dns.CanonicalName(q.Name)
		if answer.Answer = known[q]; len(answer.Answer) == 0 {
			answer.Rcode = dns.RcodeNameError
		}
		rewrite(q, answer)
		rw.WriteMsg(answer)
	})
	var packets net.PacketConn
	var conns net.Listener
	w.must(w.Beyond.Do(func() (err error) {
		if packets, err = net.ListenPacket("udp", Resolver+":53"); err != nil {
			return err
		}
		conns, err = net.Listen("tcp", Resolver+":53")
		return err
	}))
	for _, server := range []*dns.Server{{PacketConn: packets, Handler: handler}, {Listener: conns, Handler: handler}} {
		ended := make(chan error)
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		go func() { ended <- server.ActivateAndServe() }()
		<-started
		w.t.Cleanup(func() { server.Shutdown(); <-ended })
	}
}

// Rcode answers every question with this response code.
func Rcode(rcode int) Rewrite {
	return func(_ dns.Question, answer *dns.Msg) { answer.Answer, answer.Rcode = nil, rcode }
}

// RcodeOfAAAA answers AAAA queries of the service's name with rcode.
func RcodeOfAAAA(rcode int) Rewrite {
	return func(question dns.Question, answer *dns.Msg) {
		if question.Qtype == dns.TypeAAAA && question.Name == ServiceName+"." {
			answer.Answer, answer.Rcode = nil, rcode
		}
	}
}

// SuffixAAAA answers AAAA queries of the service's name as if domain had been appended to the name
// (microsoft/WSL issue 13415).
func SuffixAAAA(domain string) Rewrite {
	return func(question dns.Question, answer *dns.Msg) {
		if question.Qtype == dns.TypeAAAA && question.Name == ServiceName+"." {
			answer.Answer, answer.Rcode = nil, dns.RcodeNameError
			answer.Question = []dns.Question{{Name: question.Name + domain, Qtype: question.Qtype, Qclass: question.Qclass}}
		}
	}
}

// TextForA answers A queries of the service's name with a TXT record.
func TextForA(question dns.Question, answer *dns.Msg) {
	if question.Qtype == dns.TypeA && question.Name == ServiceName+"." {
		rr, _ := dns.NewRR(question.Name + " TXT \"v=spf1 -all\"")
		answer.Answer, answer.Rcode = []dns.RR{rr}, dns.RcodeSuccess
	}
}

// OfAnotherName answers queries of the service's name with the record of another name.
func OfAnotherName(question dns.Question, answer *dns.Msg) {
	if question.Name == ServiceName+"." {
		for i, rr := range answer.Answer {
			other := dns.Copy(rr)
			other.Header().Name = "another.example."
			answer.Answer = append(slices.Clone(answer.Answer[:i]), other)
		}
	}
}

// OnlyAAAA removes IPv4 addresses.
func OnlyAAAA(question dns.Question, answer *dns.Msg) {
	if question.Qtype == dns.TypeA {
		answer.Answer, answer.Rcode = nil, dns.RcodeSuccess
	}
}

// RedirectMissing answers names that do not exist with the portal's address, and the service's name too if service is
// set.
func RedirectMissing(service bool) Rewrite {
	return toPortal(func(question dns.Question, answer *dns.Msg) bool {
		return answer.Rcode == dns.RcodeNameError || service && question.Name == ServiceName+"."
	})
}

// RedirectDomain answers every name of the domain with the portal's address.
func RedirectDomain(domain string) Rewrite {
	return toPortal(func(question dns.Question, _ *dns.Msg) bool { return strings.HasSuffix(question.Name, domain) })
}

// ServiceAt gives the service's name these addresses and no other.
func ServiceAt(addresses ...string) Rewrite { return NameAt(ServiceName, addresses...) }

// NameAt gives the name these addresses and no other.
func NameAt(name string, addresses ...string) Rewrite {
	return func(question dns.Question, answer *dns.Msg) {
		if question.Name != name+"." {
			return
		}
		answer.Answer, answer.Rcode = nil, dns.RcodeSuccess
		for _, address := range addresses {
			kind := "A"
			if netip.MustParseAddr(address).Is6() {
				kind = "AAAA"
			}
			if kind == dns.TypeToString[question.Qtype] {
				rr, _ := dns.NewRR(question.Name + " " + kind + " " + address)
				answer.Answer = append(answer.Answer, rr)
			}
		}
	}
}

// Together applies each rewrite.
func Together(all ...Rewrite) Rewrite {
	return func(question dns.Question, answer *dns.Msg) {
		for _, rewrite := range all {
			rewrite(question, answer)
		}
	}
}

func toPortal(match func(dns.Question, *dns.Msg) bool) Rewrite {
	return func(question dns.Question, answer *dns.Msg) {
		if !match(question, answer) {
			return
		}
		answer.Answer, answer.Rcode = nil, dns.RcodeSuccess
		if question.Qtype == dns.TypeA {
			rr, _ := dns.NewRR(question.Name + " A " + PortalAddress)
			answer.Answer = []dns.RR{rr}
		}
	}
}
