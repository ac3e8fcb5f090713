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

// A dialer resolves a name and connects to one of its addresses, as a browser would, and keeps what it saw on the way.
type dialer struct {
	nameservers []netip.AddrPort
	family      string // "ipv4", "ipv6"; anything else: both
	progress    *Progress
}

// headStart is how long one address may take before the next is tried beside it: RFC 8305's Connection Attempt Delay.
const headStart = 250 * time.Millisecond

// dial enters Resolve, unless host is an address, and Connect.
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
		if !d.wants(literal) {
			return nil, probe.Failf(probe.Internal, "%s is no %s address: set family to any", literal, d.family)
		}
		return []netip.Addr{literal}, nil
	}
	d.progress.Enter(probe.Resolve)
	addrs, trace, err := dnsprobe.LookupHost(ctx, d.nameservers, host, cmp.Or(d.family, "any"))
	for i, a := range addrs {
		addrs[i] = a.Unmap()
	}
	d.progress.Learn(func(f *probe.Facts) {
		f.Server, f.RCode = trace.Server, trace.RCode
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

// usable refuses a block-list's 0.0.0.0: Linux connects that to this very host, which would then be judged in the
// service's place.
func (d *dialer) usable(host string, addrs []netip.Addr) ([]netip.Addr, error) {
	named := len(addrs)
	addrs = slices.DeleteFunc(addrs, netip.Addr.IsUnspecified)
	switch {
	case len(addrs) > 0:
		return addrs, nil
	case named > 0:
		return nil, probe.Failf(probe.DNSWrongAnswer, "%s resolves to the unspecified address: a block-list's answer", host)
	}
	return nil, probe.Failf(probe.DNSNoData, "%s has no address", host)
}

func (d *dialer) wants(a netip.Addr) bool {
	return !(d.family == "ipv4" && !a.Is4() || d.family == "ipv6" && a.Is4())
}

// An endeavour is one connect to one address, ended.
type endeavour struct {
	addr netip.AddrPort
	conn net.Conn
	err  error
}

// connect tries the addresses in turn, each a head start after the one before or as soon as that one failed, and returns
// the first connection. It does not return before all it has started has ended.
func (d *dialer) connect(ctx context.Context, addrs []netip.AddrPort) (net.Conn, error) {
	d.progress.Enter(probe.Connect)
	addrs = inTurn(addrs)
	started := 0
	ended := make(chan endeavour, len(addrs))
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		all.Wait()
		close(ended)
		for late := range ended { // it won a race that was over
			if late.conn != nil {
				late.conn.Close()
			}
		}
	}()
	next := time.NewTimer(0)
	defer next.Stop()
	var failed []endeavour
	for len(failed) < len(addrs) {
		select {
		case <-next.C:
			if started == len(addrs) {
				continue
			}
			addr := addrs[started]
			started++
			all.Go(func() { ended <- endeavourTo(ctx, addr) })
			next.Reset(headStart)
		case e := <-ended:
			if e.err == nil {
				d.won(e.addr, failed, addrs[:started])
				return e.conn, nil
			}
			failed = append(failed, e)
			if ctx.Err() != nil && len(failed) == started {
				return nil, d.lost(failed)
			}
			next.Reset(0)
		}
	}
	return nil, d.lost(failed)
}

func endeavourTo(ctx context.Context, addr netip.AddrPort) endeavour {
	// Keep-alive off: its packets every 15 s would keep a middlebox's memory of the connection fresh, and a stream held
	// idle would never show that it is cut. Codex's own client sends none either.
	var w witness
	defer w.leave()
	ctx, stop := w.impatient(ctx)
	defer stop()
	dialer := net.Dialer{KeepAlive: -1, Control: w.attend}
	conn, err := dialer.DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return endeavour{addr: addr, err: connectError(addr, err, &w)}
	}
	return endeavour{addr: addr, conn: conn}
}

// won notes who answered, and if the other family had its chance and did not.
func (d *dialer) won(winner netip.AddrPort, failed []endeavour, started []netip.AddrPort) {
	isOther := func(a netip.AddrPort) bool { return a.Addr().Is4() != winner.Addr().Is4() }
	other := "ipv6"
	if !winner.Addr().Is4() {
		other = "ipv4"
	}
	d.progress.Learn(func(f *probe.Facts) {
		f.Peer = winner.String()
		switch {
		case slices.ContainsFunc(failed, func(e endeavour) bool { return isOther(e.addr) }):
			f.Warnings = append(f.Warnings, other+"_failed")
		case slices.ContainsFunc(started, isOther):
			// It had the head start and nothing came: a black hole looks like this, but so does a long way.
			f.Warnings = append(f.Warnings, other+"_slow")
		}
	})
}

// lost picks the most telling failure, and says all.
func (d *dialer) lost(failed []endeavour) error {
	slices.SortStableFunc(failed, func(a, b endeavour) int { return telling(b.err) - telling(a.err) })
	d.progress.Learn(func(f *probe.Facts) {
		f.Peer = failed[0].addr.String()
		if _, is := errors.AsType[*forbidden](failed[0].err); is {
			f.Warnings = append(f.Warnings, "forbidden_on_the_way")
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

// telling ranks how much a failure to connect says: an answer says more than silence, and a family that this host keeps to
// itself, for want of a route or by a firewall, says nothing about the other. To have run out of sockets says it of both.
func telling(err error) int {
	return slices.Index([]probe.Class{probe.LocalNoInterface, probe.LocalNoRoute, probe.LocalDenied, probe.TCPTimedOut, probe.TCPAddressUnreachable, probe.TCPReset,
		probe.TCPRefused, probe.LocalResources}, probe.Classify(probe.Connect, err))
}

// inTurn interleaves the families, IPv6 first, as RFC 8305 asks. A family that this host has no route for is left out if
// the other has one: not to have IPv6 is normal, and no failure of it.
func inTurn(addrs []netip.AddrPort) []netip.AddrPort {
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
	routed6, routed4 := slices.ContainsFunc(v6, routed), slices.ContainsFunc(v4, routed)
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

// routed reports whether this host has a route to addr. Connecting a datagram socket looks the route up and sends nothing.
func routed(addr netip.AddrPort) bool {
	conn, err := net.Dial("udp", addr.String())
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// neighbourMissing reports whether the next hop towards addr was asked for its link address and did not answer. How long
// the failure took does not tell: a connect that comes while the neighbour is being asked already fails sooner than the
// usual three seconds, and a router whose own neighbour is missing says so only after three seconds.
func neighbourMissing(addr netip.Addr) bool {
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

// connectError words a failed connect for people, keeps its errno in the chain, and tells who spoke: ENETUNREACH and
// EHOSTUNREACH come from this host's routes as well as from a router's ICMP, EACCES from its policy as well as from
// ICMPv6, and silence from its own firewall as well as from afar.
func connectError(addr netip.AddrPort, err error, w *witness) error {
	errno, _ := errors.AsType[syscall.Errno](err)
	ended, kept := probe.InWords(err), w.keptIn()
	if kept && errno == 0 { // given up early
		ended = "no answer"
	}
	said := fmt.Sprintf("connect to %s: %s", addr, ended)
	because := func(c probe.Class, reason string) error {
		return probe.Fail(c, probe.Reword(said+" ("+reason+")", err))
	}
	switch errno {
	case syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EADDRNOTAVAIL, syscall.EINVAL: // the last from a "blackhole" route
		if !routed(addr) {
			return because(probe.LocalNoRoute, "this host has no route to it")
		}
	}
	switch {
	case kept && !routed(addr): // the link went down meanwhile
		return because(probe.LocalNoRoute, "this host has no route to it")
	case kept:
		return because(probe.LocalDenied, "this host drops the packets itself: a rule of its own firewall")
	case errno == syscall.EADDRNOTAVAIL:
		return because(probe.LocalResources, "no free port on this host")
	case errno == syscall.EHOSTUNREACH && neighbourMissing(addr.Addr()):
		return because(probe.LocalNoRoute, "its neighbour on this link, the router perhaps, does not answer")
	}
	if o, heard := w.objection(); heard && o.from != addr.Addr() && !ours(o.from) {
		if o.forbids {
			return probe.Fail(probe.TCPAddressUnreachable, &forbidden{probe.Reword(fmt.Sprintf("%s (%s, on the way, forbids it)", said, o.from), err)})
		}
		return because(probe.TCPAddressUnreachable, fmt.Sprintf("%s, on the way, says so", o.from))
	}
	return refusal(addr, errno, because, probe.Reword(said, err))
}

// forbidden is an error by which someone on the way keeps us from where we wanted to go.
type forbidden struct{ error }

func (f *forbidden) Unwrap() error { return f.error }

// refusal is who refused a connect that ended in errno: this host itself, or the network.
func refusal(addr netip.AddrPort, errno syscall.Errno, because func(probe.Class, string) error, otherwise error) error {
	switch errno {
	case syscall.ECONNREFUSED, syscall.ENETUNREACH, syscall.EHOSTUNREACH:
	case syscall.EACCES:
		if denied, _ := connectNow(addr); denied || addr.Addr().Is4() { // only ICMPv6 has a "prohibited" that ends in EACCES
			return otherwise
		}
	default:
		return otherwise
	}
	switch {
	case refusedHere(addr):
		return because(probe.LocalDenied, "this host refuses it itself: a rule of its own firewall")
	case errno == syscall.EACCES:
		return because(probe.TCPAddressUnreachable, "the network's answer: it is prohibited")
	case errno == syscall.ECONNREFUSED:
		return otherwise
	}
	return because(probe.TCPAddressUnreachable, "the network's answer")
}
