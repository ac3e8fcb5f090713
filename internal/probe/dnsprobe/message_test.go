package dnsprobe

import (
	"net"
	"strings"
	"testing"

	"netwatchd/internal/probe/dnsprobe/dnswire"

	"github.com/miekg/dns"
)

func TestPackQuery(t *testing.T) {
	var buf [dnswire.QueryLimit]byte
	longest := strings.Repeat("a.", 126) + "b."
	for _, name := range []string{"chatgpt.com", "chatgpt.com.", "_dns.Example.COM", longest} {
		packed, err := dnswire.PackQuery(buf[:], name, dns.TypeAAAA)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var m dns.Msg
		if err := m.Unpack(packed[2:]); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := dns.Question{Name: dns.Fqdn(name), Qtype: dns.TypeAAAA, Qclass: dns.ClassINET}
		if m.Question[0] != want || !m.RecursionDesired || m.IsEdns0() == nil || m.IsEdns0().UDPSize() != dnswire.Datagram {
			t.Errorf("%s: packed as\n%v", name, &m)
		}
		if q := parseQuestion(packed[2:]); q != (question{dns.Fqdn(name), dns.TypeAAAA}) {
			t.Errorf("%s: read back as %v", name, q)
		}
	}
}

func FuzzReply(f *testing.F) {
	var buf [dnswire.QueryLimit]byte
	packed, err := dnswire.PackQuery(buf[:], "ok.com", dns.TypeA)
	if err != nil {
		f.Fatal(err)
	}
	query := packed[2:]
	for _, label := range []string{"ok", "alias", "bogus", "text", "large", "gone", "formerr"} {
		q := new(dns.Msg).SetQuestion(label+".com.", dns.TypeA)
		w := &recorder{}
		behave(w, q)
		f.Add(w.msg)
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		if dnswire.IsResponse(query, msg) && [2]byte(msg) != [2]byte(query) {
			t.Errorf("an answer with id %x was taken for %x", msg[:2], query[:2])
		}
		parseQuestion(msg)
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeTXT} {
			r, err := readReply(msg, qtype, nil)
			if r.answered == (err != nil) {
				t.Errorf("answered %v with err %v", r.answered, err)
			}
			for _, addr := range r.addrs {
				if addr.Is4() != (qtype == dns.TypeA) {
					t.Errorf("%v for %v", addr, dns.Type(qtype))
				}
			}
		}
	})
}

// A recorder keeps the message a handler writes.
type recorder struct {
	dns.ResponseWriter
	msg []byte
}

func (r *recorder) RemoteAddr() net.Addr            { return &net.TCPAddr{} }
func (r *recorder) WriteMsg(m *dns.Msg) (err error) { r.msg, err = m.Pack(); return err }
