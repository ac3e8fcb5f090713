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
	"netwatchd/internal/probe/dnsprobe/dnswire"
	"netwatchd/internal/resolvconf"
)

// resolvConf is where Go's resolver, like all others, finds its nameservers.
const resolvConf = "/etc/resolv.conf"

// A Trace is what a lookup learned besides the addresses.
type Trace struct {
	Server   string // the nameserver that answered or failed last; empty for a literal or /etc/hosts
	RCode    string
	Warnings []string
	FullName string // whose addresses these are, if a search domain was appended to the name
}

// LookupHost returns the addresses of host. The family is "any", "ipv4" or "ipv6"; with "any", addresses of one
// family are enough. It queries the nameservers or, if there are none, resolves as a client of this host would, with
// the addresses in the order in which a client would try them. A literal address is returned as it is. The error
// carries its class.
//
// If the system resolver finds nothing and c does, those are the addresses that c's program uses, and the trace has the
// warning [probe.WarnOnlyByClient]. c may be nil.
func LookupHost(
	ctx context.Context, nameservers []netip.AddrPort, c *Client, host, family string,
) ([]netip.Addr, Trace, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, Trace{}, nil
	}
	addrs, trace, err := lookupHost(ctx, nameservers, c, host, family)
	if err == nil || c == nil || len(nameservers) > 0 || ctx.Err() != nil {
		return addrs, trace, err
	}
	found, foundBy, clientErr := c.addresses(ctx, host)
	found = slices.DeleteFunc(found, func(a netip.Addr) bool {
		return family == "ipv4" && !a.Is4() || family == "ipv6" && a.Is4()
	})
	if clientErr != nil || len(found) == 0 {
		return addrs, trace, err
	}
	foundBy.Warnings = append(foundBy.Warnings, probe.WarnOnlyByClient)
	return found, foundBy, nil
}

func lookupHost(
	ctx context.Context, nameservers []netip.AddrPort, c *Client, host, family string,
) ([]netip.Addr, Trace, error) {
	types := []uint16{dns.TypeA, dns.TypeAAAA}
	switch family {
	case "ipv4":
		types = types[:1]
	case "ipv6":
		types = types[1:]
	}
	a := c.outcomes(ctx, nameservers, host, types)
	if a == nil {
		a = queryTypes(ctx, nameservers, host, types)
	}
	decisive := a.decisive()
	if late := slices.IndexFunc(
		a,
		func(o outcome) bool { return o.err != nil },
	); late >= 0 &&
		time.Until(shareOfTime(ctx, 1)) < minTimeLeft {
		decisive = a[late] // clients wait for both families, so that no time is left to connect
	}
	trace := Trace{Server: decisive.server, RCode: decisive.rcodeText(), Warnings: a.warnings(false),
		FullName: decisive.fullName}
	if decisive.err != nil {
		return nil, trace, decisive.err
	}
	for _, o := range a {
		if o.err != nil && !isNoData(o.err) {
			trace.Warnings = append(
				trace.Warnings,
				map[uint16]string{dns.TypeA: probe.WarnAFailed, dns.TypeAAAA: probe.WarnAAAAFailed}[o.qtype],
			)
		}
	}
	addrs := a.addrs()
	if i := slices.IndexFunc(addrs, netip.Addr.IsUnspecified); i >= 0 {
		// Connecting to 0.0.0.0 reaches this host, which would then be mistaken for the service.
		return nil, trace, probe.Failf(
			probe.DNSWrongAnswer,
			"%s resolves to %v, as a block list or a hosts file answers",
			host,
			addrs[i],
		)
	}
	return addrs, trace, nil
}

// decisive returns the first outcome with addresses, or else the first that is not merely a missing family.
func (a outcomes) decisive() outcome {
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

// resolveAsSystem resolves as a client on this host would, with /etc/hosts and the search list. Go's resolver looks up
// addresses. It cannot query other types: for these the nameservers of the file are queried directly.
func resolveAsSystem(ctx context.Context, name string, types []uint16) outcomes {
	servers, fileErr := resolvconf.Nameservers(resolvConf)
	a := make(outcomes, 0, len(types))
	var families []uint16
	for _, qtype := range types {
		if qtype == dns.TypeA || qtype == dns.TypeAAAA {
			families = append(families, qtype)
		} else if fileErr != nil {
			a = append(a, outcome{qtype: qtype, err: NoNameserver(fileErr)})
		} else {
			a = append(a, queryTypes(ctx, servers, name, []uint16{qtype})...)
		}
	}
	if len(families) == 0 {
		return a
	}
	l := &resolverTap{ctx: ctx, servers: servers, fileErr: fileErr}
	// A new resolver each time: one resolver shares concurrent lookups of a name, and only one of them would be observed.
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

// A resolverTap observes the sockets of Go's resolver. The resolver hides what it saw: NXDOMAIN and no data are both
// "no such host", an errno remains only as text, and without nameservers it silently queries the local host.
type resolverTap struct {
	ctx     context.Context
	servers []netip.AddrPort // of the file
	fileErr error

	mu        sync.Mutex
	exchanges []*observed // in the order in which they began
}

// observed is one exchange with a nameserver: it ends with a reply or err; neither means that it is not over.
type observed struct {
	reply
	question
	err       error
	strangers mismatches
}

// minTimeLeft is the least time in which another query makes sense; with less, the earlier failures say more.
const minTimeLeft = time.Millisecond

func (l *resolverTap) dial(_ context.Context, network, address string) (net.Conn, error) {
	// The resolver's own context neither ends with ours nor has our deadline (net/lookup.go,
	// withUnexpiredValuesPreserved).
	if err := l.ctx.Err(); err != nil {
		return nil, err
	}
	address = l.redirect(address)
	deadline := shareOfTime(l.ctx, l.serversLeft(address))
	if time.Until(deadline) < minTimeLeft {
		return nil, context.DeadlineExceeded
	}
	x := &observed{reply: reply{server: address}}
	l.mu.Lock()
	l.exchanges = append(l.exchanges, x)
	l.mu.Unlock()
	conn, err := (&net.Dialer{Deadline: deadline}).DialContext(l.ctx, network, address)
	if err != nil {
		if network == "udp" {
			err = dialError(err)
		}
		l.failed(x, err)
		return nil, err
	}
	t := &tappedConn{Conn: conn, resolverTap: l, exchange: x, deadline: deadline, stop: cancelReads(l.ctx, conn)}
	if packets, ok := conn.(net.PacketConn); ok {
		t.Conn = &ednsFallbackConn{Conn: conn, ctx: l.ctx}
		return &tappedPacketConn{t, packets}, nil // the resolver recognizes UDP by this interface
	}
	t.stream = true
	return t, nil
}

// redirect returns the nameserver that a program started now would query where Go's resolver queries address. Go
// reads the file again only every five seconds, and never if only its mode has changed (net/dnsclient_unix.go,
// tryUpdate): a lost or rewritten file would go unnoticed until then.
func (l *resolverTap) redirect(address string) string {
	asked, err := netip.ParseAddrPort(address)
	switch {
	case err != nil, asked.Addr().IsLoopback() && len(l.servers) == 0, slices.Contains(l.servers, asked):
		return address
	case len(l.servers) == 0:
		return "127.0.0.1:53" // resolv.conf(5): the local host, if there is no nameserver line
	}
	return l.servers[0].String()
}

// serversLeft counts the nameservers, from address on, that share the time left. By default Go gives each five
// seconds: a dead first one would use up the whole attempt before the second is tried.
func (l *resolverTap) serversLeft(address string) int {
	i := slices.IndexFunc(l.servers, func(s netip.AddrPort) bool { return s.String() == address })
	const mostUsed = 3 // resolv.conf(5), MAXNS: more are ignored
	return max(1, min(len(l.servers), mostUsed)-max(i, 0))
}

func (l *resolverTap) failed(x *observed, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !x.answered {
		x.err = err
	}
}

func (l *resolverTap) answered(x *observed, msg []byte) {
	r, err := readReply(msg, x.qtype, nil)
	r.server = x.server
	l.mu.Lock()
	defer l.mu.Unlock()
	x.reply, x.err = r, err
}

// A tappedConn is an observed connection of the resolver. One goroutine uses it, for one exchange.
type tappedConn struct {
	net.Conn
	*resolverTap
	exchange *observed
	deadline time.Time
	stop     func() bool
	stream   bool // TCP: a length precedes each message
	query    []byte
	received []byte // of a stream: received so far
}

type tappedPacketConn struct {
	*tappedConn
	net.PacketConn
}

func (p *tappedPacketConn) Read(b []byte) (int, error)        { return p.tappedConn.Read(b) }
func (p *tappedPacketConn) Write(b []byte) (int, error)       { return p.tappedConn.Write(b) }
func (p *tappedPacketConn) Close() error                      { return p.tappedConn.Close() }
func (p *tappedPacketConn) LocalAddr() net.Addr               { return p.tappedConn.LocalAddr() }
func (p *tappedPacketConn) SetDeadline(t time.Time) error     { return p.tappedConn.SetDeadline(t) }
func (p *tappedPacketConn) SetReadDeadline(t time.Time) error { return p.tappedConn.SetReadDeadline(t) }
func (p *tappedPacketConn) SetWriteDeadline(t time.Time) error {
	return p.tappedConn.SetWriteDeadline(t)
}

// SetDeadline applies the resolver's deadline if it is the earlier one, and keeps a cancellation that came before.
func (t *tappedConn) SetDeadline(at time.Time) error {
	if at.After(t.deadline) {
		at = t.deadline
	}
	err := t.Conn.SetDeadline(at)
	if t.ctx.Err() != nil {
		return t.Conn.SetDeadline(time.Unix(1, 0))
	}
	return err
}

func (t *tappedConn) Close() error {
	t.stop()
	return t.Conn.Close()
}

func (t *tappedConn) Write(b []byte) (int, error) {
	t.query = slices.Clone(b[min(t.prefix(), len(b)):])
	t.mu.Lock()
	t.exchange.question = parseQuestion(t.query)
	t.mu.Unlock()
	n, err := t.Conn.Write(b)
	if err != nil {
		t.failed(t.exchange, err)
	}
	return n, err
}

func (t *tappedConn) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	switch {
	case err != nil:
		t.failed(t.exchange, readError(t.ctx, err, t.exchange.strangers))
	case t.stream:
		t.receiveStream(b[:n])
	case dnswire.IsResponse(t.query, b[:n]):
		t.answered(t.exchange, b[:n])
	default:
		t.mu.Lock()
		t.exchange.strangers.note(t.query, b[:n])
		t.mu.Unlock()
	}
	return n, err
}

func (t *tappedConn) receiveStream(b []byte) {
	t.received = append(t.received, b...)
	if len(t.received) < 2 {
		return
	}
	msg := t.received[2:]
	if len(msg) < int(binary.BigEndian.Uint16(t.received)) {
		return
	}
	if !dnswire.IsResponse(t.query, msg) {
		t.failed(t.exchange, probe.Failf(probe.DNSFailed, "its answer over TCP is to another question"))
		return
	}
	dnswire.ClearTruncated(msg)
	t.answered(t.exchange, msg)
}

func (t *tappedConn) prefix() int {
	if t.stream {
		return 2
	}
	return 0
}

// parseQuestion reads the question of a query; the zero question if it is malformed.
func parseQuestion(query []byte) question {
	octets, ok := dnswire.QuestionOctets(query)
	if !ok {
		return question{}
	}
	name, end, err := dns.UnpackDomainName(octets, 0)
	if err != nil {
		return question{}
	}
	return question{name, binary.BigEndian.Uint16(octets[end:])}
}

// outcomes combines what the resolver found with what was observed, for each family.
func (l *resolverTap) outcomes(name string, families []uint16, addrs []netip.Addr, err error) outcomes {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := make(outcomes, len(families))
	for i, qtype := range families {
		mine := ofFamily(addrs, qtype)
		o := l.outcome(question{name, qtype}, len(mine) > 0, err)
		if len(mine) > 0 { // otherwise the resolver may have failed for the other family only
			o.addrs, o.err = mine, nil
		}
		a[i] = o
	}
	return a
}

// ofFamily returns the addresses of an A or AAAA query. The resolver has IPv4 addresses in their IPv6 form.
func ofFamily(addrs []netip.Addr, qtype uint16) []netip.Addr {
	var picked []netip.Addr
	for _, addr := range addrs {
		if addr = addr.Unmap(); addr.Is4() == (qtype == dns.TypeA) && len(picked) < probe.DNSRecordLimit {
			picked = append(picked, addr)
		}
	}
	return picked
}

// outcome returns the end of the query as observed. found and lookupErr are the resolver's own result.
func (l *resolverTap) outcome(q question, found bool, lookupErr error) outcome {
	exchanges := l.exchangesFor(q, found)
	if len(exchanges) == 0 {
		return outcome{qtype: q.qtype, err: notQueriedError(q, lookupErr)}
	}
	last := exchanges[len(exchanges)-1]
	o := outcome{reply: last.reply, qtype: q.qtype, err: l.errorOf(q, last)}
	o.failed = 0
	for _, x := range exchanges[:len(exchanges)-1] {
		if l.errorOf(q, x) != nil && x.server != last.server {
			o.failed++
		}
	}
	if found {
		o.fullName = searchedName(q, exchanges)
	}
	return o
}

// searchedName returns the name whose records were used, if it is not the name of the query: the resolver appends the
// search domains of resolv.conf in turn, before or after it tries the name itself (resolv.conf(5), ndots).
func searchedName(q question, exchanges []*observed) string {
	for _, x := range exchanges {
		if !x.empty() {
			if strings.EqualFold(x.name, dns.Fqdn(q.name)) {
				return ""
			}
			return strings.TrimSuffix(x.name, ".")
		}
	}
	return ""
}

// exchangesFor returns the exchanges that decide the query: those for the name itself. Names with a search domain
// appended usually end in NXDOMAIN; they count only if there are no others, or if one of them has the addresses.
func (l *resolverTap) exchangesFor(q question, found bool) []*observed {
	var itself, all []*observed
	for _, x := range l.exchanges {
		unsaid := x.question == question{} // the connection failed before the query was sent
		if x.truncated || !unsaid && x.qtype != q.qtype {
			continue
		}
		all = append(all, x)
		if unsaid || dns.CanonicalName(x.name) == dns.CanonicalName(q.name) {
			itself = append(itself, x)
		}
	}
	hasData := func(x *observed) bool { return !x.empty() }
	if len(itself) > 0 && (!found || slices.ContainsFunc(itself, hasData)) {
		return itself
	}
	return all
}

var errNotQueried = errors.New("no nameserver is queried: the hosts line of /etc/nsswitch.conf needs dns")

// notQueriedError explains a lookup in which no nameserver was queried.
func notQueriedError(q question, lookupErr error) error {
	if _, wrongFamily := errors.AsType[*net.AddrError](lookupErr); lookupErr == nil || wrongFamily {
		return probe.Failf(probe.DNSNoData, "%s has no %v record in /etc/hosts", q.name, dns.Type(q.qtype))
	}
	if missing, ok := errors.AsType[*net.DNSError](lookupErr); ok && missing.IsNotFound {
		return probe.Failf(probe.DNSNameNotResolved, "%s is not in /etc/hosts, and %w", q.name, errNotQueried)
	}
	return lookupErr
}

// errorOf returns the error of an exchange.
func (l *resolverTap) errorOf(q question, x *observed) error {
	if x.answered && x.err == nil {
		if err := x.rcodeError(q); err != nil {
			return err
		}
		return x.emptyError(q)
	}
	err := x.err
	if err == nil {
		err = readError(l.ctx, context.DeadlineExceeded, x.strangers)
	}
	err = fmt.Errorf("query to %s for %v: %w", x.server, q, err)
	if l.fileErr != nil && probe.Classify(probe.Resolve, err) != probe.LocalDenied {
		return NoNameserver(fmt.Errorf("%w; the local host was queried instead: %w", l.fileErr, err))
	}
	return err
}

// NoNameserver classifies an error of [resolvconf.Nameservers]: no nameserver is configured, unless this host has no
// descriptors left to open the file.
func NoNameserver(err error) error {
	if probe.Classify(probe.Resolve, err) == probe.LocalResources {
		return probe.Fail(probe.LocalResources, err)
	}
	return probe.Fail(probe.DNSNoNameserver, err)
}
