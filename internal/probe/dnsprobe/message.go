package dnsprobe

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/dns/dnsmessage"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/dnsprobe/dnswire"
	"netwatchd/internal/redact"
)

// A question is what a query asks for.
type question struct {
	name  string
	qtype uint16
}

func (q question) String() string { return q.name + " " + dns.Type(q.qtype).String() }

// A reply is a nameserver's answer to one question.
type reply struct {
	server    string
	answered  bool // there was a response; the fields below are from it
	rcode     int  // with EDNS0's upper bits
	truncated bool
	detail    string       // the server's extended error, if any (RFC 8914)
	addrs     []netip.Addr // for A or AAAA: the addresses at the end of any CNAME chain
	records   []string     // for other types
	failed    int          // nameservers queried before this one that did not answer
	arrived   time.Time    // when the kernel received it; zero: not known
}

func (r reply) empty() bool { return len(r.addrs) == 0 && len(r.records) == 0 }

// answeredQuestion returns the question of msg if it is a response with the id of query, but to another question. WSL's
// DNS tunnel, for one, may append a search domain to what it answers (microsoft/WSL issue 13415).
func answeredQuestion(query, msg []byte) question {
	if len(msg) < dnswire.Header || len(query) < dnswire.Header ||
		msg[0] != query[0] || msg[1] != query[1] || msg[2]&0x80 == 0 ||
		binary.BigEndian.Uint16(msg[4:]) == 0 {
		return question{}
	}
	q := parseQuestion(msg)
	q.name = redact.Line(strings.TrimSuffix(q.name, "."), maxShownName)
	return q
}

// maxShownName is the longest name that DNS allows (RFC 1035, 2.3.4).
const maxShownName = 255

var errMalformed = probe.Fail(probe.DNSFailed, errors.New("malformed answer"))

// readReply reads a response that answers a question of type qtype. Its addresses are appended to room.
func readReply(msg []byte, qtype uint16, room []netip.Addr) (reply, error) {
	var p dnsmessage.Parser
	head, err := p.Start(msg)
	if err != nil {
		return reply{}, errMalformed
	}
	r := reply{answered: true, rcode: int(head.RCode), truncated: head.Truncated}
	name, err := questionName(&p)
	if err != nil {
		return reply{}, errMalformed
	}
	if n := dnswire.RecordCount(msg); n > probe.DNSRecordLimit {
		return reply{}, probe.Failf(probe.DNSFailed, "the answer has %d records, more than %d", n, probe.DNSRecordLimit)
	}
	if r.truncated { // what is missing comes over TCP
		return r, nil
	}
	if qtype != dns.TypeA && qtype != dns.TypeAAAA {
		r.records, err = readRecords(msg, qtype)
	} else {
		r.addrs, err = readAddresses(&p, name, dnsmessage.Type(qtype), room)
	}
	if err != nil {
		return reply{}, errMalformed
	}
	if r.empty() || r.rcode != dns.RcodeSuccess {
		r.readOPT(&p)
	}
	return r, nil
}

// questionName returns the name that a message's question is about; it is empty if there is none.
func questionName(p *dnsmessage.Parser) (name dnsmessage.Name, err error) {
	q, err := p.Question()
	if errors.Is(err, dnsmessage.ErrSectionDone) {
		return name, nil
	} else if err != nil {
		return name, err
	}
	return q.Name, p.SkipAllQuestions()
}

// cnameLimit is how many aliases lead from a name to its addresses. Unbound and BIND follow at most 11 and 16.
const cnameLimit = 16

// readAddresses returns the addresses of name, and of the names that its CNAME records lead to. Records of other
// names do not belong to the question: a forged or broken answer may have them (RFC 2181, 5.4.1). p is left after the
// answers.
func readAddresses(p *dnsmessage.Parser, name dnsmessage.Name, qtype dnsmessage.Type, room []netip.Addr) (
	[]netip.Addr, error,
) {
	answers := *p
	for range cnameLimit {
		*p = answers
		addrs, alias, err := addressesOf(p, name, qtype, room)
		if err != nil || len(addrs) > 0 || alias.Length == 0 {
			return addrs, err
		}
		name = alias // its records stood before the CNAME
	}
	return nil, nil
}

// addressesOf reads the answers once. It returns the addresses of name, or the alias that it ended at without any.
func addressesOf(p *dnsmessage.Parser, name dnsmessage.Name, qtype dnsmessage.Type, room []netip.Addr) (
	addrs []netip.Addr, alias dnsmessage.Name, err error,
) {
	addrs = room
	for {
		head, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return addrs, alias, nil
		}
		belongs := err == nil && head.Class == dnsmessage.ClassINET && isSameName(head.Name, name)
		switch {
		case err != nil:
		case belongs && head.Type == dnsmessage.TypeCNAME:
			var c dnsmessage.CNAMEResource
			c, err = p.CNAMEResource()
			name, alias = c.CNAME, c.CNAME
		case !belongs || head.Type != qtype:
			err = p.SkipAnswer()
		case qtype == dnsmessage.TypeA:
			var a dnsmessage.AResource
			a, err = p.AResource()
			addrs = append(addrs, netip.AddrFrom4(a.A))
		default:
			var a dnsmessage.AAAAResource
			a, err = p.AAAAResource()
			addrs = append(addrs, netip.AddrFrom16(a.AAAA))
		}
		if err != nil {
			return nil, alias, err
		}
	}
}

// isSameName compares names as DNS does: letters of ASCII in either case (RFC 4343).
func isSameName(a, b dnsmessage.Name) bool {
	return a.Length == b.Length && dnswire.EqualFold(a.Data[:a.Length], b.Data[:b.Length])
}

// readRecords returns records of other types in zone-file format, without owner and TTL: those of the name that the
// question is about, and of the names that its CNAME records lead to.
func readRecords(msg []byte, qtype uint16) ([]string, error) {
	var m dns.Msg
	if err := m.Unpack(msg); err != nil || len(m.Question) == 0 {
		return nil, err
	}
	name := dns.CanonicalName(m.Question[0].Name)
	for range cnameLimit {
		var records []string
		alias := ""
		for _, record := range m.Answer {
			if dns.CanonicalName(record.Header().Name) != name {
				continue
			}
			if record.Header().Rrtype == qtype {
				records = append(records, strings.TrimPrefix(record.String(), record.Header().String()))
			} else if cname, ok := record.(*dns.CNAME); ok {
				alias = dns.CanonicalName(cname.Target)
			}
		}
		if len(records) > 0 || alias == "" {
			return records, nil
		}
		name = alias
	}
	return nil, nil
}

// extendedError is the EDNS0 option with a server's reason (RFC 8914).
const extendedError = 15

// readOPT adds the OPT record's data: the upper bits of the response code and the server's reason. It returns no error,
// because an answer without them is complete.
func (r *reply) readOPT(p *dnsmessage.Parser) {
	if p.SkipAllAnswers() != nil || p.SkipAllAuthorities() != nil {
		return
	}
	for {
		head, err := p.AdditionalHeader()
		if err != nil {
			return
		}
		if head.Type != dnsmessage.TypeOPT {
			if p.SkipAdditional() != nil {
				return
			}
			continue
		}
		r.rcode = int(head.ExtendedRCode(dnsmessage.RCode(r.rcode & 0xf)))
		opt, err := p.OPTResource()
		if err != nil {
			return
		}
		for _, option := range opt.Options {
			if option.Code == extendedError && len(option.Data) >= 2 {
				r.detail = dnswire.ExtendedErrorText(binary.BigEndian.Uint16(option.Data), string(option.Data[2:]))
			}
		}
		return
	}
}
