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

	"netwatchd/internal/probe"
)

// Pool make lookups at named nameservers by the thousand. All questions that are in flight to one nameserver share a
// socket, and what comes back is read many datagrams at a time: an attempt so made has no goroutine, no timer and no
// socket of its own, which together cost three times what is left.
type Pool struct {
	ctx     context.Context
	working sync.WaitGroup
	mu      sync.Mutex
	lines   map[netip.AddrPort]*dnsLine
}

// NewPool returns lines that are closed when ctx ends.
func NewPool(ctx context.Context) *Pool {
	return &Pool{ctx: ctx, lines: make(map[netip.AddrPort]*dnsLine)}
}

// Wait waits until everything is closed, which is at once when the context has ended.
func (ls *Pool) Wait() { ls.working.Wait() }

// Start begins p's attempt if it is a lookup at one named nameserver, and reports whether it did. Then done hears of the
// end, once, from another goroutine; but not after the context has ended: what we cut short ourselves is not news.
func (ls *Pool) Start(p *probe.Probe, done func(probe.Result)) bool {
	d, ok := p.Prober.(*Lookup)
	if !ok || len(d.Nameservers) != 1 {
		return false
	}
	types, err := recordTypes(d.Types)
	if err != nil {
		return false
	}
	l := &lookupInFlight{probe: p, dns: d, start: time.Now(), asked: make(asked, len(types)), done: done}
	l.open.Store(int32(len(types)))
	deadline := l.start.Add(patience)
	if p.Timeout > 0 {
		deadline = l.start.Add(p.Timeout)
	}
	for i, qtype := range types {
		ls.put(&inFlight{lookup: l, index: i, question: question{d.Name, qtype}, deadline: deadline, again: halfway(l.start, deadline)}, d.Nameservers[0])
	}
	return true
}

// A lookupInFlight is an attempt of which some questions are not answered yet.
type lookupInFlight struct {
	probe *probe.Probe
	dns   *Lookup
	start time.Time
	asked asked
	open  atomic.Int32
	done  func(probe.Result)
}

// An inFlight is one question that was sent.
type inFlight struct {
	lookup    *lookupInFlight
	index     int
	question  question
	query     []byte // behind two octets of length, which only TCP wants
	deadline  time.Time
	again     time.Time // when it is asked a second time, plainly; zero: it was
	strangers int       // how many the line had met before
}

// wake is when something is due.
func (q *inFlight) wake() time.Time {
	if q.again.IsZero() {
		return q.deadline
	}
	return q.again
}

// put sends a question. An end that comes at once comes from another goroutine as well: the caller may be the one who has
// to hear of it.
func (ls *Pool) put(q *inFlight, server netip.AddrPort) {
	s := scratches.Get().(*scratch)
	query, err := packQuery(s.query[:], q.question)
	q.query = bytes.Clone(query)
	scratches.Put(s)
	if err != nil {
		ls.working.Go(func() { ls.end(q, outcome{qtype: q.question.qtype, err: probe.Fail(probe.DNSFailed, err)}) })
		return
	}
	l, err := ls.enter(q, server)
	if err == nil {
		err = l.send(ls, q, q.query[2:])
	}
	if err != nil {
		ls.working.Go(func() { ls.settle(q, server.String(), reply{}, err) })
	}
}

// enter gives q a line: the one in use, or a new one.
func (ls *Pool) enter(q *inFlight, server netip.AddrPort) (*dnsLine, error) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l := ls.lines[server]; l != nil && l.enter(q) {
		return l, nil
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(server))
	if err != nil {
		return nil, atDial(err)
	}
	_ = conn.SetReadBuffer(readBuffer) // less is taken if the kernel says so
	l := &dnsLine{conn: conn, server: server, name: server.String(), made: time.Now(), open: make(map[uint16]*inFlight)}
	l.enter(q)
	ls.lines[server] = l
	ls.working.Go(func() { l.read(ls) })
	return l, nil
}

func (ls *Pool) leave(l *dnsLine) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.lines[l.server] == l {
		delete(ls.lines, l.server)
	}
}

// settle ends q with what a nameserver said, or why it said nothing.
func (ls *Pool) settle(q *inFlight, server string, r reply, err error) {
	r.server = server
	if err != nil {
		err = fmt.Errorf("asking %s for %v: %w", server, q.question, err)
	} else if err = r.unusable(q.question); err == nil {
		err = r.failure(q.question)
	}
	ls.end(q, outcome{r, q.question.qtype, err})
}

func (ls *Pool) end(q *inFlight, o outcome) {
	l := q.lookup
	l.asked[q.index] = o
	if l.open.Add(-1) > 0 || ls.ctx.Err() != nil {
		return
	}
	facts, err := probe.Guard(func() (probe.Facts, error) { return l.dns.conclude(l.start, l.asked) })
	l.done(l.probe.Conclude(l.start, facts, err))
}

const (
	// freshFor is how long after its making a socket is asked through. An attempt every few seconds always gets a new one,
	// with the port, source address and route of that moment: an old one would measure yesterday's network.
	freshFor = time.Second

	// idsMost is how many of the 65,536 ids are used on one socket, each of them once: so many remain that the next is found
	// at the second try at worst, on average, and nobody who does not see the questions can guess one.
	idsMost = 1 << 15

	// readBuffer has room for the answers to what ten thousand attempts a second ask within a quarter of a second: as long
	// as the reader may be kept from its work. The kernel counts some 800 bytes for each.
	readBuffer = 2 << 20

	// batchMost is how many datagrams are read at a time: what is asked in one slot of the grid at ten thousand a second.
	// A line begins with batchFirst, since thousands of nameservers may be asked one question each.
	batchFirst, batchMost = 2, 64
)

// A dnsLine is a socket connected to one nameserver, so that the kernel picks a random port, filters out strangers and tells
// of a refused port.
type dnsLine struct {
	conn   *net.UDPConn
	server netip.AddrPort
	name   string
	made   time.Time

	mu        sync.Mutex
	open      map[uint16]*inFlight
	used      [1 << 16 / 64]uint64 // the ids asked with: one that is not open was answered, or comes too late
	uses      int
	wake      time.Time // when the reader looks up; zero: not before something is open
	strangers int       // datagrams that answer none of the questions
	closed    bool
}

// enter adds q to what is open, under an id of its own, unless the line has had its time.
func (l *dnsLine) enter(q *inFlight) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || time.Since(l.made) >= freshFor || l.uses >= idsMost {
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
	if l.wake.IsZero() || q.wake().Before(l.wake) {
		l.wakeAt(q.wake())
	}
	return true
}

func (l *dnsLine) wasUsed(id uint16) bool { return l.used[id/64]&(1<<(id%64)) != 0 }

func (l *dnsLine) wakeAt(at time.Time) {
	l.wake = at
	l.conn.SetReadDeadline(at)
}

// send sends q, as that query. An error that an earlier question left behind is that one's, and the kernel has sent nothing.
func (l *dnsLine) send(ls *Pool, q *inFlight, query []byte) error {
	_, err := l.conn.Write(query)
	if errno, ok := errors.AsType[syscall.Errno](err); ok && ofNetwork(errno) {
		earlier := err
		ls.working.Go(func() { l.fail(ls, earlier, q) })
		_, err = l.conn.Write(query)
	}
	if err != nil && !l.take(q) {
		return nil // the reader was first, and has said what there is to say
	}
	return err
}

// sendAgain asks q a second time, without EDNS0.
func (l *dnsLine) sendAgain(ls *Pool, q *inFlight) {
	if err := l.send(ls, q, plainly(q.query[2:])); err != nil {
		ls.settle(q, l.name, reply{}, err)
	}
}

// ofNetwork reports whether errno may be the network's answer to an earlier datagram, an ICMP message: ip(7), IP_RECVERR.
func ofNetwork(errno syscall.Errno) bool {
	return errno == syscall.ECONNREFUSED || errno == syscall.EHOSTUNREACH || errno == syscall.ENETUNREACH
}

// take takes q out of what is open, and reports whether it was there.
func (l *dnsLine) take(q *inFlight) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := binary.BigEndian.Uint16(q.query[2:])
	if l.open[id] != q {
		return false
	}
	delete(l.open, id)
	return true
}

// read hears what the nameserver says until the line has had its time and nothing is open, or the context ends.
func (l *dnsLine) read(ls *Pool) {
	defer l.conn.Close()
	defer ls.leave(l)
	defer context.AfterFunc(ls.ctx, func() { l.conn.SetReadDeadline(time.Unix(1, 0)) })()
	in := ipv4.NewPacketConn(l.conn) // reads IPv6 as well: what is read is a datagram
	batch := newBatch(batchFirst)
	for {
		n, err := in.ReadBatch(batch, 0)
		if ls.ctx.Err() != nil {
			return
		}
		for _, m := range batch[:max(n, 0)] {
			l.hear(ls, m.Buffers[0][:m.N])
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if over := l.expire(ls, time.Now()); over {
				return
			}
		case err != nil:
			l.fail(ls, err, nil)
		case n == len(batch) && n < batchMost:
			batch = newBatch(2 * n)
		}
	}
}

func newBatch(size int) []ipv4.Message {
	batch := make([]ipv4.Message, size)
	for i := range batch {
		batch[i].Buffers = [][]byte{make([]byte, datagram)}
	}
	return batch
}

// hear ends the question that msg answers. An answer that did not fit is asked for again, over TCP.
func (l *dnsLine) hear(ls *Pool, msg []byte) {
	q, again := l.match(msg)
	if again {
		l.sendAgain(ls, q)
		return
	}
	if q == nil {
		return
	}
	r, err := readSafely(msg, q.question.qtype)
	if err != nil || !r.truncated {
		ls.settle(q, l.name, r, err)
		return
	}
	ls.working.Go(func() {
		r, err := overTCP(ls.ctx, l.server, q.deadline, q.query, q.question.qtype)
		ls.settle(q, l.name, r, err)
	})
}

// readSafely reads a response; a flaw in the reader must not end the monitoring of everything else.
func readSafely(msg []byte, qtype uint16) (r reply, err error) {
	_, err = probe.Guard(func() (probe.Facts, error) {
		r, err = readReply(msg, qtype)
		return probe.Facts{}, err
	})
	return r, err
}

// match takes the question that msg answers out of what is open, unless it is to be asked again.
func (l *dnsLine) match(msg []byte) (q *inFlight, again bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(msg) < header {
		l.strangers++
		return nil, false
	}
	id := binary.BigEndian.Uint16(msg)
	q = l.open[id]
	if q != nil && answers(q.query[2:], msg) {
		if again = !q.again.IsZero() && wantsItPlain(msg); again {
			q.again = time.Time{}
		} else {
			delete(l.open, id)
		}
		return q, again
	}
	if q != nil || !l.wasUsed(id) { // else it comes too late, or a second time
		l.strangers++
	}
	return nil, false
}

// expire ends the questions whose time is up, asks again those of which half is, and reports whether the line is over.
func (l *dnsLine) expire(ls *Pool, now time.Time) bool {
	l.mu.Lock()
	var late, silent []*inFlight
	var next time.Time
	for id, q := range l.open {
		if !q.deadline.After(now) {
			late = append(late, q)
			delete(l.open, id)
			continue
		}
		if !q.wake().After(now) {
			silent = append(silent, q)
			q.again = time.Time{}
		}
		if next.IsZero() || q.wake().Before(next) {
			next = q.wake()
		}
	}
	stale := l.made.Add(freshFor)
	if len(l.open) == 0 {
		l.closed, next = !now.Before(stale), stale
	}
	over, strangers := l.closed, l.strangers
	l.wakeAt(next)
	l.mu.Unlock()
	for _, q := range silent {
		l.sendAgain(ls, q)
	}
	for _, q := range late {
		ls.settle(q, l.name, reply{}, atRead(ls.ctx, os.ErrDeadlineExceeded, strangers-q.strangers))
	}
	return over
}

// fail ends everything open, but for spared, with an error that the network or this host gives for the whole line.
func (l *dnsLine) fail(ls *Pool, err error, spared *inFlight) {
	l.mu.Lock()
	open := make([]*inFlight, 0, len(l.open))
	for id, q := range l.open {
		if q != spared {
			open = append(open, q)
			delete(l.open, id)
		}
	}
	l.mu.Unlock()
	for _, q := range open {
		ls.settle(q, l.name, reply{}, atRead(ls.ctx, err, 0))
	}
}
