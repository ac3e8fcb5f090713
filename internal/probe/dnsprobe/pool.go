package dnsprobe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"netwatchd/internal/panics"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/dnsprobe/dnswire"
	"netwatchd/internal/udpsocket"
)

// A Pool makes thousands of lookups at named nameservers. All queries in flight share a socket for each address
// family, and answers are read in batches. A lookup has no goroutine, timer or socket of its own: together they would
// cost three times what the rest costs. Nor has a nameserver: ten thousand would take 250 MB.
type Pool struct {
	ctx     context.Context
	working sync.WaitGroup
	mu      sync.Mutex
	sockets map[string]*sharedSocket // by network: udp4, udp6
	spare   []*pendingLookup         // that have ended, for the next ones
}

// NewPool returns a pool that closes when ctx ends.
func NewPool(ctx context.Context) *Pool {
	return &Pool{ctx: ctx, sockets: make(map[string]*sharedSocket)}
}

// Wait waits until all sockets are closed, soon after the context has ended.
func (ls *Pool) Wait() { ls.working.Wait() }

// Start starts p's attempt if it is a lookup at one named nameserver, and reports whether it is. It calls done once,
// from another goroutine, with the result; never after the context has ended, because a cancelled attempt has no
// result.
func (ls *Pool) Start(p *probe.Probe, done func(probe.Result)) bool {
	d, ok := p.Prober.(*Lookup)
	if !ok || len(d.Nameservers) != 1 || d.Client != nil {
		return false
	}
	common := d.common
	if common == nil {
		common = newCommon(d)
	}
	if common.err != nil {
		return false
	}
	l := ls.newLookup(common)
	l.probe, l.dns, l.done, l.start = p, d, done, time.Now()
	deadline := l.start.Add(defaultTimeout)
	if p.Timeout > 0 {
		deadline = l.start.Add(p.Timeout)
	}
	for i := range l.queries {
		q := &l.queries[i]
		q.deadline, q.retryAt = deadline, halfTime(l.start, deadline)
		ls.send(q)
	}
	ls.release(l)
	return true
}

// A pendingLookup is an attempt with unanswered queries.
type pendingLookup struct {
	*common
	probe    *probe.Probe
	dns      *Lookup
	start    time.Time
	sent     time.Time // when its first query was handed to the kernel; zero: none was
	queries  []pendingQuery
	outcomes outcomes
	open     atomic.Int32
	users    atomic.Int32 // who still refers to it: the one that sends its queries, and the one that ends it
	done     func(probe.Result)
}

// A pendingQuery is one query in flight.
type pendingQuery struct {
	lookup    *pendingLookup
	server    netip.AddrPort
	index     int
	question  question
	query     []byte       // after two length octets, which only TCP needs
	addrs     []netip.Addr // room for those of the answer
	deadline  time.Time
	retryAt   time.Time // when to repeat it without EDNS0; zero: done
	strangers int       // datagrams of the nameserver that answer no query, when it was sent
	about     question  // of a response with its id that answers another question; zero: none
}

// maxSpare is how many lookups the pool keeps for the next ones: at ten thousand a second, those of two slots of 10 ms.
const maxSpare = 256

// newLookup returns a lookup with its queries, one that has ended if there is one: thousands of lookups a second must
// not produce garbage.
func (ls *Pool) newLookup(c *common) *pendingLookup {
	l := ls.takeSpare()
	l.common, l.sent = c, time.Time{}
	l.queries = slices.Grow(l.queries[:0], len(c.questions))[:len(c.questions)]
	l.outcomes = slices.Grow(l.outcomes[:0], len(c.questions))[:len(c.questions)]
	l.open.Store(int32(len(c.questions)))
	l.users.Store(2)
	for i, asked := range c.questions {
		q := &l.queries[i]
		*q = pendingQuery{lookup: l, server: c.nameserver, index: i, question: asked.question,
			query: append(q.query[:0], asked.query...), addrs: q.addrs}
	}
	return l
}

func (ls *Pool) takeSpare() *pendingLookup {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	last := len(ls.spare) - 1
	if last < 0 {
		return new(pendingLookup)
	}
	l := ls.spare[last]
	ls.spare = ls.spare[:last]
	return l
}

// release is called by each user of l once it is done with it. The last one gives it back, for the next lookup.
func (ls *Pool) release(l *pendingLookup) {
	if l.users.Add(-1) > 0 {
		return
	}
	l.probe, l.dns, l.common, l.done = nil, nil, nil, nil
	clear(l.outcomes)
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if len(ls.spare) < maxSpare {
		ls.spare = append(ls.spare, l)
	}
}

// nextEvent is when to repeat the query or to end it.
func (q *pendingQuery) nextEvent() time.Time {
	if q.retryAt.IsZero() {
		return q.deadline
	}
	return q.retryAt
}

// send sends a query. An immediate error is also reported from another goroutine, because the caller may be the one
// that handles results.
func (ls *Pool) send(q *pendingQuery) {
	l, err := ls.assign(q)
	if q.lookup.sent.IsZero() {
		q.lookup.sent = time.Now()
	}
	if err == nil {
		err = l.send(ls, q, q.query[2:])
	}
	if err != nil {
		ls.working.Go(func() { ls.settle(q, reply{}, err) })
	}
}

// assign adds q to the current socket of the nameserver's address family, or to a new one.
func (ls *Pool) assign(q *pendingQuery) (*sharedSocket, error) {
	network := "udp4"
	if q.server.Addr().Unmap().Is6() {
		network = "udp6"
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l := ls.sockets[network]; l != nil && l.add(q) {
		return l, nil
	}
	conn, err := net.ListenUDP(network, nil)
	if err != nil {
		return nil, dialError(err)
	}
	_ = conn.SetReadBuffer(readBuffer) // the kernel may grant less
	udpsocket.RequestTimestamps(conn)
	udpsocket.RequestErrors(conn)
	l := &sharedSocket{
		conn:    conn,
		network: network,
		made:    time.Now(),
		open:    make(map[uint16]*pendingQuery),
		peers:   make(map[netip.AddrPort]peer),
	}
	l.add(q)
	ls.sockets[network] = l
	ls.working.Go(func() { l.read(ls) })
	return l, nil
}

func (ls *Pool) remove(l *sharedSocket) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.sockets[l.network] == l {
		delete(ls.sockets, l.network)
	}
}

// settle ends q with a reply or an error.
func (ls *Pool) settle(q *pendingQuery, r reply, err error) {
	r.server = q.lookup.serverText
	if err != nil {
		err = fmt.Errorf("query to %s for %v: %w", r.server, q.question, err)
	} else if err = r.rcodeError(q.question); err == nil {
		err = r.emptyError(q.question)
	}
	ls.end(q, outcome{reply: r, qtype: q.question.qtype, err: err})
}

func (ls *Pool) end(q *pendingQuery, o outcome) {
	l := q.lookup
	l.outcomes[q.index] = o
	if l.open.Add(-1) > 0 || ls.ctx.Err() != nil {
		return
	}
	took := l.took()
	facts, err := probe.Guard(func() (probe.Facts, error) {
		return l.dns.conclude(took, l.outcomes, l.texts(l.outcomes))
	})
	l.done(l.probe.Conclude(l.start, took, facts, err))
	if l.allAnswered() {
		ls.release(l)
	}
}

// allAnswered reports whether each query ended with an answer. Others may still refer to a query that ended otherwise,
// so that its lookup is left to the garbage collector.
func (l *pendingLookup) allAnswered() bool {
	return !slices.ContainsFunc(l.outcomes, func(o outcome) bool { return o.err != nil })
}

// took returns the time from the first query to the last answer, without the time that either waited for this program.
// It ends now if there was no answer to one of the questions.
func (l *pendingLookup) took() time.Duration {
	if l.sent.IsZero() {
		return time.Since(l.start)
	}
	var last time.Time
	for _, o := range l.outcomes {
		if o.arrived.Before(l.sent) { // none, or the clock was set meanwhile
			return time.Since(l.sent)
		}
		if o.arrived.After(last) {
			last = o.arrived
		}
	}
	return last.Sub(l.sent)
}

const (
	// socketLifetime is how long a socket takes new queries. An attempt every few seconds always gets a new socket, with
	// the current port, source address and route: an old socket would measure yesterday's network.
	socketLifetime = time.Second

	// maxIDs is how many of the 65,536 ids one socket uses, each once. Half of them stay free: a random id is free at the
	// second try on average, and an off-path attacker cannot guess one.
	maxIDs = 1 << 15

	// readBuffer holds the answers of a quarter of a second at ten thousand queries a second: as long as the reader may
	// be descheduled. The kernel counts some 800 bytes for each.
	readBuffer = 2 << 20

	// maxBatch is how many datagrams one call reads: the queries of one slot at ten thousand a second. A socket begins
	// with minBatch, because there may be thousands of nameservers with one query each.
	minBatch, maxBatch = 2, 128
)

// A sharedSocket is a socket for the queries of a second to all nameservers of an address family. The kernel picks its
// random port. It is not connected: datagrams of strangers are dropped here, by their address, and ICMP errors are read
// from the error queue.
type sharedSocket struct {
	conn    *net.UDPConn
	network string
	made    time.Time

	mu     sync.Mutex
	open   map[uint16]*pendingQuery
	used   [1 << 16 / 64]uint64 // ids used so far: one that is not open was answered or has timed out
	uses   int
	peers  map[netip.AddrPort]peer // nameservers with open queries
	wake   time.Time               // the reader's deadline; zero: none while no query is open
	closed bool
}

// A peer is a nameserver with open queries.
type peer struct {
	open      int
	strangers int // its datagrams that answer no query
}

// peerKey returns the address as the kernel reports it, without a zone: a link-local address is compared without its
// interface, which may have a name or a number.
func peerKey(addr netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(addr.Addr().Unmap().WithZone(""), addr.Port())
}

// add adds q under an unused id, unless the socket's lifetime is over.
func (l *sharedSocket) add(q *pendingQuery) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || time.Since(l.made) >= socketLifetime || l.uses >= maxIDs {
		return false
	}
	id := uint16(rand.Uint32())
	for l.wasUsed(id) {
		id = uint16(rand.Uint32())
	}
	binary.BigEndian.PutUint16(q.query[2:], id)
	l.used[id/64] |= 1 << (id % 64)
	l.uses++
	l.open[id] = q
	key := peerKey(q.server)
	its := l.peers[key]
	its.open++
	l.peers[key] = its
	q.strangers = its.strangers
	if at := wakeTime(q.nextEvent()); l.wake.IsZero() || at.Before(l.wake) {
		l.wakeAt(at)
	}
	return true
}

// close removes q, which is open under that id.
func (l *sharedSocket) close(id uint16, q *pendingQuery) {
	delete(l.open, id)
	key := peerKey(q.server)
	its := l.peers[key]
	if its.open--; its.open == 0 {
		delete(l.peers, key)
		return
	}
	l.peers[key] = its
}

func (l *sharedSocket) wasUsed(id uint16) bool { return l.used[id/64]&(1<<(id%64)) != 0 }

// wakeGrid is how exact the end of a query is. All that end within it are ended together: looking for them takes time
// for each open query.
const wakeGrid = 5 * time.Millisecond

func wakeTime(at time.Time) time.Time {
	return at.Add(wakeGrid - time.Duration(at.Nanosecond())%wakeGrid)
}

func (l *sharedSocket) wakeAt(at time.Time) {
	l.wake = at
	l.conn.SetReadDeadline(at)
}

// send sends query for q. If the kernel returns the error of an earlier query, it has sent nothing: the error is read
// from the queue, and the query is sent again.
func (l *sharedSocket) send(ls *Pool, q *pendingQuery, query []byte) error {
	err := l.write(query, q.server)
	if isAboutEarlier(err) {
		ls.working.Go(func() { l.failFromQueue(ls) })
		if own := routeError(q.server); own != nil {
			err = own
		} else {
			for tries := 0; tries < sendTries && isAboutEarlier(err); tries++ {
				err = l.write(query, q.server)
			}
		}
	}
	if err != nil && !l.take(q) {
		return nil // the reader has already ended it
	}
	return err
}

// sendTries is far more than the errors that can arrive between two system calls.
const sendTries = 100

func (l *sharedSocket) write(query []byte, server netip.AddrPort) error {
	_, err := l.conn.WriteToUDPAddrPort(query, netip.AddrPortFrom(server.Addr().Unmap(), server.Port()))
	return err
}

// routeError returns why this host cannot send to the nameserver: a socket of its own has no errors of others.
func routeError(server netip.AddrPort) error {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(server))
	if err != nil {
		return dialError(err)
	}
	conn.Close()
	return nil
}

// resend repeats q without EDNS0.
func (l *sharedSocket) resend(ls *Pool, q *pendingQuery) {
	if err := l.send(ls, q, dnswire.WithoutEDNS(q.query[2:])); err != nil {
		ls.settle(q, reply{}, err)
	}
}

// isAboutEarlier reports whether the error of a write may come from an ICMP message about an earlier datagram: ip(7),
// IP_RECVERR. Each may also be about this one and its route; EINVAL, of a "blackhole" route, always is.
func isAboutEarlier(err error) bool {
	errno, _ := errors.AsType[syscall.Errno](err)
	switch errno {
	case syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EACCES, syscall.ENOPROTOOPT,
		syscall.EHOSTDOWN, syscall.ENONET, syscall.EOPNOTSUPP, syscall.EMSGSIZE, syscall.EPROTO, syscall.EINVAL:
		return true
	}
	return false
}

// take removes q from the open queries and reports whether it was there.
func (l *sharedSocket) take(q *pendingQuery) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := binary.BigEndian.Uint16(q.query[2:])
	if l.open[id] != q {
		return false
	}
	l.close(id, q)
	return true
}

// read receives answers until the socket's lifetime is over and no query is open, or the context ends.
func (l *sharedSocket) read(ls *Pool) {
	defer l.conn.Close()
	defer ls.remove(l)
	defer context.AfterFunc(ls.ctx, func() { l.conn.SetReadDeadline(time.Unix(1, 0)) })()
	batch, err := udpsocket.NewBatch(l.conn, minBatch, dnswire.Datagram)
	if err != nil {
		return // the socket is closed
	}
	for {
		n, err := batch.Read()
		if ls.ctx.Err() != nil {
			return
		}
		now := time.Now()
		for i := range n {
			_ = panics.Run(panics.Probe, func() error { // counted; the query times out
				msg, from, control := batch.Datagram(i)
				l.receive(ls, msg, from, udpsocket.Arrival(control, now))
				return nil
			})
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if over := l.expire(ls, time.Now()); over {
				return
			}
		case err != nil:
			l.failFromQueue(ls)
		case n == batch.Len() && n < maxBatch:
			if larger, err := udpsocket.NewBatch(l.conn, 2*n, dnswire.Datagram); err == nil {
				batch = larger
			}
		}
	}
}

// receive ends the query that msg answers. A truncated answer is requested again over TCP.
func (l *sharedSocket) receive(ls *Pool, msg []byte, from netip.AddrPort, arrived time.Time) {
	q, again := l.match(msg, from)
	if again {
		l.resend(ls, q)
		return
	}
	if q == nil {
		return
	}
	r, err := safeReadReply(msg, q.question.qtype, q.addrs[:0])
	r.arrived = arrived
	if len(r.addrs) > 0 {
		q.addrs = r.addrs // for the next lookup
	}
	if err != nil || !r.truncated {
		ls.settle(q, r, err)
		return
	}
	ls.working.Go(func() {
		var r reply
		_, err := probe.Guard(func() (_ probe.Facts, err error) {
			r, err = overTCP(ls.ctx, q.server, q.deadline, q.query, q.question.qtype)
			return probe.Facts{}, err
		})
		ls.settle(q, r, err)
	})
}

// safeReadReply reads a response; a panic in the parser must not end the monitoring of everything else.
func safeReadReply(msg []byte, qtype uint16, room []netip.Addr) (r reply, err error) {
	_, err = probe.Guard(func() (probe.Facts, error) {
		r, err = readReply(msg, qtype, room)
		return probe.Facts{}, err
	})
	return r, err
}

// match removes the query that msg answers from the open ones, unless it must be repeated.
func (l *sharedSocket) match(msg []byte, from netip.AddrPort) (q *pendingQuery, again bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	its, known := l.peers[from]
	if !known {
		return nil, false
	}
	if len(msg) < dnswire.Header {
		its.strangers++
		l.peers[from] = its
		return nil, false
	}
	id := binary.BigEndian.Uint16(msg)
	if q = l.open[id]; q != nil && peerKey(q.server) != from {
		q = nil
	}
	if q != nil && dnswire.IsResponse(q.query[2:], msg) {
		if again = !q.retryAt.IsZero() && dnswire.RejectsEDNS(msg); again {
			q.retryAt = time.Time{}
		} else {
			l.close(id, q)
		}
		return q, again
	}
	if q != nil {
		q.about = answeredQuestion(q.query[2:], msg)
	}
	if q != nil || !l.wasUsed(id) { // otherwise it is late or a duplicate
		its.strangers++
		l.peers[from] = its
	}
	return nil, false
}

// expire ends queries past their deadline, repeats those past half time, and reports whether the socket is done.
func (l *sharedSocket) expire(ls *Pool, now time.Time) bool {
	type ended struct {
		*pendingQuery
		strangers int
	}
	l.mu.Lock()
	var late []ended
	var silent []*pendingQuery
	var next time.Time
	for id, q := range l.open {
		if !q.deadline.After(now) {
			late = append(late, ended{q, l.peers[peerKey(q.server)].strangers - q.strangers})
			l.close(id, q)
			continue
		}
		if !q.nextEvent().After(now) {
			silent = append(silent, q)
			q.retryAt = time.Time{}
		}
		if next.IsZero() || q.nextEvent().Before(next) {
			next = q.nextEvent()
		}
	}
	stale := l.made.Add(socketLifetime)
	if len(l.open) == 0 {
		l.closed, next = !now.Before(stale), stale
	}
	over := l.closed
	l.wakeAt(wakeTime(next))
	l.mu.Unlock()
	for _, q := range silent {
		l.resend(ls, q)
	}
	for _, q := range late {
		ls.settle(q.pendingQuery, reply{}, readError(ls.ctx, os.ErrDeadlineExceeded, mismatches{q.strangers, q.about}))
	}
	return over
}

// failFromQueue ends the queries to the nameservers that the kernel's error queue is about.
func (l *sharedSocket) failFromQueue(ls *Pool) {
	for server, errno := range udpsocket.QueuedErrors(l.conn) {
		l.fail(ls, peerKey(server), errno)
	}
}

// fail ends every open query to a nameserver with an error that an ICMP message reports.
func (l *sharedSocket) fail(ls *Pool, server netip.AddrPort, errno syscall.Errno) {
	l.mu.Lock()
	open := make([]*pendingQuery, 0, l.peers[server].open)
	for id, q := range l.open {
		if len(open) == cap(open) {
			break
		}
		if peerKey(q.server) == server {
			open = append(open, q)
			l.close(id, q)
		}
	}
	l.mu.Unlock()
	for _, q := range open {
		ls.settle(q, reply{}, readError(ls.ctx, errno, mismatches{}))
	}
}
