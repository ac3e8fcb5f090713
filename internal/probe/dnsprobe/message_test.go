package dnsprobe

import (
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestPackQuery(t *testing.T) {
	var buf [queryLimit]byte
	longest := strings.Repeat("a.", 126) + "b."
	for _, name := range []string{"chatgpt.com", "chatgpt.com.", "_dns.Example.COM", longest} {
		packed, err := packQuery(buf[:], question{name, dns.TypeAAAA})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var m dns.Msg
		if err := m.Unpack(packed[2:]); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := dns.Question{Name: dns.Fqdn(name), Qtype: dns.TypeAAAA, Qclass: dns.ClassINET}
		if m.Question[0] != want || !m.RecursionDesired || m.IsEdns0() == nil || m.IsEdns0().UDPSize() != datagram {
			t.Errorf("%s: packed as\n%v", name, &m)
		}
		if q := parseQuestion(packed[2:]); q != (question{dns.Fqdn(name), dns.TypeAAAA}) {
			t.Errorf("%s: read back as %v", name, q)
		}
	}
}

// An id that repeats is an id that can be guessed.
func TestPackQueryIDs(t *testing.T) {
	var buf [queryLimit]byte
	ids := make(map[[2]byte]bool)
	for range 100 {
		packed, err := packQuery(buf[:], question{"ok.com", dns.TypeA})
		if err != nil {
			t.Fatal(err)
		}
		ids[[2]byte(packed[2:])] = true
	}
	if len(ids) < 90 { // of 65,536: ten chance repeats among a hundred are one in 10^20
		t.Errorf("%d different ids in 100 queries", len(ids))
	}
}

func FuzzReply(f *testing.F) {
	var buf [queryLimit]byte
	packed, err := packQuery(buf[:], question{"ok.com", dns.TypeA})
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
		if isResponse(query, msg) && [2]byte(msg) != [2]byte(query) {
			t.Errorf("an answer with id %x was taken for %x", msg[:2], query[:2])
		}
		parseQuestion(msg)
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeTXT} {
			r, err := readReply(msg, qtype)
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
