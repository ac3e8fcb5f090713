package dnsprobe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"netwatchd/internal/clientrules"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/dnsprobe/dnswire"
	"netwatchd/internal/resolvconf"
	"netwatchd/internal/userfile"
)

// A Client looks names up as programs linked with musl do. The lookups of one round share it, so that none asks a
// question again that the client's lookup has just had answered. It is safe for concurrent use.
type Client struct {
	Name string // of the program, for people: "codex"

	mu     sync.Mutex
	latest *ClientLookup
}

// ForRound returns the client's lookup of a name for one round. The servers are those whose answers other lookups of
// the round may use.
func (c *Client) ForRound(name string, servers []netip.AddrPort) *ClientLookup {
	l := &ClientLookup{Name: name, Client: c.Name, shared: make(map[sharedKey]*sharedReply)}
	l.until = time.Now().Add(sharePatience)
	for _, server := range servers {
		for _, qtype := range clientTypes {
			l.shared[sharedKey{server, qtype}] = &sharedReply{done: make(chan struct{})}
		}
	}
	c.mu.Lock()
	c.latest = l
	c.mu.Unlock()
	return l
}

// lookupFor returns the lookup of the round that has just begun, if it is of that name.
func (c *Client) lookupFor(name string) *ClientLookup {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.latest; l != nil && time.Now().Before(l.until) && dns.CanonicalName(l.Name) == dns.CanonicalName(name) {
		return l
	}
	return nil
}

// addresses returns the addresses that the client finds for name, with queries of its own.
func (c *Client) addresses(ctx context.Context, name string) ([]netip.Addr, Trace, error) {
	l := &ClientLookup{Name: name, Client: c.Name}
	a, _, err := l.resolve(ctx)
	var facts probe.Facts
	a.fill(&facts)
	return a.addrs, Trace{Server: facts.Server, RCode: facts.RCode, Warnings: facts.Warnings}, err
}

// outcomes returns what the nameserver has just answered the client's lookup of that name in the same round, if these
// are good answers for every type; otherwise nil. Without a nameserver it is the first of resolv.conf, which the system
// resolver would ask.
func (c *Client) outcomes(ctx context.Context, nameservers []netip.AddrPort, name string, types []uint16) outcomes {
	l := c.lookupFor(name)
	if l == nil {
		return nil
	}
	if len(nameservers) == 0 {
		if conf, err := clientConf(); err == nil && !conf.UseTCP && resolvconf.AsksDNS(nsswitchFile) {
			nameservers = conf.Nameservers
		}
	}
	if len(nameservers) == 0 {
		return nil
	}
	a := make(outcomes, len(types))
	for i, qtype := range types {
		r, ok := l.answer(ctx, nameservers[0], qtype)
		if !ok {
			return nil
		}
		a[i] = outcome{reply: r, qtype: qtype, err: r.emptyError(question{name, qtype})}
	}
	return a
}

const nsswitchFile = "/etc/nsswitch.conf"

// clientTypes are the questions of a lookup, in the order in which musl sends and judges them.
var clientTypes = [2]uint16{dns.TypeA, dns.TypeAAAA}

// A ClientLookup looks a name up as a program linked with musl does. It succeeds if that program finds an address.
//
// musl (1.2.5, res_msend.c and lookup_name.c; measured with codex 0.104.0 and 0.169.0) reads /etc/hosts, then sends A
// and AAAA to all nameservers at once, at most three, from one socket. Of each question the first response with
// NOERROR or NXDOMAIN counts. It recognizes a response by its id alone, whatever its question. If either question
// ends in NXDOMAIN or has no answer by the end, the lookup fails. It has neither EDNS0 nor nsswitch.conf.
type ClientLookup struct {
	Name   string
	Client string // the program, for people

	shared map[sharedKey]*sharedReply
	until  time.Time        // how long other lookups wait for an answer of this one
	conf   *resolvconf.Conf // nil: that of /etc/resolv.conf
}

type sharedKey struct {
	server netip.AddrPort
	qtype  uint16
}

// A sharedReply is an answer that other lookups of the round may use. It is empty if the client's lookup ended without.
type sharedReply struct {
	once sync.Once
	done chan struct{}
	reply
	positive bool
}

func (s *sharedReply) settle(r reply, positive bool) {
	s.once.Do(func() {
		s.reply, s.positive = r, positive
		close(s.done)
	})
}

// sharePatience is how long another lookup waits for an answer of the client's lookup before it sends its own query: a
// nameserver that has not answered by then is better asked again than waited for.
const sharePatience = 250 * time.Millisecond

// answer returns the answer of that nameserver, if it has one for the client's lookup.
func (l *ClientLookup) answer(ctx context.Context, server netip.AddrPort, qtype uint16) (reply, bool) {
	if l == nil {
		return reply{}, false
	}
	s := l.shared[sharedKey{server, qtype}]
	if s == nil {
		return reply{}, false
	}
	patience := time.NewTimer(time.Until(l.until))
	defer patience.Stop()
	select {
	case <-s.done:
		return s.reply, s.positive
	case <-patience.C:
	case <-ctx.Done():
	}
	return reply{}, false
}

// Probe implements [probe.Prober].
func (l *ClientLookup) Probe(ctx context.Context) (probe.Facts, error) {
	defer func() {
		for _, s := range l.shared {
			s.settle(reply{}, false)
		}
	}()
	start := time.Now()
	a, took, err := l.resolve(ctx)
	facts := probe.Facts{Phase: probe.Resolve}
	facts.Phases[probe.Resolve] = probe.InSeconds(took)
	if took == 0 {
		facts.Phases[probe.Resolve] = probe.InSeconds(time.Since(start))
	}
	a.fill(&facts)
	return facts, err
}

// clientAnswer is the end of a client's lookup.
type clientAnswer struct {
	decisive  clientQuestion
	addrs     []netip.Addr
	fromHosts bool
}

func (a clientAnswer) fill(f *probe.Facts) {
	if a.fromHosts {
		f.Warnings = append(f.Warnings, probe.WarnHostsFile)
	}
	q := a.decisive
	f.Answers = outcomes{{reply: reply{addrs: a.addrs}}}.texts()
	if q.question == (question{}) {
		return
	}
	f.Question = question{strings.TrimSuffix(q.name, "."), q.qtype}.String()
	f.Server = q.last.server
	if q.last.answered {
		f.RCode = dnswire.RCodeName(q.last.rcode)
	}
	if q.about != (question{}) {
		f.AnswersTo = q.about.String()
	}
}

// resolve looks the name up, and returns how long musl would have waited; zero if no nameserver was queried.
func (l *ClientLookup) resolve(ctx context.Context) (clientAnswer, time.Duration, error) {
	if addrs := hostsAddresses(hostsFile, l.Name); len(addrs) > 0 {
		return clientAnswer{addrs: addrs, fromHosts: true}, 0, nil
	}
	conf, err := clientConf()
	if l.conf != nil {
		conf, err = *l.conf, nil
	}
	if err != nil {
		return clientAnswer{}, 0, err
	}
	var a clientAnswer
	var took time.Duration
	for _, name := range searchedNames(l.Name, conf) {
		x, err := newClientExchange(l, conf, name)
		if err != nil {
			return clientAnswer{}, 0, err
		}
		a, took, err = x.run(ctx)
		nxdomain := a.decisive.last.answered && a.decisive.last.rcode == dns.RcodeNameError
		if err == nil || !nxdomain { // musl tries the next search domain after NXDOMAIN only
			return a, took, err
		}
		if name == l.Name || strings.HasSuffix(l.Name, ".") {
			return a, took, err
		}
	}
	return a, took, err
}

// clientConf reads resolv.conf as musl does: the first three nameservers, or this host if there is none.
func clientConf() (resolvconf.Conf, error) {
	text, err := os.ReadFile(resolvConf)
	if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, os.ErrPermission) {
		return resolvconf.Conf{}, NoNameserver(err)
	}
	conf := resolvconf.Parse(text)
	conf.Nameservers = conf.Nameservers[:min(len(conf.Nameservers), resolvconf.MaxNameservers)]
	if len(conf.Nameservers) == 0 {
		conf.Nameservers = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53")}
	}
	return conf, nil
}

// searchedNames are the names that musl looks up, in order: a name with enough dots is not searched for below other
// domains at all.
func searchedNames(name string, conf resolvconf.Conf) []string {
	if strings.Count(name, ".") >= conf.Ndots || strings.HasSuffix(name, ".") {
		return []string{name}
	}
	var all []string
	for _, domain := range conf.Search {
		all = append(all, name+"."+domain)
	}
	return append(all, name)
}

const hostsFile = "/etc/hosts"

// hostsLimit is more than the largest block lists have (100,000 names, 3 MB).
const hostsLimit = 16 << 20

// hostsAddresses returns the addresses of a name in a hosts(5) file. As in musl, the name must match letter by letter.
func hostsAddresses(file, name string) []netip.Addr {
	f, err := userfile.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, hostsLimit))
	if err != nil || !strings.Contains(string(text), name) {
		return nil
	}
	var addrs []netip.Addr
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) < 2 || !slices.Contains(words[1:], name) {
			continue
		}
		if addr, err := netip.ParseAddr(words[0]); err == nil {
			addrs = append(addrs, addr.Unmap())
		}
	}
	return addrs
}

// A clientQuestion is one of the two questions of a lookup.
type clientQuestion struct {
	question
	query    []byte // after two length octets, which only TCP needs
	last     reply  // the accepted response, or the last that was not
	accepted bool
	about    question       // that response is about another question; zero: it is not
	rejected map[string]int // by nameserver: responses that musl ignores
	failed   error          // a truncated answer could not be fetched over TCP
	sent     int            // queries that left this host
	sendErr  error
}

func (q *clientQuestion) answer() clientrules.Answer {
	return clientrules.Answer{Answered: q.accepted && q.failed == nil, RCode: q.last.rcode, Addresses: len(q.last.addrs)}
}

// A clientExchange asks all nameservers both questions.
type clientExchange struct {
	lookup    *ClientLookup
	conf      resolvconf.Conf
	name      string
	socket    *net.UDPConn
	questions [2]clientQuestion
	start     time.Time
	missing   map[sharedKey]bool // answers that have not arrived and that other lookups of the round wait for
}

func newClientExchange(l *ClientLookup, conf resolvconf.Conf, name string) (*clientExchange, error) {
	x := &clientExchange{lookup: l, conf: conf, name: name, missing: make(map[sharedKey]bool)}
	id := uint16(rand.Uint32())
	for i, qtype := range clientTypes {
		var buf [dnswire.QueryLimit]byte
		query, err := dnswire.PackQuery(buf[:], name, qtype)
		if err != nil {
			return nil, probe.Fail(probe.DNSFailed, err)
		}
		query = slices.Concat(query[:2], dnswire.WithoutEDNS(query[2:]))
		binary.BigEndian.PutUint16(query, uint16(len(query)-2))
		binary.BigEndian.PutUint16(query[2:], id+uint16(i))
		x.questions[i] = clientQuestion{question: question{name, qtype}, query: query, rejected: make(map[string]int)}
		for _, server := range conf.Nameservers {
			if l.shared[sharedKey{server, qtype}] != nil {
				x.missing[sharedKey{server, qtype}] = true
			}
		}
	}
	return x, nil
}

// tries is how many times a question without any response is sent. musl sends it twice within five seconds. An attempt
// has less time, and should tell a nameserver that never answers this question from a link that loses packets: with
// one datagram in three lost, two tries in a row fail every fourth time, six every fiftieth.
const tries = 6

// minResend keeps a slow nameserver from being asked again before its answer can arrive.
const minResend = 200 * time.Millisecond

// rejectionsEnough is how many times each nameserver has refused a question before the lookup is given up. musl waits
// to the end of its timeout, but a nameserver that has refused twice will not answer.
const rejectionsEnough = 2

func (x *clientExchange) run(ctx context.Context) (clientAnswer, time.Duration, error) {
	socket, err := net.ListenUDP("udp", nil)
	if err != nil {
		return clientAnswer{}, 0, dialError(err)
	}
	defer socket.Close()
	defer cancelReads(ctx, socket)()
	x.socket, x.start = socket, time.Now()
	deadline := x.start.Add(x.conf.Timeout)
	if end, ok := ctx.Deadline(); ok && end.Before(deadline) {
		deadline = end
	}
	resend := max(deadline.Sub(x.start)/tries, minResend)
	next := x.start
	for time.Now().Before(deadline) && ctx.Err() == nil && !x.decided() {
		if now := time.Now(); !now.Before(next) {
			x.send(func(q *clientQuestion) bool { return !q.accepted })
			next = now.Add(resend)
		}
		x.receive(ctx, earlier(next, deadline), deadline)
	}
	took := time.Since(x.start)
	for end := x.lookup.until; x.isMissing() && time.Now().Before(end) && ctx.Err() == nil; {
		x.receive(ctx, earlier(end, deadline), deadline)
	}
	a, err := x.conclude(ctx)
	return a, took, err
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// isMissing reports whether other lookups of the round wait for an answer that has not arrived. AAAA they ask of the
// first nameserver only.
func (x *clientExchange) isMissing() bool {
	for key, missing := range x.missing {
		if missing && (key.qtype == dns.TypeA || key.server == x.conf.Nameservers[0]) {
			return true
		}
	}
	return false
}

func (x *clientExchange) decided() bool {
	open := 0
	for i := range x.questions {
		if q := &x.questions[i]; !q.accepted && !x.isGivenUp(q) {
			open++
		}
	}
	return open == 0
}

func (x *clientExchange) isGivenUp(q *clientQuestion) bool {
	if q.sent == 0 {
		return q.sendErr != nil
	}
	return !slices.ContainsFunc(x.conf.Nameservers, func(server netip.AddrPort) bool {
		return q.rejected[server.String()] < rejectionsEnough
	})
}

func (x *clientExchange) send(match func(*clientQuestion) bool) {
	for i := range x.questions {
		if q := &x.questions[i]; match(q) {
			for _, server := range x.conf.Nameservers {
				x.sendTo(q, server)
			}
		}
	}
}

func (x *clientExchange) sendTo(q *clientQuestion, server netip.AddrPort) {
	if _, err := x.socket.WriteToUDPAddrPort(q.query[2:], server); err != nil {
		q.sendErr = fmt.Errorf("query to %v for %v: %w", server, q.question, dialError(err))
		if q.last.server == "" {
			q.last.server = server.String()
		}
		return
	}
	q.sent++
}

// receive reads one datagram.
func (x *clientExchange) receive(ctx context.Context, until, deadline time.Time) {
	x.socket.SetReadDeadline(until)
	if ctx.Err() != nil {
		return
	}
	var buf [dnswire.Datagram]byte
	n, from, err := x.socket.ReadFromUDPAddrPort(buf[:])
	if err != nil || n < dnswire.Header {
		return
	}
	from = netip.AddrPortFrom(from.Addr().Unmap().WithZone(""), from.Port())
	i := slices.IndexFunc(x.conf.Nameservers, func(s netip.AddrPort) bool {
		return netip.AddrPortFrom(s.Addr().Unmap().WithZone(""), s.Port()) == from
	})
	if i < 0 {
		return
	}
	for j := range x.questions {
		if q := &x.questions[j]; buf[0] == q.query[2] && buf[1] == q.query[3] {
			x.response(ctx, q, x.conf.Nameservers[i], buf[:n], deadline)
			return
		}
	}
}

// response handles what server sent for q.
func (x *clientExchange) response(
	ctx context.Context, q *clientQuestion, server netip.AddrPort, msg []byte, deadline time.Time,
) {
	r, err := safeReadReply(msg, q.qtype, nil)
	if err != nil {
		r = reply{answered: true, rcode: int(msg[3] & 0xf)}
	}
	r.server = server.String()
	var about question
	if !dnswire.IsResponse(q.query[2:], msg) {
		about = answeredQuestion(q.query[2:], msg)
	}
	key := sharedKey{server, q.qtype}
	if x.missing[key] {
		x.missing[key] = false
		positive := err == nil && about == (question{}) && !r.truncated && r.rcode == dns.RcodeSuccess &&
			(len(r.addrs) > 0 || q.qtype == dns.TypeAAAA) && dns.CanonicalName(x.name) == dns.CanonicalName(x.lookup.Name)
		x.lookup.shared[key].settle(r, positive)
	}
	switch {
	case q.accepted:
	case clientrules.AcceptsCode(r.rcode & 0xf):
		q.last, q.about, q.accepted = r, about, true
		if r.truncated {
			x.overTCP(ctx, q, server, deadline)
		}
	default:
		q.last, q.about = r, about
		q.rejected[r.server]++
		if r.rcode == dns.RcodeServerFailure && q.rejected[r.server] < rejectionsEnough {
			x.sendTo(q, server) // musl asks at once again after SERVFAIL, and after no other code
		}
	}
}

// overTCP fetches a truncated answer. A lookup fails without it (codex 0.104.0 and 0.169.0, which have musl 1.2.4 or
// later).
func (x *clientExchange) overTCP(ctx context.Context, q *clientQuestion, server netip.AddrPort, deadline time.Time) {
	r, err := overTCP(ctx, server, deadline, q.query, q.qtype)
	r.server = server.String()
	if err != nil {
		q.failed = fmt.Errorf("query to %v for %v: %w", server, q.question, err)
		return
	}
	q.last = r
}

// conclude returns what musl finds.
func (x *clientExchange) conclude(ctx context.Context) (clientAnswer, error) {
	i, found := clientrules.Musl.Decides([2]clientrules.Answer{x.questions[0].answer(), x.questions[1].answer()})
	a := clientAnswer{decisive: x.questions[i]}
	if a.decisive.last.server == "" && len(x.conf.Nameservers) == 1 {
		a.decisive.last.server = x.conf.Nameservers[0].String()
	}
	for _, q := range x.questions {
		if q.accepted && q.failed == nil {
			a.addrs = append(a.addrs, q.last.addrs...)
		}
	}
	switch j := slices.IndexFunc(a.addrs, netip.Addr.IsUnspecified); {
	case j >= 0:
		return a, probe.Failf(probe.DNSWrongAnswer, "%s resolves to %v, as a block list or a hosts file answers",
			x.name, a.addrs[j])
	case found:
		return a, nil
	}
	return a, x.lookup.explain(x.questions[i].failure(ctx, x))
}

// failure is why the lookup has no answer for q.
func (q *clientQuestion) failure(ctx context.Context, x *clientExchange) error {
	switch {
	case q.failed != nil:
		return q.failed
	case q.accepted && q.about != (question{}):
		return probe.Failf(probe.DNSFailed, "%s answers %s for %v, about another name: %v", q.last.server,
			dnswire.RCodeName(q.last.rcode), q.question, q.about)
	case q.accepted && q.last.rcode == dns.RcodeNameError:
		return probe.Failf(probe.DNSNameNotResolved, "%s answers NXDOMAIN for %v", q.last.server, q.question)
	case q.accepted:
		return q.last.emptyError(q.question)
	case q.last.answered:
		return q.last.rcodeError(q.question)
	case q.sendErr != nil:
		return q.sendErr
	case ctx.Err() == context.Canceled:
		return ctx.Err()
	}
	servers := make([]string, len(x.conf.Nameservers))
	for i, server := range x.conf.Nameservers {
		servers[i] = server.String()
	}
	return probe.Failf(probe.DNSTimeout, "query to %s for %v: no answer", strings.Join(servers, ", "), q.question)
}

func (l *ClientLookup) explain(err error) error {
	return probe.Reword(fmt.Sprintf("%s would find no address: %v", l.Client, err), err)
}
