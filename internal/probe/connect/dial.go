package connect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/dnsprobe"
)

// A dialer resolves a name and connects to one of its addresses, as a browser would.
type dialer struct {
	nameservers  []netip.AddrPort
	client       *dnsprobe.Client
	family       string // "ipv4", "ipv6"; anything else: both
	progress     *Progress
	smallPackets bool
}

// attemptDelay is RFC 8305's Connection Attempt Delay: after it, the next address is tried in parallel.
const attemptDelay = 250 * time.Millisecond

// dial enters the phase Resolve, unless host is an address, and then Connect.
func (d *dialer) dial(ctx context.Context, host string, port uint16) (net.Conn, error) {
	addrs, err := d.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	targets := make([]netip.AddrPort, len(addrs))
	for i, a := range addrs {
		targets[i] = netip.AddrPortFrom(a, port)
	}
	return d.connect(ctx, targets)
}

func (d *dialer) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if literal, err := netip.ParseAddr(host); err == nil {
		literal = literal.Unmap()
		if !d.allows(literal) {
			return nil, probe.Failf(probe.Internal, "%s is not an %s address: set family to any", literal, d.family)
		}
		return []netip.Addr{literal}, nil
	}
	d.progress.Enter(probe.Resolve)
	addrs, trace, err := dnsprobe.LookupHost(ctx, d.nameservers, d.client, host, cmp.Or(d.family, "any"))
	for i, a := range addrs {
		addrs[i] = a.Unmap()
	}
	d.progress.Learn(func(f *probe.Facts) {
		f.Server, f.RCode, f.FullName = trace.Server, trace.RCode, trace.FullName
		f.Warnings = append(f.Warnings, trace.Warnings...)
		f.Answers = nil
		for _, a := range addrs {
			f.Answers = append(f.Answers, a.String())
		}
	})
	if err != nil {
		return nil, err
	}
	return d.usable(host, addrs)
}

// usable rejects 0.0.0.0, the answer of block lists: Linux connects it to this host, which would then be mistaken for
// the service.
func (d *dialer) usable(host string, addrs []netip.Addr) ([]netip.Addr, error) {
	named := len(addrs)
	addrs = slices.DeleteFunc(addrs, netip.Addr.IsUnspecified)
	switch {
	case len(addrs) > 0:
		return addrs, nil
	case named > 0:
		return nil, probe.Failf(probe.DNSWrongAnswer, "%s resolves to the unspecified address, as block lists answer", host)
	}
	return nil, probe.Failf(probe.DNSNoData, "%s has no address", host)
}

func (d *dialer) allows(a netip.Addr) bool {
	return !(d.family == "ipv4" && !a.Is4() || d.family == "ipv6" && a.Is4())
}

// A dialResult is the end of one connect to one address.
type dialResult struct {
	addr netip.AddrPort
	conn net.Conn
	err  error
}

// connect tries the addresses in turn and returns the first connection. Each begins attemptDelay after the one before
// it, or as soon as that one failed. It returns only after everything it started has ended.
func (d *dialer) connect(ctx context.Context, addrs []netip.AddrPort) (net.Conn, error) {
	d.progress.Enter(probe.Connect)
	addrs = interleave(addrs)
	if len(addrs) == 1 { // nothing to race
		e := d.dialOne(ctx, addrs[0])
		if e.err != nil {
			return nil, d.failed([]dialResult{e})
		}
		d.succeeded(e.addr, nil, addrs)
		return e.conn, nil
	}
	started := 0
	ended := make(chan dialResult, len(addrs))
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		all.Wait()
		close(ended)
		for late := range ended { // it connected too late
			if late.conn != nil {
				late.conn.Close()
			}
		}
	}()
	next := time.NewTimer(0)
	defer next.Stop()
	var failed []dialResult
	for len(failed) < len(addrs) {
		select {
		case <-next.C:
			if started == len(addrs) {
				continue
			}
			addr := addrs[started]
			started++
			all.Go(func() { ended <- d.dialOne(ctx, addr) })
			next.Reset(attemptDelay)
		case e := <-ended:
			if e.err == nil {
				d.succeeded(e.addr, failed, addrs[:started])
				return e.conn, nil
			}
			failed = append(failed, e)
			if ctx.Err() != nil && len(failed) == started {
				return nil, d.failed(failed)
			}
			next.Reset(0)
		}
	}
	return nil, d.failed(failed)
}

func (d *dialer) dialOne(ctx context.Context, addr netip.AddrPort) dialResult {
	// No keep-alive: a packet every 15 s would keep the connection in a middlebox's table, and a stream held idle would
	// never be dropped. Codex's own client sends none either.
	w := tcpInspector{smallPackets: d.smallPackets}
	defer w.release()
	ctx, stop := w.cancelIfBlocked(ctx)
	defer stop()
	dialer := net.Dialer{KeepAlive: -1, Control: w.control}
	// DialTCP would bind a local port first, which no other connection has: with a few thousand attempts a second all
	// 28,000 are soon in TIME_WAIT. Without that, connections to different addresses share one.
	conn, err := dialer.DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return dialResult{addr: addr, err: connectError(addr, err, &w)}
	}
	return dialResult{addr: addr, conn: conn}
}

// succeeded records the peer, and a warning for each address family that has an address which was tried and did not
// connect.
func (d *dialer) succeeded(winner netip.AddrPort, failed []dialResult, started []netip.AddrPort) {
	isFailed := func(a netip.AddrPort) bool {
		return slices.ContainsFunc(failed, func(e dialResult) bool { return e.addr == a })
	}
	var warnings []string
	for _, a := range started {
		if a == winner {
			continue
		}
		// One that has not failed began earlier and had no answer yet. That is a black hole or a long round-trip time.
		if w := addressWarning(a.Addr(), winner.Addr(), isFailed(a)); !slices.Contains(warnings, w) {
			warnings = append(warnings, w)
		}
	}
	d.progress.Learn(func(f *probe.Facts) {
		f.Peer = winner.String()
		f.Warnings = append(f.Warnings, warnings...)
	})
}

func addressWarning(lost, winner netip.Addr, failed bool) string {
	names := [2]string{probe.WarnAddressSlow, probe.WarnAddressFailed}
	switch {
	case lost.Is4() == winner.Is4():
	case lost.Is4():
		names = [2]string{probe.WarnIPv4Slow, probe.WarnIPv4Failed}
	default:
		names = [2]string{probe.WarnIPv6Slow, probe.WarnIPv6Failed}
	}
	if failed {
		return names[1]
	}
	return names[0]
}

// failed returns the most informative error with the text of all.
func (d *dialer) failed(failed []dialResult) error {
	slices.SortStableFunc(failed, func(a, b dialResult) int { return informative(b.err) - informative(a.err) })
	d.progress.Learn(func(f *probe.Facts) {
		f.Peer = failed[0].addr.String()
		if _, is := errors.AsType[*prohibitedError](failed[0].err); is {
			f.Warnings = append(f.Warnings, probe.WarnRejectedOnPath)
		}
	})
	if len(failed) == 1 {
		return failed[0].err
	}
	var said []string
	for _, e := range failed {
		said = append(said, e.err.Error())
	}
	return probe.Reword(strings.Join(said, "; "), failed[0].err)
}

// informative ranks errors. An answer says more than silence. A family that this host itself blocks or has no route for
// says nothing about the other family. A lack of sockets affects both.
func informative(err error) int {
	return slices.Index(
		[]probe.Class{
			probe.LocalNoInterface,
			probe.LocalNoRoute,
			probe.LocalDenied,
			probe.TCPTimedOut,
			probe.TCPAddressUnreachable,
			probe.TCPReset,
			probe.TCPRefused,
			probe.LocalResources,
		},
		probe.Classify(probe.Connect, err),
	)
}

// interleave alternates the families, IPv6 first, as RFC 8305 says. It leaves out a family that this host has no
// route for if the other has one: a host without IPv6 is normal.
func interleave(addrs []netip.AddrPort) []netip.AddrPort {
	var v6, v4 []netip.AddrPort
	for _, a := range addrs {
		if a.Addr().Is4() {
			v4 = append(v4, a)
		} else {
			v6 = append(v6, a)
		}
	}
	if len(v6) == 0 || len(v4) == 0 {
		return addrs
	}
	routed6, routed4 := slices.ContainsFunc(v6, hasRoute), slices.ContainsFunc(v4, hasRoute)
	switch {
	case routed6 && !routed4:
		return v6
	case routed4 && !routed6:
		return v4
	}
	turns := make([]netip.AddrPort, 0, len(addrs))
	for i := range max(len(v6), len(v4)) {
		turns = append(turns, v6[min(i, len(v6)):min(i+1, len(v6))]...)
		turns = append(turns, v4[min(i, len(v4)):min(i+1, len(v4))]...)
	}
	return turns
}

// hasRoute reports whether this host has a route to addr. Connecting a UDP socket looks up the route and sends nothing.
// If no socket is left to find out, there may be one.
func hasRoute(addr netip.AddrPort) bool {
	conn, err := net.Dial("udp", addr.String())
	if err != nil {
		return probe.Classify(probe.Connect, err) == probe.LocalResources
	}
	conn.Close()
	return true
}

// neighborFailed reports whether the next hop to addr did not answer ARP or neighbor discovery. The time until the
// failure does not show it: a connect that begins while a resolution is under way fails before the usual three
// seconds, and a router that misses its own neighbor reports it only after three seconds.
func neighborFailed(addr netip.Addr) bool {
	way, is := routeTo(addr)
	if !is {
		return false
	}
	hop := way.Gw
	if hop == nil {
		hop = addr.AsSlice()
	}
	neighbours, err := netlink.NeighList(way.LinkIndex, netlink.FAMILY_ALL)
	return err == nil && slices.ContainsFunc(neighbours, func(n netlink.Neigh) bool {
		return n.IP.Equal(hop) && n.State&(netlink.NUD_FAILED|netlink.NUD_INCOMPLETE) != 0
	})
}

// connectError explains a failed connect, keeps its errno in the chain, and finds out who caused it. ENETUNREACH and
// EHOSTUNREACH come from this host's routes or from a router's ICMP message, EACCES from this host's policy or from
// ICMPv6, and silence from this host's firewall or from the network.
func connectError(addr netip.AddrPort, err error, w *tcpInspector) error {
	errno, _ := errors.AsType[syscall.Errno](err)
	ended, kept := probe.InWords(err), w.synNeverLeft()
	if kept && errno == 0 { // cancelled early
		ended = "no answer"
	}
	said := fmt.Sprintf("connect to %s: %s", addr, ended)
	because := func(c probe.Class, reason string) error {
		return probe.Fail(c, probe.Reword(said+" ("+reason+")", err))
	}
	switch errno {
	case syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EADDRNOTAVAIL, syscall.EINVAL: // EINVAL: a "blackhole" route
		if !hasRoute(addr) {
			return because(probe.LocalNoRoute, "this host has no route to it")
		}
	}
	switch {
	case kept && !hasRoute(addr): // the link went down meanwhile
		return because(probe.LocalNoRoute, "this host has no route to it")
	case kept:
		return because(probe.LocalDenied, "a rule of this host's own firewall drops the packets")
	case errno == syscall.EADDRNOTAVAIL:
		return because(probe.LocalResources, "no free port on this host")
	case errno == syscall.EHOSTUNREACH && neighborFailed(addr.Addr()):
		return because(probe.LocalNoRoute, "the next hop, probably the router, does not answer on this link")
	}
	if o, received := w.icmpError(); received && !isLocal(o.from) {
		// A firewall may answer with the address of the server that it protects. "Port unreachable" from there is the
		// server's own: the port is closed.
		itself := o.from == addr.Addr()
		switch {
		case o.prohibited && (!itself || o.explicit):
			return rejectedOnPath(said, o.from, err)
		case !itself:
			return because(probe.TCPAddressUnreachable, fmt.Sprintf("reported by %s on the network path", o.from))
		}
	}
	return refusedBy(addr, errno, because, probe.Reword(said, err))
}

func rejectedOnPath(said string, by netip.Addr, err error) error {
	said = fmt.Sprintf("%s (a firewall on the network path, %s, rejects the connection)", said, by)
	return probe.Fail(probe.TCPAddressUnreachable, &prohibitedError{probe.Reword(said, err)})
}

// prohibitedError says that a firewall on the network path rejected the connection.
type prohibitedError struct{ error }

func (f *prohibitedError) Unwrap() error { return f.error }

// refusedBy finds out whether this host itself or the network refused a connect that ended in errno.
func refusedBy(
	addr netip.AddrPort,
	errno syscall.Errno,
	because func(probe.Class, string) error,
	otherwise error,
) error {
	switch errno {
	case syscall.ECONNREFUSED, syscall.ENETUNREACH, syscall.EHOSTUNREACH:
	case syscall.EACCES:
		if denied, _ := tryConnect(
			addr,
		); denied ||
			addr.Addr().Is4() { // only ICMPv6 has a "prohibited" message that becomes EACCES
			return otherwise
		}
	default:
		return otherwise
	}
	switch {
	case rejectedLocally(addr):
		return because(probe.LocalDenied, "a rule of this host's own firewall rejects the connection")
	case errno == syscall.EACCES:
		return because(probe.TCPAddressUnreachable, "the network reports that it is prohibited")
	case errno == syscall.ECONNREFUSED:
		return otherwise
	}
	return because(probe.TCPAddressUnreachable, "reported by the network")
}
