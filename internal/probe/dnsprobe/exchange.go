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
)

// patience is how long a nameserver is waited for when the attempt itself has no deadline: resolv.conf(5)'s default.
const patience = 5 * time.Second

// ask puts a question to each nameserver in turn until one answers it, that is, says that the name exists or that it does
// not. Each gets an equal part of the time left, so that a dead first one leaves time to learn that the second lives.
func ask(ctx context.Context, servers []netip.AddrPort, q question) (reply, error) {
	var failures []error
	for i, server := range servers {
		r, err := exchange(ctx, server, share(ctx, len(servers)-i), q)
		r.failed = i
		if err == nil {
			err = r.unusable(q)
		}
		if err == nil {
			return r, nil
		}
		failures = append(failures, err)
		if i == len(servers)-1 || ctx.Err() != nil {
			return r, allFailed(failures)
		}
	}
	return reply{}, probe.Failf(probe.DNSNoNameserver, "no nameserver to ask: name one")
}

// share is the end of an equal part of the time left, for the first of n who need it.
func share(ctx context.Context, n int) time.Time {
	now := time.Now()
	deadline, ok := ctx.Deadline()
	if !ok {
		return now.Add(patience)
	}
	return now.Add(deadline.Sub(now) / time.Duration(max(n, 1)))
}

// allFailed has the class of the last failure and the text of all: a stub resolver, too, reports the last.
func allFailed(failures []error) error {
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

// conclusive reports whether the nameserver said that the name exists, or that it does not.
func (r reply) conclusive() bool {
	return r.answered && (r.rcode == dns.RcodeSuccess || r.rcode == dns.RcodeNameError)
}

// unusable is the error of a response that sends a stub resolver on to the next nameserver.
func (r reply) unusable(q question) error {
	class := probe.DNSFailed
	switch r.rcode {
	case dns.RcodeSuccess, dns.RcodeNameError:
		return nil
	case dns.RcodeServerFailure:
		class = probe.DNSServfail
	case dns.RcodeRefused:
		class = probe.DNSRefused
	}
	return probe.Failf(class, "%s answers %s for %v%s", r.server, rcodeName(r.rcode), q, r.because())
}

// failure is the error of a reply that holds nothing of what was asked for.
func (r reply) failure(q question) error {
	switch {
	case r.rcode == dns.RcodeNameError:
		return probe.Failf(probe.DNSNameNotResolved, "%s does not exist: %s answers NXDOMAIN%s", q.name, r.server, r.because())
	case r.empty():
		return probe.Failf(probe.DNSNoData, "%s has no %v record: %s answers without data%s", q.name, dns.Type(q.qtype), r.server, r.because())
	}
	return nil
}

func (r reply) because() string {
	if r.detail == "" {
		return ""
	}
	return " (" + r.detail + ")"
}

// A scratch is what one exchange writes and reads, kept for the next: a probe by the thousand should leave no garbage.
type scratch struct {
	query  [queryLimit]byte
	answer [datagram]byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// exchange asks one nameserver, over UDP and, if its answer did not fit, over TCP.
func exchange(ctx context.Context, server netip.AddrPort, deadline time.Time, q question) (reply, error) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	query, err := packQuery(s.query[:], q)
	if err != nil {
		return reply{}, probe.Fail(probe.DNSFailed, err)
	}
	r, err := overUDP(ctx, server, deadline, query[2:], s.answer[:], q.qtype)
	if err == nil && r.truncated {
		r, err = overTCP(ctx, server, deadline, query, q.qtype)
	}
	r.server = server.String()
	if err != nil {
		return r, fmt.Errorf("asking %s for %v: %w", r.server, q, err)
	}
	return r, nil
}

func overUDP(ctx context.Context, server netip.AddrPort, deadline time.Time, query, buf []byte, qtype uint16) (reply, error) {
	socket, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(server)) // a port of its own for each question
	if err != nil {
		return reply{}, atDial(err)
	}
	defer socket.Close()
	conn := &askingTwice{Conn: socket, ctx: ctx}
	conn.SetDeadline(deadline)
	defer cutShort(ctx, socket)()
	n, err := roundTrip(ctx, conn, query, buf)
	if err != nil {
		return reply{}, err
	}
	return readReply(buf[:n], qtype)
}

// roundTrip waits for the answer to query, whatever else comes before it.
func roundTrip(ctx context.Context, conn net.Conn, query, buf []byte) (int, error) {
	if _, err := conn.Write(query); err != nil {
		return 0, err
	}
	for strangers := 0; ; strangers++ {
		n, err := conn.Read(buf)
		if err != nil {
			return 0, atRead(ctx, err, strangers)
		}
		if answers(query, buf[:n]) {
			return n, nil
		}
	}
}

// halfway is when a nameserver that has said nothing is asked once more: a datagram may be lost, and a question with EDNS0
// may be dropped by a nameserver, or a firewall before it, that is older than that. It leaves as long for the second answer.
func halfway(start, deadline time.Time) time.Time { return start.Add(deadline.Sub(start) / 2) }

// askingTwice is a socket to one nameserver, for one question. It asks a second time, without EDNS0, when half of the time is
// over, or when the nameserver does not understand the first time.
type askingTwice struct {
	net.Conn
	ctx      context.Context
	deadline time.Time
	query    []byte
	again    bool // it has
}

// SetDeadline gives it its time.
func (c *askingTwice) SetDeadline(at time.Time) error {
	c.deadline = at
	return c.Conn.SetDeadline(halfway(time.Now(), at))
}

func (c *askingTwice) Write(query []byte) (int, error) {
	c.query = query
	return c.Conn.Write(query)
}

func (c *askingTwice) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	silent := errors.Is(err, os.ErrDeadlineExceeded)
	puzzled := err == nil && answers(c.query, b[:n]) && wantsItPlain(b[:n])
	if c.again || !silent && !puzzled || c.ctx.Err() != nil {
		return n, err
	}
	c.again = true
	c.Conn.SetDeadline(c.deadline)
	if c.ctx.Err() != nil { // and who cut it short meanwhile has been overruled
		return 0, os.ErrDeadlineExceeded
	}
	if _, err := c.Conn.Write(plainly(c.query)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func overTCP(ctx context.Context, server netip.AddrPort, deadline time.Time, query []byte, qtype uint16) (reply, error) {
	dialer := net.Dialer{Deadline: deadline}
	conn, err := dialer.DialContext(ctx, "tcp", server.String())
	if err != nil {
		return reply{}, fmt.Errorf("its answer needs TCP: %w", err)
	}
	defer conn.Close()
	conn.SetDeadline(deadline)
	defer cutShort(ctx, conn)()
	if _, err := conn.Write(query); err != nil {
		return reply{}, err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return reply{}, atRead(ctx, err, 0)
	}
	msg := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, msg); err != nil {
		return reply{}, atRead(ctx, err, 0)
	}
	if !answers(query[2:], msg) {
		return reply{}, probe.Failf(probe.DNSFailed, "its answer over TCP is to another question")
	}
	clearTruncated(msg)
	return readReply(msg, qtype)
}

// clearTruncated makes a message that came over TCP count as whole: there is no way to a longer one (go.dev/issue/64896).
func clearTruncated(msg []byte) { msg[2] &^= 0x02 }

// cutShort ends what conn waits for when ctx is cancelled. The returned function must be called.
func cutShort(ctx context.Context, conn net.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
}

// atDial and atRead know what the same errno means at different calls of UDP: before a packet was sent it is this host
// speaking, afterwards it is the network (an ICMP message).
func atDial(err error) error {
	switch {
	case errors.Is(err, syscall.EHOSTUNREACH): // an "unreachable" route
		return probe.Fail(probe.LocalNoRoute, err)
	case errors.Is(err, syscall.EINVAL):
		return probe.Failf(probe.LocalNoRoute, "%w: a \"blackhole\" route, or a link-local nameserver without its zone, as in fe80::1%%eth0", err)
	}
	return err
}

func atRead(ctx context.Context, err error, strangers int) error {
	var timeout net.Error
	switch errno, _ := errors.AsType[syscall.Errno](err); {
	case ctx.Err() == context.Canceled:
		return ctx.Err()
	case errno == syscall.ECONNREFUSED:
		return probe.Failf(probe.DNSUnreachable, "no nameserver runs there: %w", errno)
	case errno == syscall.ENETUNREACH, errno == syscall.EHOSTUNREACH, errno == syscall.EACCES: // ICMPv6 "prohibited"
		return probe.Failf(probe.DNSUnreachable, "the network cannot or will not reach it: %w", errno)
	case !errors.As(err, &timeout) || !timeout.Timeout():
		return probe.Fail(probe.DNSFailed, err)
	case strangers > 0:
		return probe.Failf(probe.DNSFailed, "none of the %d datagrams it sent answers the question", strangers)
	}
	return probe.Failf(probe.DNSTimeout, "no answer")
}
