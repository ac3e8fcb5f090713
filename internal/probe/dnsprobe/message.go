package dnsprobe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"

	"github.com/miekg/dns"
	"golang.org/x/net/dns/dnsmessage"

	"netwatchd/internal/probe"
	"netwatchd/internal/redact"
)

const (

	// datagram is the largest answer asked for by EDNS0: what passes every path unfragmented (dnsflagday.net/2020).
	datagram = 1232

	header = 12 // octets before the question (RFC 1035, 4.1.1)

	optLength = 11 // octets of an OPT record without options (RFC 6891, 6.1.2)

	// queryLimit has room for a TCP length, header, longest name, type and class, and an OPT record.
	queryLimit = 2 + header + 255 + 4 + optLength
)

// A question is a name and a record type.
type question struct {
	name  string
	qtype uint16
}

func (q question) String() string { return q.name + " " + dns.Type(q.qtype).String() }

// A reply is what a nameserver said to one question.
type reply struct {
	server    string
	answered  bool // the rest was filled in from a response
	rcode     int  // with EDNS0's upper bits
	truncated bool
	detail    string       // the server's own reason, where it gives one (RFC 8914)
	addrs     []netip.Addr // of an A or AAAA question: the records at the end of any chain of aliases
	records   []string     // of other questions
	failed    int          // nameservers that were asked before this one and did not answer
}

func (r reply) empty() bool { return len(r.addrs) == 0 && len(r.records) == 0 }

// packQuery writes into buf a recursive query with a fresh id, behind the two octets of length that TCP wants.
func packQuery(buf []byte, q question) ([]byte, error) {
	name := dns.Fqdn(q.name)
	end, err := dns.PackDomainName(name, buf, 2+header, nil, false)
	if err != nil || name == "." {
		return nil, fmt.Errorf("%q is not a domain name: labels have 1 to 63 octets, a name up to 255", q.name)
	}
	copy(buf[2:], []byte{0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1}) // recursion desired; one question, one additional record
	binary.BigEndian.PutUint16(buf[2:], uint16(rand.Uint32()))
	buf = binary.BigEndian.AppendUint16(buf[:end], q.qtype)
	buf = binary.BigEndian.AppendUint16(buf, dns.ClassINET)
	buf = append(buf, 0, 0, byte(dns.TypeOPT), datagram>>8, datagram&0xff, 0, 0, 0, 0, 0, 0)
	binary.BigEndian.PutUint16(buf, uint16(len(buf)-2))
	return buf, nil
}

// plainly is a query without EDNS0, if it ends in an OPT record without options, as those of packQuery and of Go's resolver do.
func plainly(query []byte) []byte {
	opt := len(query) - optLength
	if opt < header || query[header-1] != 1 || query[opt] != 0 || binary.BigEndian.Uint16(query[opt+1:]) != dns.TypeOPT {
		return query
	}
	plain := bytes.Clone(query[:opt])
	plain[header-1] = 0 // additional records
	return plain
}

// wantsItPlain reports whether a response is that of a server that does not know EDNS0 (RFC 6891, 7).
func wantsItPlain(msg []byte) bool {
	rcode := int(msg[3] & 0xf)
	return rcode == dns.RcodeFormatError || rcode == dns.RcodeNotImplemented
}

// answers reports whether msg is a response to query: same id, same question. An error may come without the question:
// a server that could not read the query has none to repeat.
func answers(query, msg []byte) bool {
	if len(msg) < header || len(query) < header || msg[0] != query[0] || msg[1] != query[1] || msg[2]&0x80 == 0 {
		return false
	}
	if binary.BigEndian.Uint16(msg[4:]) == 0 {
		return msg[3]&0xf != 0
	}
	asked, ok := questionOctets(query)
	if !ok || len(msg) < header+len(asked) {
		return false
	}
	return foldASCII(asked, msg[header:header+len(asked)])
}

// questionOctets is the one question of a query: a name that is not compressed, a type, a class.
func questionOctets(query []byte) ([]byte, bool) {
	for at := header; at < len(query); at += 1 + int(query[at]) {
		if query[at] == 0 && at+5 <= len(query) {
			return query[header : at+5], true
		}
	}
	return nil, false
}

// foldASCII compares as names are compared. No length octet reaches 'A', so it may run over those too.
func foldASCII(a, b []byte) bool {
	for i := range a {
		if a[i] != b[i] && (a[i]|0x20 != b[i]|0x20 || a[i]|0x20 < 'a' || a[i]|0x20 > 'z') {
			return false
		}
	}
	return true
}

var errMalformed = probe.Fail(probe.DNSFailed, errors.New("the answer is malformed"))

// readReply reads a response that answers a question of type qtype.
func readReply(msg []byte, qtype uint16) (reply, error) {
	var p dnsmessage.Parser
	head, err := p.Start(msg)
	if err != nil {
		return reply{}, errMalformed
	}
	r := reply{answered: true, rcode: int(head.RCode), truncated: head.Truncated}
	if err := p.SkipAllQuestions(); err != nil {
		return reply{}, errMalformed
	}
	if r.truncated { // what is missing comes over TCP
		return r, nil
	}
	if qtype != dns.TypeA && qtype != dns.TypeAAAA {
		r.records, err = readRecords(msg, qtype)
	} else {
		r.addrs, err = readAddresses(&p, dnsmessage.Type(qtype))
	}
	if err != nil {
		return reply{}, errMalformed
	}
	if r.empty() || r.rcode != dns.RcodeSuccess {
		r.readOPT(&p)
	}
	return r, nil
}

func readAddresses(p *dnsmessage.Parser, qtype dnsmessage.Type) ([]netip.Addr, error) {
	var addrs []netip.Addr
	for {
		head, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return addrs, nil
		}
		switch {
		case err != nil:
		case head.Type != qtype || head.Class != dnsmessage.ClassINET:
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
			return nil, err
		}
	}
}

// readRecords gives the records of any other type as a zone file would, without their owner and TTL.
func readRecords(msg []byte, qtype uint16) ([]string, error) {
	var m dns.Msg
	if err := m.Unpack(msg); err != nil {
		return nil, err
	}
	var records []string
	for _, record := range m.Answer {
		if record.Header().Rrtype == qtype {
			records = append(records, strings.TrimPrefix(record.String(), record.Header().String()))
		}
	}
	return records, nil
}

// extendedError is the EDNS0 option in which a server says why (RFC 8914).
const extendedError = 15

// readOPT adds what the OPT record says: the upper bits of the response code, and the server's reason. It is not worth an
// error: an answer without it is complete.
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
				r.detail = reason(binary.BigEndian.Uint16(option.Data), string(option.Data[2:]))
			}
		}
		return
	}
}

func reason(code uint16, text string) string {
	known, ok := dns.ExtendedErrorCodeToString[code]
	if !ok {
		known = "extended error " + strconv.Itoa(int(code))
	}
	if text == "" {
		return known
	}
	return known + ": " + redact.Line(text, 80) // a block-list's notice fits; a page would not be read
}

func rcodeName(rcode int) string {
	if rcode == dns.RcodeBadVers { // shares its number with TSIG's BADSIG, which no query of ours can earn
		return "BADVERS"
	}
	if name, ok := dns.RcodeToString[rcode]; ok {
		return name
	}
	return "RCODE" + strconv.Itoa(rcode)
}
