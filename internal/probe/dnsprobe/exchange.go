package dnsprobe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/miekg/dns"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/dnsprobe/dnswire"
)

// defaultTimeout bounds the wait for a nameserver if the attempt has no deadline: resolv.conf(5)'s default.
const defaultTimeout = 5 * time.Second

// queryEach queries the nameservers in turn until one answers conclusively: the name exists, or it does not. Each
// gets an equal share of the time left, so that a dead first nameserver leaves time to reach the second.
func queryEach(ctx context.Context, servers []netip.AddrPort, q question) (reply, error) {
	var failures []error
	for i, server := range servers {
		r, err := exchange(ctx, server, shareOfTime(ctx, len(servers)-i), q)
		r.failed = i
		if err == nil {
			err = r.rcodeError(q)
		}
		if err == nil {
			return r, nil
		}
		failures = append(failures, err)
		if i == len(servers)-1 || ctx.Err() != nil {
			return r, joinFailures(failures)
		}
	}
	return reply{}, probe.Failf(probe.DNSNoNameserver, "no nameserver to query: configure one")
}

// shareOfTime returns the end of the first of n equal parts of the time left.
func shareOfTime(ctx context.Context, n int) time.Time {
	now := time.Now()
	deadline, ok := ctx.Deadline()
	if !ok {
		return now.Add(defaultTimeout)
	}
	return now.Add(deadline.Sub(now) / time.Duration(max(n, 1)))
}

// joinFailures has the class of the last failure, which a stub resolver also reports, and the text of all.
func joinFailures(failures []error) error {
	last := failures[len(failures)-1]
	if len(failures) == 1 {
		return last
	}
	var text strings.Builder
	for _, err := range failures[:len(failures)-1] {
		text.WriteString(err.Error() + "; then ")
	}
	return fmt.Errorf("%s%w", text.String(), last)
}

// conclusive reports whether the nameserver answered that the name exists or that it does not.
func (r reply) conclusive() bool {
	return r.answered && (r.rcode == dns.RcodeSuccess || r.rcode == dns.RcodeNameError)
}

// rcodeError is the error of a response after which a stub resolver tries the next nameserver.
func (r reply) rcodeError(q question) error {
	class := probe.DNSFailed
	switch r.rcode {
	case dns.RcodeSuccess, dns.RcodeNameError:
		return nil
	case dns.RcodeServerFailure:
		class = probe.DNSServfail
	case dns.RcodeRefused:
		class = probe.DNSRefused
	}
	return probe.Failf(class, "%s answers %s for %v%s", r.server, dnswire.RCodeName(r.rcode), q, r.reason())
}

// emptyError is the error of a reply without a record of the queried type.
func (r reply) emptyError(q question) error {
	switch {
	case r.rcode == dns.RcodeNameError:
		return probe.Failf(probe.DNSNameNotResolved, "%s does not exist: %s answers NXDOMAIN%s", q.name, r.server, r.reason())
	case r.empty():
		return probe.Failf(probe.DNSNoData, "%s has no %v record: %s returns an empty answer%s",
			q.name, dns.Type(q.qtype), r.server, r.reason())
	}
	return nil
}

func (r reply) reason() string {
	if r.detail == "" {
		return ""
	}
	return " (" + r.detail + ")"
}

// A scratch holds the buffers of one exchange and is reused: thousands of probes must not produce garbage.
type scratch struct {
	query  [dnswire.QueryLimit]byte
	answer [dnswire.Datagram]byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// exchange queries one nameserver over UDP and, if the answer is truncated, over TCP.
func exchange(ctx context.Context, server netip.AddrPort, deadline time.Time, q question) (reply, error) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	query, err := dnswire.PackQuery(s.query[:], q.name, q.qtype)
	if err != nil {
		return reply{}, probe.Fail(probe.DNSFailed, err)
	}
	r, err := overUDP(ctx, server, deadline, query[2:], s.answer[:], q.qtype)
	if err == nil && r.truncated {
		r, err = overTCP(ctx, server, deadline, query, q.qtype)
	}
	r.server = server.String()
	if err != nil {
		return r, fmt.Errorf("query to %s for %v: %w", r.server, q, err)
	}
	return r, nil
}

func overUDP(ctx context.Context, server netip.AddrPort, deadline time.Time, query, buf []byte, qtype uint16) (
	reply, error,
) {
	socket, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(server)) // each query has its own port
	if err != nil {
		return reply{}, dialError(err)
	}
	defer socket.Close()
	conn := &ednsFallbackConn{Conn: socket, ctx: ctx}
	conn.SetDeadline(deadline)
	defer cancelReads(ctx, socket)()
	n, err := roundTrip(ctx, conn, query, buf)
	if err != nil {
		return reply{}, err
	}
	return readReply(buf[:n], qtype, nil)
}

// roundTrip sends query and waits for its answer; it discards datagrams that do not match.
func roundTrip(ctx context.Context, conn net.Conn, query, buf []byte) (int, error) {
	if _, err := conn.Write(query); err != nil {
		return 0, err
	}
	var strangers mismatches
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return 0, readError(ctx, err, strangers)
		}
		if dnswire.IsResponse(query, buf[:n]) {
			return n, nil
		}
		strangers.note(query, buf[:n])
	}
}

// halfTime is when a silent nameserver is queried again. A datagram may be lost, and an old nameserver or firewall
// may drop queries with EDNS0. The second answer has as much time as the first.
func halfTime(start, deadline time.Time) time.Time { return start.Add(deadline.Sub(start) / 2) }

// ednsFallbackConn is a socket to one nameserver, for one query. It repeats the query without EDNS0 at half time, or
// when the nameserver rejects EDNS0.
type ednsFallbackConn struct {
	net.Conn
	ctx      context.Context
	deadline time.Time
	query    []byte
	retried  bool // it has
}

// SetDeadline sets the end of the second try.
func (c *ednsFallbackConn) SetDeadline(at time.Time) error {
	c.deadline = at
	return c.Conn.SetDeadline(halfTime(time.Now(), at))
}

func (c *ednsFallbackConn) Write(query []byte) (int, error) {
	c.query = query
	return c.Conn.Write(query)
}

func (c *ednsFallbackConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	silent := errors.Is(err, os.ErrDeadlineExceeded)
	puzzled := err == nil && dnswire.IsResponse(c.query, b[:n]) && dnswire.RejectsEDNS(b[:n])
	if c.retried || !silent && !puzzled || c.ctx.Err() != nil {
		return n, err
	}
	c.retried = true
	c.Conn.SetDeadline(c.deadline)
	if c.ctx.Err() != nil { // SetDeadline above has undone a cancellation
		return 0, os.ErrDeadlineExceeded
	}
	if _, err := c.Conn.Write(dnswire.WithoutEDNS(c.query)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func overTCP(ctx context.Context, server netip.AddrPort, deadline time.Time, query []byte, qtype uint16) (
	reply, error,
) {
	dialer := net.Dialer{Deadline: deadline}
	conn, err := dialer.DialContext(ctx, "tcp", server.String())
	if err != nil {
		return reply{}, fmt.Errorf("the answer is truncated and needs TCP: %w", err)
	}
	defer conn.Close()
	conn.SetDeadline(deadline)
	defer cancelReads(ctx, conn)()
	if _, err := conn.Write(query); err != nil {
		return reply{}, err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return reply{}, readError(ctx, err, mismatches{})
	}
	msg := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, msg); err != nil {
		return reply{}, readError(ctx, err, mismatches{})
	}
	if !dnswire.IsResponse(query[2:], msg) {
		return reply{}, probe.Failf(probe.DNSFailed, "the answer over TCP is for another query")
	}
	dnswire.ClearTruncated(msg)
	return readReply(msg, qtype, nil)
}

// cancelReads makes conn's reads fail when ctx ends. The caller must call the returned function.
func cancelReads(ctx context.Context, conn net.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
}

// dialError and readError classify an errno by the call it came from: before a packet was sent it is this host's,
// afterwards it is the network's (an ICMP message).
func dialError(err error) error {
	switch {
	case errors.Is(err, syscall.EHOSTUNREACH): // an "unreachable" route
		return probe.Fail(probe.LocalNoRoute, err)
	case errors.Is(err, syscall.EINVAL):
		return probe.Failf(probe.LocalNoRoute,
			"%w: a \"blackhole\" route, or a link-local nameserver without its zone, as in fe80::1%%eth0", err)
	}
	return err
}

func readError(ctx context.Context, err error, strangers mismatches) error {
	var timeout net.Error
	switch errno, _ := errors.AsType[syscall.Errno](err); {
	case ctx.Err() == context.Canceled:
		return ctx.Err()
	case errno == syscall.ECONNREFUSED:
		return probe.Failf(probe.DNSUnreachable, "no nameserver runs there: %w", errno)
	case errno == syscall.ENETUNREACH, errno == syscall.EHOSTUNREACH, errno == syscall.EACCES: // ICMPv6 "prohibited"
		return probe.Failf(probe.DNSUnreachable, "the network reports it as unreachable: %w", errno)
	case !errors.As(err, &timeout) || !timeout.Timeout():
		return probe.Fail(probe.DNSFailed, err)
	case strangers.count > 0:
		return probe.Failf(probe.DNSFailed, "%v", strangers)
	}
	return probe.Failf(probe.DNSTimeout, "no answer")
}

// mismatches are datagrams that came instead of an answer.
type mismatches struct {
	count int
	about question // of the last one that has our id and answers another question; zero: none has
}

func (m *mismatches) note(query, msg []byte) {
	m.count++
	if about := answeredQuestion(query, msg); about != (question{}) {
		m.about = about
	}
}

func (m mismatches) String() string {
	text := fmt.Sprintf("none of the %d datagrams received answers the query", m.count)
	if m.about != (question{}) {
		text += fmt.Sprintf(": a response with its id is about %v", m.about)
	}
	return text
}
