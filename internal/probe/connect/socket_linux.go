package connect

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A tcpInspector keeps a duplicate of a connecting socket, which net.Dialer closes on failure, to ask the kernel what
// became of its packets. If this host's own firewall drops them, connect(2) does not say so but waits until it times
// out.
type tcpInspector struct {
	smallPackets bool

	mu   sync.Mutex
	fd   int
	ipv4 bool // the socket is not one of IPv6
	open bool
}

// smallSegment is the largest TCP segment of an attempt with small packets: RFC 9293's default for a path of which
// nothing is known. With its headers it is 576 octets over IPv4, which any link carries (RFC 791, 3.1), and 596 over
// IPv6. Linux limits what it sends to it and announces it to the other side (tcp(7), TCP_MAXSEG).
const smallSegment = 536

// synRetried is when an unanswered SYN has been sent a second time: after one second (RFC 6298), plus a margin.
const synRetried = 1100 * time.Millisecond

// cancelIfBlocked returns a context that ends when no packet leaves this host: further waiting is pointless.
func (w *tcpInspector) cancelIfBlocked(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	late := time.AfterFunc(synRetried, func() {
		if w.synNeverLeft() {
			cancel()
		}
	})
	return ctx, func() { late.Stop(); cancel() }
}

// control is a net.Dialer's Control function.
func (w *tcpInspector) control(network, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		ipv4 := network == "tcp4"
		keepICMPErrors(int(fd), ipv4, 1)
		if w.smallPackets {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, smallSegment)
		}
		own, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.fd, w.ipv4, w.open = own, ipv4, err == nil
	})
}

// release closes the duplicate. It turns ICMP errors off again, which would end an established connection.
func (w *tcpInspector) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open {
		keepICMPErrors(w.fd, w.ipv4, 0)
		unix.Close(w.fd)
	}
	w.open = false
}

// synNeverLeft reports whether the SYN was sent again and did not leave this host. Only a SYN that left counts as an
// outstanding retransmission (tcp_retransmit_skb in Linux's net/ipv4/tcp_output.c).
func (w *tcpInspector) synNeverLeft() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.open {
		return false
	}
	info, err := unix.GetsockoptTCPInfo(w.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	return err == nil && info.Total_retrans > 0 && info.Retrans == 0
}

// keepICMPErrors turns a socket's queue of ICMP errors on or off (ip(7), IP_RECVERR). Kernels before 5.9 have none
// for TCP; then no ICMP error is known.
func keepICMPErrors(fd int, ipv4 bool, on int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, on) // an IPv6 socket may have an IPv4 peer
	if ipv4 {
		return
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, on)
}

// An icmpError is the ICMP message that ended a connect.
type icmpError struct {
	from       netip.Addr
	prohibited bool // by a firewall rule; otherwise a router has no route
	explicit   bool // prohibited, and not in the words of a closed port
}

// icmpError returns the ICMP error that the socket received, if any.
func (w *tcpInspector) icmpError() (o icmpError, received bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.open {
		return o, false
	}
	control := make([]byte, 512) // a sock_extended_err and an address are 44 octets
	_, n, _, _, err := unix.Recvmsg(w.fd, nil, control, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
	if err != nil {
		return o, false
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil {
		return o, false
	}
	for _, m := range messages {
		if o, received = parseICMPError(m.Data); received {
			return o, true
		}
	}
	return o, false
}

// parseICMPError reads a struct sock_extended_err and the address after it (linux/errqueue.h): the origin at offset
// 4, the ICMP code at 6, the address at 16.
func parseICMPError(b []byte) (o icmpError, is bool) {
	const address = 16
	switch {
	case len(b) >= address+8 && b[4] == unix.SO_EE_ORIGIN_ICMP: // a sockaddr_in
		o.from = netip.AddrFrom4([4]byte(b[address+4:]))
		// RFC 792 and 1812, 5.2.7.1: port unreachable, and three kinds of prohibited.
		o.prohibited, o.explicit = slices.Contains([]byte{3, 9, 10, 13}, b[6]), b[6] != 3
	case len(b) >= address+24 && b[4] == unix.SO_EE_ORIGIN_ICMP6: // a sockaddr_in6
		o.from = netip.AddrFrom16([16]byte(b[address+8:]))
		// RFC 4443, 3.1: prohibited, port unreachable, source address failed a policy, reject route.
		o.prohibited, o.explicit = slices.Contains([]byte{1, 4, 5, 6}, b[6]), b[6] != 4
	default:
		return o, false
	}
	return o, true
}

// routeTo returns this host's route to addr, if there is one.
func routeTo(addr netip.Addr) (way netlink.Route, is bool) {
	routes, err := netlink.RouteGet(addr.AsSlice())
	if err != nil || len(routes) == 0 {
		return way, false
	}
	return routes[0], true
}

// isLocal reports whether addr is an address of this host.
func isLocal(addr netip.Addr) bool {
	way, is := routeTo(addr)
	return is && way.Type == unix.RTN_LOCAL
}

// rejectedLocally reports whether this host itself refuses connections to addr on another machine: the refusal is
// there when connect(2) returns, before an answer could arrive, and no packet left through the interface of the
// route.
//
// Both conditions are needed. If the thread was descheduled meanwhile, the refusal may have come from the network, so
// a try counts only if it was not. A container on this machine also answers at once, but through an interface.
func rejectedLocally(addr netip.AddrPort) bool {
	way, is := routeTo(addr.Addr())
	if !is || way.Type == unix.RTN_LOCAL { // on an own address the server refuses, not a firewall
		return false
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// A try is inconclusive if other traffic uses the interface or the thread was descheduled. The kernel may also delay a
	// local refusal: only if it is missing three times does it come from the network. On two cores with twenty busy
	// processes ten tries in a row were inconclusive; one takes a tenth of a millisecond.
	absent := 0
	for range 100 {
		sent := packetsSent(way.LinkIndex)
		waited := contextSwitches()
		denied, refused := tryConnect(addr)
		switch {
		case contextSwitches() != waited:
		case !denied && !refused:
			if absent++; absent == 3 {
				return false
			}
		case packetsSent(way.LinkIndex) == sent:
			return true
		}
	}
	return false
}

// packetsSent returns how many packets an interface has sent. A physical interface may update its counter late, but no
// answer arrives there at once.
func packetsSent(index int) uint64 {
	link, err := netlink.LinkByIndex(index)
	if err != nil || link.Attrs().Statistics == nil {
		return rand.Uint64() // differs from the last value: an unknown count is no proof
	}
	return link.Attrs().Statistics.TxPackets
}

// contextSwitches returns how often this thread has been descheduled.
func contextSwitches() int64 {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &usage) != nil {
		return rand.Int64()
	}
	return usage.Nvcsw + usage.Nivcsw
}

// tryConnect starts a connect and reports whether connect(2) itself denied it, or whether a refusal is already there.
func tryConnect(addr netip.AddrPort) (denied, refused bool) {
	family := unix.AF_INET6
	var to unix.Sockaddr = &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
	if addr.Addr().Is4() {
		family, to = unix.AF_INET, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false, false
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, to); err != unix.EINPROGRESS {
		return err != nil, false
	}
	pending, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	return false, err == nil && pending != 0
}
