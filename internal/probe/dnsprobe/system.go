package dnsprobe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"netwatchd/internal/probe"
	"netwatchd/internal/resolvconf"
)

// systemFile is where Go's resolver, like every other, finds its nameservers.
const systemFile = "/etc/resolv.conf"

// A Trace is what a lookup learned beside the addresses.
type Trace struct {
	Server   string // the nameserver that answered or failed last; empty for a literal or /etc/hosts
	RCode    string
	Warnings []string
}

// LookupHost finds the addresses of host, of family "any", "ipv4" or "ipv6", from the nameservers or, without any, as a client
// of this system would: then in the order in which a client would try them. With "any" one family's addresses are enough.
// A literal address is returned as it is. The error carries its class where it is known.
func LookupHost(ctx context.Context, nameservers []netip.AddrPort, host, family string) ([]netip.Addr, Trace, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, Trace{}, nil
	}
	types := []uint16{dns.TypeA, dns.TypeAAAA}
	switch family {
	case "ipv4":
		types = types[:1]
	case "ipv6":
		types = types[1:]
	}
	a := resolve(ctx, nameservers, host, types)
	decisive := a.decisive()
	if late := slices.IndexFunc(a, func(o outcome) bool { return o.err != nil }); late >= 0 && time.Until(share(ctx, 1)) < tooLate {
		decisive = a[late] // whoever waits for both families, as clients do, has no time left to connect
	}
	trace := Trace{Server: decisive.server, RCode: decisive.rcodeText(), Warnings: a.warnings(false)}
	if decisive.err != nil {
		return nil, trace, decisive.err
	}
	for _, o := range a {
		if o.err != nil && !isNoData(o.err) {
			trace.Warnings = append(trace.Warnings, map[uint16]string{dns.TypeA: warnAFailed, dns.TypeAAAA: warnAAAAFailed}[o.qtype])
		}
	}
	addrs := a.addrs()
	if i := slices.IndexFunc(addrs, netip.Addr.IsUnspecified); i >= 0 {
		// Connecting to 0.0.0.0 reaches this very host, which would then be taken for the service.
		return nil, trace, probe.Failf(probe.DNSWrongAnswer, "%s cannot be at %v: a block-list or a hosts file answers so", host, addrs[i])
	}
	return addrs, trace, nil
}

// decisive is the first outcome with addresses, or else the first that says more than that a family is missing.
func (a asked) decisive() outcome {
	for _, o := range a {
		if o.err == nil {
			return o
		}
	}
	for _, o := range a {
		if !isNoData(o.err) {
			return o
		}
	}
	return a[0]
}

// resolveAsSystem resolves as a client on this host would: /etc/hosts, search list and all. Go's resolver does the work
// for addresses; it has no way to ask for any type, so other types go to the nameservers of the file directly.
func resolveAsSystem(ctx context.Context, name string, types []uint16) asked {
	servers, fileErr := resolvconf.Nameservers(systemFile)
	a := make(asked, 0, len(types))
	var families []uint16
	for _, qtype := range types {
		if qtype == dns.TypeA || qtype == dns.TypeAAAA {
			families = append(families, qtype)
		} else if fileErr != nil {
			a = append(a, outcome{qtype: qtype, err: NoNameserver(fileErr)})
		} else {
			a = append(a, resolve(ctx, servers, name, []uint16{qtype})...)
		}
	}
	if len(families) == 0 {
		return a
	}
	l := &listener{ctx: ctx, servers: servers, fileErr: fileErr}
	// A fresh resolver each time: it shares lookups of the same name in flight, and then only one would be listened to.
	resolver := net.Resolver{PreferGo: true, Dial: l.dial}
	addrs, err := resolver.LookupNetIP(ctx, network(families), name)
	return append(l.outcomes(name, families, addrs, err), a...)
}

func network(families []uint16) string {
	switch {
	case len(families) > 1:
		return "ip"
	case families[0] == dns.TypeA:
		return "ip4"
	}
	return "ip6"
}

// A listener sits on the sockets of Go's resolver and keeps what it was told. The resolver itself hides it: NXDOMAIN and
// no data are both "no such host", an errno is left as text only, and without nameservers it silently asks the local host.
type listener struct {
	ctx     context.Context
	servers []netip.AddrPort // of the file
	fileErr error

	mu    sync.Mutex
	heard []*exchanged // in order of their beginning
}

// exchanged is one exchange: its end is reply or err; neither means that nothing has come yet.
type exchanged struct {
	reply
	question
	err       error
	strangers int // datagrams so far that answer something else
}

// tooLate is when asking once more is pointless: no answer would come in time, and what was heard so far tells more.
const tooLate = time.Millisecond

func (l *listener) dial(_ context.Context, network, address string) (net.Conn, error) {
	// The resolver's own context neither ends with ours nor has our deadline (net/lookup.go, withUnexpiredValuesPreserved).
	if err := l.ctx.Err(); err != nil {
		return nil, err
	}
	address = l.instead(address)
	deadline := share(l.ctx, l.waiting(address))
	if time.Until(deadline) < tooLate {
		return nil, context.DeadlineExceeded
	}
	x := &exchanged{reply: reply{server: address}}
	l.mu.Lock()
	l.heard = append(l.heard, x)
	l.mu.Unlock()
	conn, err := (&net.Dialer{Deadline: deadline}).DialContext(l.ctx, network, address)
	if err != nil {
		if network == "udp" {
			err = atDial(err)
		}
		l.failed(x, err)
		return nil, err
	}
	t := &tap{Conn: conn, listener: l, exchange: x, deadline: deadline, stop: cutShort(l.ctx, conn)}
	if packets, ok := conn.(net.PacketConn); ok {
		t.Conn = &askingTwice{Conn: conn, ctx: l.ctx}
		return &packetTap{t, packets}, nil // the resolver recognises UDP by this interface
	}
	t.stream = true
	return t, nil
}

// instead is the nameserver that a program started now would ask where Go's resolver asks address. Go reads the file
// again only every five seconds, and never if nothing but its mode has changed (net/dnsclient_unix.go, tryUpdate): a file
// that was lost or rewritten would look well for as long.
func (l *listener) instead(address string) string {
	asked, err := netip.ParseAddrPort(address)
	switch {
	case err != nil, asked.Addr().IsLoopback() && len(l.servers) == 0, slices.Contains(l.servers, asked):
		return address
	case len(l.servers) == 0:
		return "127.0.0.1:53" // resolv.conf(5): without a nameserver line, the local host
	}
	return l.servers[0].String()
}

// waiting counts the nameservers that want a part of the time left, address among them. Left alone, Go gives each five
// seconds: a dead first one would use up the whole attempt, and nobody would learn that the second lives.
func (l *listener) waiting(address string) int {
	i := slices.IndexFunc(l.servers, func(s netip.AddrPort) bool { return s.String() == address })
	const mostUsed = 3 // more nameservers than these are ignored (resolv.conf(5), MAXNS)
	return max(1, min(len(l.servers), mostUsed)-max(i, 0))
}

func (l *listener) failed(x *exchanged, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !x.answered {
		x.err = err
	}
}

func (l *listener) answered(x *exchanged, msg []byte) {
	r, err := readReply(msg, x.qtype)
	r.server = x.server
	l.mu.Lock()
	defer l.mu.Unlock()
	x.reply, x.err = r, err
}

// A tap is a connection of the resolver's, overheard. One goroutine uses it, for one exchange.
type tap struct {
	net.Conn
	*listener
	exchange *exchanged
	deadline time.Time
	stop     func() bool
	stream   bool // messages have a length before them
	query    []byte
	in       []byte // of a stream: what came so far
}

type packetTap struct {
	*tap
	net.PacketConn
}

func (p *packetTap) Read(b []byte) (int, error)         { return p.tap.Read(b) }
func (p *packetTap) Write(b []byte) (int, error)        { return p.tap.Write(b) }
func (p *packetTap) Close() error                       { return p.tap.Close() }
func (p *packetTap) LocalAddr() net.Addr                { return p.tap.LocalAddr() }
func (p *packetTap) SetDeadline(t time.Time) error      { return p.tap.SetDeadline(t) }
func (p *packetTap) SetReadDeadline(t time.Time) error  { return p.tap.SetReadDeadline(t) }
func (p *packetTap) SetWriteDeadline(t time.Time) error { return p.tap.SetWriteDeadline(t) }

// SetDeadline takes the resolver's deadline if it is the earlier one, and keeps a cut that came before it.
func (t *tap) SetDeadline(at time.Time) error {
	if at.After(t.deadline) {
		at = t.deadline
	}
	err := t.Conn.SetDeadline(at)
	if t.ctx.Err() != nil {
		return t.Conn.SetDeadline(time.Unix(1, 0))
	}
	return err
}

func (t *tap) Close() error {
	t.stop()
	return t.Conn.Close()
}

func (t *tap) Write(b []byte) (int, error) {
	t.query = slices.Clone(b[min(t.prefix(), len(b)):])
	t.mu.Lock()
	t.exchange.question = asks(t.query)
	t.mu.Unlock()
	n, err := t.Conn.Write(b)
	if err != nil {
		t.failed(t.exchange, err)
	}
	return n, err
}

func (t *tap) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	switch {
	case err != nil:
		t.failed(t.exchange, atRead(t.ctx, err, t.exchange.strangers))
	case t.stream:
		t.hearStream(b[:n])
	case answers(t.query, b[:n]):
		t.answered(t.exchange, b[:n])
	default:
		t.mu.Lock()
		t.exchange.strangers++
		t.mu.Unlock()
	}
	return n, err
}

func (t *tap) hearStream(b []byte) {
	t.in = append(t.in, b...)
	if len(t.in) < 2 {
		return
	}
	msg := t.in[2:]
	if len(msg) < int(binary.BigEndian.Uint16(t.in)) {
		return
	}
	if !answers(t.query, msg) {
		t.failed(t.exchange, probe.Failf(probe.DNSFailed, "its answer over TCP is to another question"))
		return
	}
	clearTruncated(msg)
	t.answered(t.exchange, msg)
}

func (t *tap) prefix() int {
	if t.stream {
		return 2
	}
	return 0
}

// asks reads the question of a query; one that cannot be read is the zero question.
func asks(query []byte) question {
	octets, ok := questionOctets(query)
	if !ok {
		return question{}
	}
	name, end, err := dns.UnpackDomainName(octets, 0)
	if err != nil {
		return question{}
	}
	return question{name, binary.BigEndian.Uint16(octets[end:])}
}

// outcomes puts together what the resolver found and what was heard meanwhile, for each family.
func (l *listener) outcomes(name string, families []uint16, addrs []netip.Addr, err error) asked {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := make(asked, len(families))
	for i, qtype := range families {
		mine := ofFamily(addrs, qtype)
		o := l.end(question{name, qtype}, len(mine) > 0, err)
		if len(mine) > 0 { // else the resolver may have given up on the other family, and said nothing of this one
			o.addrs, o.err = mine, nil
		}
		a[i] = o
	}
	return a
}

// ofFamily picks the addresses of an A or AAAA record. They come as the resolver keeps them: IPv4 within IPv6.
func ofFamily(addrs []netip.Addr, qtype uint16) []netip.Addr {
	var picked []netip.Addr
	for _, addr := range addrs {
		if addr = addr.Unmap(); addr.Is4() == (qtype == dns.TypeA) {
			picked = append(picked, addr)
		}
	}
	return picked
}

// end is how the question ended, by what was heard. found and lookupErr are the resolver's own word.
func (l *listener) end(q question, found bool, lookupErr error) outcome {
	heard := l.about(q, found)
	if len(heard) == 0 {
		return outcome{qtype: q.qtype, err: unheard(q, lookupErr)}
	}
	last := heard[len(heard)-1]
	o := outcome{reply: last.reply, qtype: q.qtype, err: l.verdict(q, last)}
	o.failed = 0
	for _, x := range heard[:len(heard)-1] {
		if l.verdict(q, x) != nil && x.server != last.server {
			o.failed++
		}
	}
	return o
}

// about is what was heard about the question. Only exchanges about the name itself decide: those about the name with a
// search domain appended end in NXDOMAIN as a matter of course. They stand in when there are no others, and when one of
// them is where the addresses were found.
func (l *listener) about(q question, found bool) []*exchanged {
	var itself, all []*exchanged
	for _, x := range l.heard {
		unsaid := x.question == question{} // the connection failed before anything could be asked
		if x.truncated || !unsaid && x.qtype != q.qtype {
			continue
		}
		all = append(all, x)
		if unsaid || strings.EqualFold(x.name, dns.Fqdn(q.name)) {
			itself = append(itself, x)
		}
	}
	hasData := func(x *exchanged) bool { return !x.empty() }
	if len(itself) > 0 && (!found || slices.ContainsFunc(itself, hasData)) {
		return itself
	}
	return all
}

var errNotAsked = errors.New("no nameserver is asked: the hosts line of /etc/nsswitch.conf needs dns")

// unheard explains a lookup in which no nameserver was asked.
func unheard(q question, lookupErr error) error {
	if _, wrongFamily := errors.AsType[*net.AddrError](lookupErr); lookupErr == nil || wrongFamily {
		return probe.Failf(probe.DNSNoData, "%s has no %v record in /etc/hosts", q.name, dns.Type(q.qtype))
	}
	if missing, ok := errors.AsType[*net.DNSError](lookupErr); ok && missing.IsNotFound {
		return probe.Failf(probe.DNSNameNotResolved, "%s is not in /etc/hosts, and %w", q.name, errNotAsked)
	}
	return lookupErr
}

// verdict is the error an exchange ended with.
func (l *listener) verdict(q question, x *exchanged) error {
	if x.answered && x.err == nil {
		if err := x.unusable(q); err != nil {
			return err
		}
		return x.failure(q)
	}
	err := x.err
	if err == nil {
		err = atRead(l.ctx, context.DeadlineExceeded, x.strangers)
	}
	err = fmt.Errorf("asking %s for %v: %w", x.server, q, err)
	if l.fileErr != nil && probe.Classify(probe.Resolve, err) != probe.LocalDenied {
		return NoNameserver(fmt.Errorf("%w; the local host was asked in its place: %w", l.fileErr, err))
	}
	return err
}

// NoNameserver is the end of an attempt that found no nameserver in a file, by the error of [Nameservers]: that there is
// none, unless this host lacks what it takes to open the file.
func NoNameserver(err error) error {
	if probe.Classify(probe.Resolve, err) == probe.LocalResources {
		return probe.Fail(probe.LocalResources, err)
	}
	return probe.Fail(probe.DNSNoNameserver, err)
}
