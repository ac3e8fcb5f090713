package dnsprobe

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// behave is a nameserver that misbehaves in the one way the first label of the name asks for.
func behave(w dns.ResponseWriter, q *dns.Msg) {
	name, qtype := q.Question[0].Name, q.Question[0].Qtype
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	label, _, _ := strings.Cut(strings.ToLower(name), ".")
	switch label {
	case "ok", "short":
		m.Answer = records(name, qtype, "192.0.2.80", "2001:db8::80")
	case "two":
		m.Answer = append(records(name, qtype, "192.0.2.81", ""), records(name, qtype, "192.0.2.9", "")...)
	case "four":
		m.Answer = records(name, qtype, "192.0.2.80", "")
	case "six":
		m.Answer = records(name, qtype, "", "2001:db8::80")
	case "zero":
		m.Answer = records(name, qtype, "0.0.0.0", "::")
	case "loop":
		m.Answer = records(name, qtype, "127.0.0.1", "")
	case "alias", "aliasonly":
		m.Answer = []dns.RR{record(name + " 60 IN CNAME a.test."), record("a.test. 60 IN CNAME b.test.")}
		if label == "alias" {
			m.Answer = append(m.Answer, records("b.test.", qtype, "192.0.2.80", "")...)
		}
	case "backwards": // the records stand before the aliases that lead to them
		m.Answer = append(records("b.test.", qtype, "192.0.2.80", ""),
			record("a.test. 60 IN CNAME B.test."), record(name+" 60 IN CNAME a.test."))
	case "circle":
		m.Answer = []dns.RR{record(name + " 60 IN CNAME a.test."), record("a.test. 60 IN CNAME " + name)}
	case "foreign": // records of a name that nobody asked for
		m.Answer = append(records("bank.test.", qtype, "203.0.113.66", "2001:db8::66"), records(name, qtype, "192.0.2.80", "")...)
		m.Answer = append(m.Answer, record("bank.test. 60 IN MX 1 mail.test."))
	case "suffixed": // as WSL's DNS tunnel: a search domain is appended to the question
		m.Question[0].Name = name + "corp.test."
		m.Rcode = dns.RcodeNameError
	case "dangling":
		m.Answer = []dns.RR{record(name + " 60 IN CNAME gone.test.")}
		m.Rcode = dns.RcodeNameError
	case "text":
		if qtype == dns.TypeTXT {
			m.Answer = []dns.RR{record(name + ` 60 IN TXT "v=1" "b"`), record(name + ` 60 IN TXT "a"`)}
		}
	case "empty":
	case "servfail":
		m.Rcode = dns.RcodeServerFailure
	case "bogus":
		m.Rcode = dns.RcodeServerFailure
		m.SetEdns0(1232, false)
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeDNSBogus, ExtraText: "no\x1b[2J key"}}
	case "badvers":
		m.SetEdns0(1232, false)
		m.Rcode = dns.RcodeBadVers
	case "halfservfail":
		if m.Answer = records(name, qtype, "192.0.2.80", ""); qtype == dns.TypeAAAA {
			m.Rcode = dns.RcodeServerFailure
		}
	case "refused":
		m.Rcode = dns.RcodeRefused
	case "formerr":
		m = &dns.Msg{MsgHdr: dns.MsgHdr{Id: q.Id, Response: true, Rcode: dns.RcodeFormatError}} // repeats no question
	case "plain", "plainer": // before EDNS0 was known (RFC 6891, 7)
		if m.Answer = records(name, qtype, "192.0.2.80", "2001:db8::80"); q.IsEdns0() != nil {
			m.Answer, m.Rcode = nil, map[string]int{"plain": dns.RcodeFormatError, "plainer": dns.RcodeNotImplemented}[label]
		}
	case "deaf": // hears nothing that has EDNS0
		if m.Answer = records(name, qtype, "192.0.2.80", "2001:db8::80"); q.IsEdns0() != nil {
			return
		}
	case "halfrefused", "halfnxdomain", "halfnotimp", "halfformerr", "halfdropped": // the AAAA query alone goes wrong
		if m.Answer = records(name, qtype, "192.0.2.80", ""); qtype == dns.TypeAAAA {
			if label == "halfdropped" {
				return
			}
			m.Rcode = map[string]int{"halfrefused": dns.RcodeRefused, "halfnxdomain": dns.RcodeNameError,
				"halfnotimp": dns.RcodeNotImplemented, "halfformerr": dns.RcodeFormatError}[label]
		}
	case "halfsilent":
		if m.Answer = records(name, qtype, "", "2001:db8::80"); qtype == dns.TypeA {
			return
		}
	case "silent":
		return
	case "large":
		if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
			m.Truncated = true
		} else {
			for range 200 {
				m.Answer = append(m.Answer, records(name, qtype, "192.0.2.80", "")...)
			}
		}
	case "flood": // as many records as 64 KiB can hold
		if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
			m.Truncated = true
			break
		}
		m.Compress = true
		for range 4000 {
			if qtype == dns.TypeTXT {
				m.Answer = append(m.Answer, record(name+` 60 IN TXT ""`))
			}
			m.Answer = append(m.Answer, records(name, qtype, "192.0.2.80", "")...)
		}
	case "garbage":
		w.Write([]byte("HTTP/1.0 400 Bad Request\r\n\r\n"))
		return
	case "malformed":
		m.Answer = records(name, dns.TypeA, "192.0.2.80", "")
		packed, _ := m.Pack()
		w.Write(packed[:len(packed)-2])
		return
	case "forged":
		forged := new(dns.Msg).SetReply(q)
		forged.Answer = records(name, dns.TypeA, "203.0.113.66", "")
		forged.Id++
		w.WriteMsg(forged)
		forged.Id--
		forged.Question[0].Name = "another.test."
		w.WriteMsg(forged)
		m.Answer = records(name, qtype, "192.0.2.80", "2001:db8::80")
	case "shouted":
		m.Question[0].Name = strings.ToUpper(name)
		m.Answer = records(name, qtype, "192.0.2.80", "")
	default:
		m.Rcode = dns.RcodeNameError
	}
	w.WriteMsg(m)
}

func records(name string, qtype uint16, four, six string) []dns.RR {
	switch {
	case qtype == dns.TypeA && four != "":
		return []dns.RR{record(name + " 60 IN A " + four)}
	case qtype == dns.TypeAAAA && six != "":
		return []dns.RR{record(name + " 60 IN AAAA " + six)}
	}
	return nil
}

func record(text string) dns.RR {
	rr, err := dns.NewRR(text)
	if err != nil {
		panic(err)
	}
	return rr
}

// serveDNS answers with handler over UDP and TCP on one port of addr until stop.
func serveDNS(addr string, handler dns.HandlerFunc) (at netip.AddrPort, stop func(), err error) {
	udp, err := net.ListenPacket("udp", addr)
	if err != nil {
		return at, nil, err
	}
	tcp, err := net.Listen("tcp", udp.LocalAddr().String())
	if err != nil {
		udp.Close()
		return at, nil, err
	}
	both := []*dns.Server{{PacketConn: udp, Handler: handler}, {Listener: tcp, Handler: handler}}
	for _, server := range both {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		go server.ActivateAndServe()
		<-started
	}
	return netip.MustParseAddrPort(udp.LocalAddr().String()), func() { both[0].Shutdown(); both[1].Shutdown() }, nil
}

// nameserver serves on the loopback address while the test runs.
func nameserver(tb testing.TB, handler dns.HandlerFunc) netip.AddrPort {
	tb.Helper()
	for range 10 { // the port that UDP was given may be taken for TCP
		if at, stop, err := serveDNS("127.0.0.1:0", handler); err == nil {
			tb.Cleanup(stop)
			return at
		}
	}
	tb.Fatal("no port is free for both UDP and TCP")
	return netip.AddrPort{}
}
