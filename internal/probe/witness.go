package probe

import (
	"net/netip"
	"runtime"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A witness holds on to the socket of a connect, which net.Dialer closes when it fails, to ask it what became of its
// packets: the kernel knows that this host's own firewall drops them, but connect(2) does not say so, it waits as it
// would for someone far away who is silent.
type witness struct {
	fd   int
	here bool
}

// attend is a net.Dialer's Control.
func (w *witness) attend(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		own, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
		w.fd, w.here = own, err == nil
	})
}

func (w *witness) leave() {
	if w.here {
		unix.Close(w.fd)
	}
}

// keptIn reports whether the SYN was sent again, after a second (RFC 6298), and did not leave this host: only one that did
// counts as retransmitted and on its way (tcp_retransmit_skb in Linux's net/ipv4/tcp_output.c).
func (w *witness) keptIn() bool {
	if !w.here {
		return false
	}
	info, err := unix.GetsockoptTCPInfo(w.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	return err == nil && info.Total_retrans > 0 && info.Retrans == 0
}

// A connect must be refused at once this many times in a row to be refused here, each time without this thread having had
// to wait: then an answer from elsewhere may have come meanwhile. On a busy machine some tries are lost to that.
const (
	atOnce = 3
	tries  = 10
)

// refusedHere reports whether this host itself refuses connections to addr, on another machine: the refusal is there when
// connect(2) returns, before anything could have come back.
func refusedHere(addr netip.AddrPort) bool {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if near(addr.Addr()) {
		return false
	}
	refused := 0
	for range tries {
		before := switches()
		at := refusedAtOnce(addr)
		switch {
		case switches() != before:
		case !at:
			return false
		default:
			refused++
		}
		if refused == atOnce {
			return true
		}
	}
	return false
}

// switches is how often this thread has had to wait so far, for its turn or for something else.
func switches() int64 {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &usage) != nil {
		return -1
	}
	return usage.Nvcsw + usage.Nivcsw
}

func refusedAtOnce(addr netip.AddrPort) bool {
	family := unix.AF_INET6
	var to unix.Sockaddr = &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
	if addr.Addr().Is4() {
		family, to = unix.AF_INET, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, to); err != unix.EINPROGRESS {
		return err != nil
	}
	pending, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	return err == nil && pending != 0
}

// near reports whether addr may be on this very machine, a container's perhaps: whoever refuses there is the server.
func near(addr netip.Addr) bool {
	if addr.IsPrivate() || addr.IsLinkLocalUnicast() {
		return true
	}
	routes, err := netlink.RouteGet(addr.AsSlice())
	return err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL
}
