package dnsprobe

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"

	"netwatchd/internal/panics"
	"netwatchd/internal/probe"
)

// A Pool makes thousands of lookups at named nameservers. All queries in flight to one nameserver share a socket, and
// answers are read in batches. A lookup has no goroutine, timer or socket of its own: together they would cost three
// times what the rest costs.
type Pool struct {
	ctx     context.Context
	working sync.WaitGroup
	mu      sync.Mutex
	lines   map[netip.AddrPort]*sharedSocket
}

// NewPool returns a pool that closes when ctx ends.
func NewPool(ctx context.Context) *Pool {
	return &Pool{ctx: ctx, lines: make(map[netip.AddrPort]*sharedSocket)}
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
	types, err := recordTypes(d.Types)
	if err != nil {
		return false
	}
	l := &pendingLookup{probe: p, dns: d, start: time.Now(), outcomes: make(outcomes, len(types)), done: done}
	l.open.Store(int32(len(types)))
	deadline := l.start.Add(defaultTimeout)
	if p.Timeout > 0 {
		deadline = l.start.Add(p.Timeout)
	}
	for i, qtype := range types {
		ls.send(
			&pendingQuery{
				lookup:   l,
				index:    i,
				question: question{d.Name, qtype},
				deadline: deadline,
				retryAt:  halfTime(l.start, deadline),
			},
			d.Nameservers[0],
		)
	}
	return true
}

// A pendingLookup is an attempt with unanswered queries.
type pendingLookup struct {
	probe    *probe.Probe
	dns      *Lookup
	start    time.Time
	sent     time.Time // when its first query was handed to the kernel; zero: none was
	outcomes outcomes
	open     atomic.Int32
	done     func(probe.Result)
}

// A pendingQuery is one query in flight.
type pendingQuery struct {
	lookup    *pendingLookup
	index     int
	question  question
	query     []byte // after two length octets, which only TCP needs
	deadline  time.Time
	retryAt   time.Time // when to repeat it without EDNS0; zero: done
	strangers int       // the socket's count of mismatched datagrams when it was sent
	about     question  // of a response with its id that answers another question; zero: none
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
func (ls *Pool) send(q *pendingQuery, server netip.AddrPort) {
	s := scratches.Get().(*scratch)
	query, err := packQuery(s.query[:], q.question)
	q.query = bytes.Clone(query)
	scratches.Put(s)
	if err != nil {
		ls.working.Go(func() { ls.end(q, outcome{qtype: q.question.qtype, err: probe.Fail(probe.DNSFailed, err)}) })
		return
	}
	l, err := ls.assign(q, server)
	if q.lookup.sent.IsZero() {
		q.lookup.sent = time.Now()
	}
	if err == nil {
		err = l.send(ls, q, q.query[2:])
	}
	if err != nil {
		ls.working.Go(func() { ls.settle(q, server.String(), reply{}, err) })
	}
}

// assign adds q to the nameserver's current socket, or to a new one.
func (ls *Pool) assign(q *pendingQuery, server netip.AddrPort) (*sharedSocket, error) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l := ls.lines[server]; l != nil && l.add(q) {
		return l, nil
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(server))
	if err != nil {
		return nil, dialError(err)
	}
	_ = conn.SetReadBuffer(readBuffer) // the kernel may grant less
	requestTimestamps(conn)
	l := &sharedSocket{
		conn:   conn,
		server: server,
		name:   server.String(),
		made:   time.Now(),
		open:   make(map[uint16]*pendingQuery),
	}
	l.add(q)
	ls.lines[server] = l
	ls.working.Go(func() { l.read(ls) })
	return l, nil
}

func (ls *Pool) remove(l *sharedSocket) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.lines[l.server] == l {
		delete(ls.lines, l.server)
	}
}

// settle ends q with a reply or an error.
func (ls *Pool) settle(q *pendingQuery, server string, r reply, err error) {
	r.server = server
	if err != nil {
		err = fmt.Errorf("asking %s for %v: %w", server, q.question, err)
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
	facts, err := probe.Guard(func() (probe.Facts, error) { return l.dns.conclude(took, l.outcomes) })
	l.done(l.probe.Conclude(l.start, took, facts, err))
}

// took returns the time from the first query to the last answer, without the time that either waited for this program.
// It ends now if there was no answer to one of the questions.
func (l *pendingLookup) took() time.Duration {
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
	minBatch, maxBatch = 2, 64
)

// A sharedSocket is a socket connected to one nameserver: the kernel picks a random port, drops datagrams of other
// senders and reports a refused port.
type sharedSocket struct {
	conn   *net.UDPConn
	server netip.AddrPort
	name   string
	made   time.Time

	mu        sync.Mutex
	open      map[uint16]*pendingQuery
	used      [1 << 16 / 64]uint64 // ids used so far: one that is not open was answered or has timed out
	uses      int
	wake      time.Time // the reader's deadline; zero: none while no query is open
	strangers int       // datagrams that answer no query
	closed    bool
}

// add adds q under an unused id, unless the socket's lifetime is over.
func (l *sharedSocket) add(q *pendingQuery) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || time.Since(l.made) >= socketLifetime || l.uses >= maxIDs {
		return false
	}
	id := binary.BigEndian.Uint16(q.query[2:])
	for l.wasUsed(id) {
		id = uint16(rand.Uint32())
	}
	binary.BigEndian.PutUint16(q.query[2:], id)
	l.used[id/64] |= 1 << (id % 64)
	l.uses++
	l.open[id] = q
	q.strangers = l.strangers
	if l.wake.IsZero() || q.nextEvent().Before(l.wake) {
		l.wakeAt(q.nextEvent())
	}
	return true
}

func (l *sharedSocket) wasUsed(id uint16) bool { return l.used[id/64]&(1<<(id%64)) != 0 }

func (l *sharedSocket) wakeAt(at time.Time) {
	l.wake = at
	l.conn.SetReadDeadline(at)
}

// send sends query for q. If write returns the error of an earlier query, the kernel has sent nothing: the earlier
// queries fail and the write is repeated.
func (l *sharedSocket) send(ls *Pool, q *pendingQuery, query []byte) error {
	_, err := l.conn.Write(query)
	if errno, ok := errors.AsType[syscall.Errno](err); ok && isICMPErrno(errno) {
		earlier := err
		ls.working.Go(func() { l.fail(ls, earlier, q) })
		_, err = l.conn.Write(query)
	}
	if err != nil && !l.take(q) {
		return nil // the reader has already ended it
	}
	return err
}

// resend repeats q without EDNS0.
func (l *sharedSocket) resend(ls *Pool, q *pendingQuery) {
	if err := l.send(ls, q, withoutEDNS(q.query[2:])); err != nil {
		ls.settle(q, l.name, reply{}, err)
	}
}

// isICMPErrno reports whether errno may come from an ICMP message about an earlier datagram: ip(7), IP_RECVERR.
func isICMPErrno(errno syscall.Errno) bool {
	return errno == syscall.ECONNREFUSED || errno == syscall.EHOSTUNREACH || errno == syscall.ENETUNREACH
}

// take removes q from the open queries and reports whether it was there.
func (l *sharedSocket) take(q *pendingQuery) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := binary.BigEndian.Uint16(q.query[2:])
	if l.open[id] != q {
		return false
	}
	delete(l.open, id)
	return true
}

// read receives answers until the socket's lifetime is over and no query is open, or the context ends.
func (l *sharedSocket) read(ls *Pool) {
	defer l.conn.Close()
	defer ls.remove(l)
	defer context.AfterFunc(ls.ctx, func() { l.conn.SetReadDeadline(time.Unix(1, 0)) })()
	in := ipv4.NewPacketConn(l.conn) // also reads IPv6 datagrams
	batch := newBatch(minBatch)
	for {
		n, err := in.ReadBatch(batch, 0)
		if ls.ctx.Err() != nil {
			return
		}
		now := time.Now()
		for _, m := range batch[:max(n, 0)] {
			_ = panics.Run(panics.Probe, func() error { // counted; the query times out
				l.receive(ls, m.Buffers[0][:m.N], arrival(m.OOB[:m.NN], now))
				return nil
			})
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if over := l.expire(ls, time.Now()); over {
				return
			}
		case err != nil:
			l.fail(ls, err, nil)
		case n == len(batch) && n < maxBatch:
			batch = newBatch(2 * n)
		}
	}
}

func newBatch(size int) []ipv4.Message {
	batch := make([]ipv4.Message, size)
	for i := range batch {
		batch[i].Buffers = [][]byte{make([]byte, datagram)}
		batch[i].OOB = make([]byte, timestampSize)
	}
	return batch
}

// receive ends the query that msg answers. A truncated answer is requested again over TCP.
func (l *sharedSocket) receive(ls *Pool, msg []byte, arrived time.Time) {
	q, again := l.match(msg)
	if again {
		l.resend(ls, q)
		return
	}
	if q == nil {
		return
	}
	r, err := safeReadReply(msg, q.question.qtype)
	r.arrived = arrived
	if err != nil || !r.truncated {
		ls.settle(q, l.name, r, err)
		return
	}
	ls.working.Go(func() {
		var r reply
		_, err := probe.Guard(func() (_ probe.Facts, err error) {
			r, err = overTCP(ls.ctx, l.server, q.deadline, q.query, q.question.qtype)
			return probe.Facts{}, err
		})
		ls.settle(q, l.name, r, err)
	})
}

// safeReadReply reads a response; a panic in the parser must not end the monitoring of everything else.
func safeReadReply(msg []byte, qtype uint16) (r reply, err error) {
	_, err = probe.Guard(func() (probe.Facts, error) {
		r, err = readReply(msg, qtype)
		return probe.Facts{}, err
	})
	return r, err
}

// match removes the query that msg answers from the open ones, unless it must be repeated.
func (l *sharedSocket) match(msg []byte) (q *pendingQuery, again bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(msg) < header {
		l.strangers++
		return nil, false
	}
	id := binary.BigEndian.Uint16(msg)
	q = l.open[id]
	if q != nil && isResponse(q.query[2:], msg) {
		if again = !q.retryAt.IsZero() && rejectsEDNS(msg); again {
			q.retryAt = time.Time{}
		} else {
			delete(l.open, id)
		}
		return q, again
	}
	if q != nil {
		q.about = answeredQuestion(q.query[2:], msg)
	}
	if q != nil || !l.wasUsed(id) { // otherwise it is late or a duplicate
		l.strangers++
	}
	return nil, false
}

// expire ends queries past their deadline, repeats those past half time, and reports whether the socket is done.
func (l *sharedSocket) expire(ls *Pool, now time.Time) bool {
	l.mu.Lock()
	var late, silent []*pendingQuery
	var next time.Time
	for id, q := range l.open {
		if !q.deadline.After(now) {
			late = append(late, q)
			delete(l.open, id)
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
	over, strangers := l.closed, l.strangers
	l.wakeAt(next)
	l.mu.Unlock()
	for _, q := range silent {
		l.resend(ls, q)
	}
	for _, q := range late {
		ls.settle(q, l.name, reply{}, readError(ls.ctx, os.ErrDeadlineExceeded, mismatches{strangers - q.strangers, q.about}))
	}
	return over
}

// fail ends every open query except spared with an error of the whole socket.
func (l *sharedSocket) fail(ls *Pool, err error, spared *pendingQuery) {
	l.mu.Lock()
	open := make([]*pendingQuery, 0, len(l.open))
	for id, q := range l.open {
		if q != spared {
			open = append(open, q)
			delete(l.open, id)
		}
	}
	l.mu.Unlock()
	for _, q := range open {
		ls.settle(q, l.name, reply{}, readError(ls.ctx, err, mismatches{}))
	}
}
