package internet

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"
	"github.com/miekg/dns"
)

// headerTimeout bounds how long a connection may stay without a request. Only the demo's own daemon connects.
const headerTimeout = 10 * time.Second

// silent drops what net/http logs about failed handshakes: they are wanted here.
var silent = log.New(io.Discard, "", 0)

// resolve answers for this host's nameserver.
func (n *Internet) resolve(w dns.ResponseWriter, query *dns.Msg) {
	if n.conditions.Load().SilentResolver {
		return
	}
	n.resolvePublicly(w, query)
}

func (n *Internet) resolvePublicly(w dns.ResponseWriter, query *dns.Msg) {
	answer := new(dns.Msg).SetReply(query)
	answer.RecursionAvailable = true
	for _, q := range query.Question {
		switch {
		case dns.CanonicalName(q.Name) != dns.Fqdn(Host):
			answer.Rcode = dns.RcodeNameError
		case q.Qtype == dns.TypeA:
			answer.Answer = append(answer.Answer, &dns.A{A: net.ParseIP(serviceAddress),
				Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET}})
		}
	}
	_ = w.WriteMsg(answer) // whoever asked may be gone
}

// control answers 204, and as the status page of the vendor. That page knows of no problem, whatever is wrong: real
// ones often do not yet.
func (n *Internet) control(w http.ResponseWriter, r *http.Request) {
	switch {
	case n.conditions.Load().Portal:
		http.Redirect(w, r, "http://"+portalHost+"/", http.StatusFound)
		return
	case r.URL.Path == "/api/v2/status.json":
		_, _ = io.WriteString(w, `{"page":{"name":"Demo"},"status":{"indicator":"none","description":"All Systems Operational"}}`)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (n *Internet) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	switch c := n.conditions.Load(); {
	case c.Portal:
		return n.portal, nil
	case c.Inspected:
		return n.inspecting, nil
	case c.ExpiredCertificate:
		return n.expired, nil
	}
	return n.usual, nil
}

// service answers as the service of an agent does: 405 with Allow: POST to everything but a request of an agent, and
// WebSockets are accepted.
func (n *Internet) service(w http.ResponseWriter, r *http.Request) {
	c := n.conditions.Load()
	switch {
	case c.Status != 0:
		http.Error(w, http.StatusText(c.Status), c.Status)
	case r.Header.Get("Upgrade") != "":
		n.stream(w, r)
	default:
		w.Header().Set("Allow", http.MethodPost)
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

// cutAfter is how long a stream lives under [Conditions.CutStreams]: less than the demo's daemon holds it, 500 ms.
const cutAfter = 100 * time.Millisecond

// stream holds a WebSocket open until the client closes it.
func (n *Internet) stream(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	closed := conn.CloseRead(n.ended)
	if !n.conditions.Load().CutStreams {
		<-closed.Done()
		return
	}
	select {
	case <-closed.Done():
	case <-time.After(cutAfter):
	}
}
