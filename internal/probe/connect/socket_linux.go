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

// A witness holds on to the socket of a connect, which net.Dialer closes when it fails, to ask it what became of its
// packets: the kernel knows that this host's own firewall drops them, but connect(2) does not say so, it waits as it
// would for someone far away who is silent.
type witness struct {
	mu   sync.Mutex
	fd   int
	here bool
}

// again is when a SYN that got no answer has been sent again, after a second (RFC 6298), and a little more.
const again = 1100 * time.Millisecond

// impatient returns a context that ends as soon as it is seen that nothing leaves this host: to wait on would be in vain.
func (w *witness) impatient(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	late := time.AfterFunc(again, func() {
		if w.keptIn() {
			cancel()
		}
	})
	return ctx, func() { late.Stop(); cancel() }
}

// attend is a net.Dialer's Control.
func (w *witness) attend(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		hearICMP(int(fd), 1)
		own, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.fd, w.here = own, err == nil
	})
}

// leave lets go of the socket. A connection that stands is not to end for a passing ICMP message, as it would while that is
// listened to.
func (w *witness) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.here {
		hearICMP(w.fd, 0)
		unix.Close(w.fd)
	}
	w.here = false
}

// keptIn reports whether the SYN was sent again and did not leave this host: only one that did counts as retransmitted and
// on its way (tcp_retransmit_skb in Linux's net/ipv4/tcp_output.c).
func (w *witness) keptIn() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.here {
		return false
	}
	info, err := unix.GetsockoptTCPInfo(w.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	return err == nil && info.Total_retrans > 0 && info.Retrans == 0
}

// hearICMP has the kernel keep what ICMP messages say of a socket, or not any more: ip(7), IP_RECVERR. A kernel that does not
// (before 5.9, for TCP) leaves us as wise as before.
func hearICMP(fd, on int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, on)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, on)
}

// An objection is an ICMP message that ended a connect.
type objection struct {
	from    netip.Addr
	forbids bool // it is a rule's, not that of a router who knows no way
}

// objection is what the network said, if it did.
func (w *witness) objection() (o objection, heard bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.here {
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
		if o, heard = readObjection(m.Data); heard {
			return o, true
		}
	}
	return o, false
}

// readObjection reads a struct sock_extended_err and the address behind it (linux/errqueue.h): the origin at 4, the ICMP code
// at 6, the address from 16 on.
func readObjection(b []byte) (o objection, is bool) {
	const address = 16
	switch {
	case len(b) >= address+8 && b[4] == unix.SO_EE_ORIGIN_ICMP: // a sockaddr_in
		o.from = netip.AddrFrom4([4]byte(b[address+4:]))
		// RFC 792 and 1812, 5.2.7.1: port unreachable, and three kinds of prohibited.
		o.forbids = slices.Contains([]byte{3, 9, 10, 13}, b[6])
	case len(b) >= address+24 && b[4] == unix.SO_EE_ORIGIN_ICMP6: // a sockaddr_in6
		o.from = netip.AddrFrom16([16]byte(b[address+8:]))
		// RFC 4443, 3.1: prohibited, port unreachable, source address failed a policy, reject route.
		o.forbids = slices.Contains([]byte{1, 4, 5, 6}, b[6])
	default:
		return o, false
	}
	return o, true
}

// routeTo is the way from this host to addr, if there is one.
func routeTo(addr netip.Addr) (way netlink.Route, is bool) {
	routes, err := netlink.RouteGet(addr.AsSlice())
	if err != nil || len(routes) == 0 {
		return way, false
	}
	return routes[0], true
}

// ours reports whether an address is this host's own.
func ours(addr netip.Addr) bool {
	way, is := routeTo(addr)
	return is && way.Type == unix.RTN_LOCAL
}

// refusedHere reports whether this host itself refuses connections to addr, on another machine: the refusal is there when
// connect(2) returns, before anything could have come back, and nothing went out by the interface that leads there.
//
// Nothing less will do. A process that is made to wait for its turn just then finds an answer that came from elsewhere
// meanwhile, so a try counts only if this thread did not wait; and a container on this machine answers at once as well,
// through an interface.
func refusedHere(addr netip.AddrPort) bool {
	way, is := routeTo(addr.Addr())
	if !is || way.Type == unix.RTN_LOCAL { // at an address of ours the server refuses
		return false
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// A few tries are lost where much is sent by the interface, or many want the processor. The kernel, too, may put off
	// what it tells itself; a refusal that is not there three times comes from elsewhere.
	absent := 0
	for range 10 {
		sent := sentBy(way.LinkIndex)
		waited := waits()
		denied, refused := connectNow(addr)
		switch {
		case waits() != waited:
		case !denied && !refused:
			if absent++; absent == 3 {
				return false
			}
		case sentBy(way.LinkIndex) == sent:
			return true
		}
	}
	return false
}

// sentBy is how many packets an interface has sent so far. A physical one may say so late, but nobody answers at once there.
func sentBy(index int) uint64 {
	link, err := netlink.LinkByIndex(index)
	if err != nil || link.Attrs().Statistics == nil {
		return rand.Uint64() // not the same as before: who cannot tell does not accuse
	}
	return link.Attrs().Statistics.TxPackets
}

// waits is how often this thread has had to wait so far, for its turn or for something else.
func waits() int64 {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &usage) != nil {
		return rand.Int64()
	}
	return usage.Nvcsw + usage.Nivcsw
}

// connectNow begins to connect, and reports whether connect(2) itself denied it, or else a refusal is there already.
func connectNow(addr netip.AddrPort) (denied, refused bool) {
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
