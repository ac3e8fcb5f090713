package world

import (
	"net"
	"strings"

	"github.com/miekg/dns"

	"netwatchd/internal/lab/parts"
)

// records are what every nameserver knows.
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
		w.says(*server.to, parts.Right)
	}
}

// says starts a nameserver, or starts it again, with what it is to say about the service's name.
func (w *World) says(n *parts.Nameserver, zone parts.Zone) {
	w.t.Helper()
	n.Serve(w.t, zone, func(address string) error {
		return w.Beyond.Do(func() error { return parts.AskName(address, Controls[0].Name) })
	})
}

// ResolverSays changes what the gateway's resolver says about the service's name.
func (w *World) ResolverSays(zone parts.Zone) {
	w.t.Helper()
	w.t.Cleanup(func() { w.says(w.system, parts.Right) })
	w.says(w.system, zone)
}

// EveryoneSays changes what all resolvers say about the service's name.
func (w *World) EveryoneSays(zone parts.Zone) {
	w.t.Helper()
	w.ResolverSays(zone)
	for _, n := range []*parts.Nameserver{w.second, w.public} {
		w.t.Cleanup(func() { w.says(n, parts.Right) })
		w.says(n, zone)
	}
}

// StopResolver stops the gateway's resolver: its port is closed.
func (w *World) StopResolver() {
	w.t.Helper()
	w.t.Cleanup(func() { w.says(w.system, parts.Right) })
	w.system.Stop()
}

// A Twist changes the answer to a question; the answer is right when it gets it.
type Twist func(question dns.Question, answer *dns.Msg)

// TwistResolver puts a scripted nameserver in the place of the gateway's resolver, for what unbound cannot be made to say.
func (w *World) TwistResolver(twist Twist) {
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
		twist(q, answer)
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

// Says is the twist that answers every question with a response code.
func Says(rcode int) Twist {
	return func(_ dns.Question, answer *dns.Msg) { answer.Answer, answer.Rcode = nil, rcode }
}

// OnlyAAAA is the twist that withholds IPv4 addresses.
func OnlyAAAA(question dns.Question, answer *dns.Msg) {
	if question.Qtype == dns.TypeA {
		answer.Answer, answer.Rcode = nil, dns.RcodeSuccess
	}
}

// Rewrites is the twist that sends whoever asks for a name that does not exist to the portal; and who asks for the
// service as well, if its name is to be missing.
func Rewrites(service bool) Twist {
	return toPortal(func(question dns.Question, answer *dns.Msg) bool {
		return answer.Rcode == dns.RcodeNameError || service && question.Name == ServiceName+"."
	})
}

// Answers is the twist that sends whoever asks for any name of that domain to the portal.
func Answers(domain string) Twist {
	return toPortal(func(question dns.Question, _ *dns.Msg) bool { return strings.HasSuffix(question.Name, domain) })
}

// Places is the twist that has the service be at one IPv4 address alone.
func Places(address string) Twist {
	return func(question dns.Question, answer *dns.Msg) {
		if question.Name != ServiceName+"." {
			return
		}
		answer.Answer, answer.Rcode = nil, dns.RcodeSuccess
		if question.Qtype == dns.TypeA {
			rr, _ := dns.NewRR(question.Name + " A " + address)
			answer.Answer = []dns.RR{rr}
		}
	}
}

func toPortal(is func(dns.Question, *dns.Msg) bool) Twist {
	return func(question dns.Question, answer *dns.Msg) {
		if !is(question, answer) {
			return
		}
		answer.Answer, answer.Rcode = nil, dns.RcodeSuccess
		if question.Qtype == dns.TypeA {
			rr, _ := dns.NewRR(question.Name + " A " + PortalAddress)
			answer.Answer = []dns.RR{rr}
		}
	}
}
