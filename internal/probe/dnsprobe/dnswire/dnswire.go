// Package dnswire writes queries and reads what of a DNS message needs no parser: its header and its question.
package dnswire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/miekg/dns"

	"netwatchd/internal/redact"
)

const (
	// Datagram is the largest answer requested by EDNS0: it passes every path unfragmented (dnsflagday.net/2020).
	Datagram = 1232

	// Header is how many octets come before the question (RFC 1035, 4.1.1).
	Header = 12

	optLength = 11 // octets of an OPT record without options (RFC 6891, 6.1.2)

	// QueryLimit has room for a TCP length, header, longest name, type and class, and an OPT record.
	QueryLimit = 2 + Header + 255 + 4 + optLength
)

// PackQuery writes a recursive query with a random id into buf, after the two length octets that TCP needs.
func PackQuery(buf []byte, name string, qtype uint16) ([]byte, error) {
	fqdn := dns.Fqdn(name)
	end, err := dns.PackDomainName(fqdn, buf, 2+Header, nil, false)
	if err != nil || fqdn == "." {
		return nil, fmt.Errorf("%q is not a domain name: labels have 1 to 63 octets, a name up to 255", name)
	}
	copy(buf[2:], []byte{0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1}) // recursion desired; one question, one additional record
	binary.BigEndian.PutUint16(buf[2:], uint16(rand.Uint32()))
	buf = binary.BigEndian.AppendUint16(buf[:end], qtype)
	buf = binary.BigEndian.AppendUint16(buf, dns.ClassINET)
	buf = append(buf, 0, 0, byte(dns.TypeOPT), Datagram>>8, Datagram&0xff, 0, 0, 0, 0, 0, 0)
	binary.BigEndian.PutUint16(buf, uint16(len(buf)-2))
	return buf, nil
}

// WithoutEDNS returns query without its OPT record, if that is its last record and has no options, as in queries of
// PackQuery and of Go's resolver.
func WithoutEDNS(query []byte) []byte {
	opt := len(query) - optLength
	if opt < Header || query[Header-1] != 1 || query[opt] != 0 || binary.BigEndian.Uint16(query[opt+1:]) != dns.TypeOPT {
		return query
	}
	plain := bytes.Clone(query[:opt])
	plain[Header-1] = 0 // additional records
	return plain
}

// RejectsEDNS reports whether a response is from a server without EDNS0 (RFC 6891, 7).
func RejectsEDNS(msg []byte) bool {
	rcode := int(msg[3] & 0xf)
	return rcode == dns.RcodeFormatError || rcode == dns.RcodeNotImplemented
}

// IsResponse reports whether msg is a response to query: same id, same question. An error response may lack the
// question, because the server could not read it.
func IsResponse(query, msg []byte) bool {
	if len(msg) < Header || len(query) < Header || msg[0] != query[0] || msg[1] != query[1] || msg[2]&0x80 == 0 {
		return false
	}
	if binary.BigEndian.Uint16(msg[4:]) == 0 {
		return msg[3]&0xf != 0
	}
	asked, ok := QuestionOctets(query)
	if !ok || len(msg) < Header+len(asked) {
		return false
	}
	return EqualFold(asked, msg[Header:Header+len(asked)])
}

// QuestionOctets is the one question of a query: a name that is not compressed, a type, a class.
func QuestionOctets(query []byte) ([]byte, bool) {
	for at := Header; at < len(query); at += 1 + int(query[at]) {
		if query[at] == 0 && at+5 <= len(query) {
			return query[Header : at+5], true
		}
	}
	return nil, false
}

// EqualFold compares names case-insensitively. Length octets are below 'A' and need no special case.
func EqualFold(a, b []byte) bool {
	for i := range a {
		if a[i] != b[i] && (a[i]|0x20 != b[i]|0x20 || a[i]|0x20 < 'a' || a[i]|0x20 > 'z') {
			return false
		}
	}
	return true
}

// RecordCount returns how many records a message claims to have, in all sections (RFC 1035, 4.1.1). Parsing stops
// with an error where the message ends, so that a false count costs nothing.
func RecordCount(msg []byte) int {
	n := 0
	for section := 6; section < Header; section += 2 {
		n += int(binary.BigEndian.Uint16(msg[section:]))
	}
	return n
}

// ClearTruncated marks a message received over TCP as complete: there is no way to get a longer one
// (go.dev/issue/64896).
func ClearTruncated(msg []byte) { msg[2] &^= 0x02 }

// ExtendedErrorText returns a server's reason (RFC 8914): the name of its code, and the text that it added.
func ExtendedErrorText(code uint16, text string) string {
	known, ok := dns.ExtendedErrorCodeToString[code]
	if !ok {
		known = "extended error " + strconv.Itoa(int(code))
	}
	if text == "" {
		return known
	}
	return known + ": " + redact.Line(text, 80) // fits the notice of a block list
}

// RCodeName returns the name of a response code, as the registry of RFC 6895 has it: "NXDOMAIN", else "RCODE23".
func RCodeName(rcode int) string {
	if rcode == dns.RcodeBadVers { // has the same number as TSIG's BADSIG, which our queries cannot cause
		return "BADVERS"
	}
	if name, ok := dns.RcodeToString[rcode]; ok {
		return name
	}
	return "RCODE" + strconv.Itoa(rcode)
}
