package udpsocket

import (
	"encoding/binary"
	"iter"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// sizeofExtendedErr is the size of a sock_extended_err (ip(7)).
const sizeofExtendedErr = 16

// RequestErrors makes the kernel queue ICMP errors, each with the address that the datagram was sent to: ip(7),
// IP_RECVERR. Without it a socket that is not connected has none.
func RequestErrors(conn *net.UDPConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { // one of the two is not of this socket's family
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVERR, 1)
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
	})
}

// QueuedErrors empties the error queue. It yields the error of each ICMP message that a connected socket would have
// reported, and where its datagram was sent to.
func QueuedErrors(conn *net.UDPConn) iter.Seq2[netip.AddrPort, syscall.Errno] {
	return func(yield func(netip.AddrPort, syscall.Errno) bool) {
		raw, err := conn.SyscallConn()
		if err != nil {
			return
		}
		control := make([]byte, unix.CmsgSpace(sizeofExtendedErr+unix.SizeofSockaddrInet6)+TimestampSize)
		for {
			var n int
			var to unix.Sockaddr
			var failed error
			err := raw.Control(func(fd uintptr) {
				_, n, _, to, failed = unix.Recvmsg(int(fd), nil, control, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
			})
			if err != nil || failed != nil {
				return
			}
			errno, hard := hardError(control[:n])
			if sentTo := addrPort(to); hard && sentTo.IsValid() && !yield(sentTo, errno) {
				return
			}
		}
	}
}

// hardError returns the error of an ICMP message, and whether a connected socket reports it: that a network or a host
// cannot be reached may be temporary (RFC 1122, 4.1.3.3; net/ipv4/icmp.c, icmp_err_convert).
func hardError(control []byte) (syscall.Errno, bool) {
	for len(control) > 0 {
		header, data, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			return 0, false
		}
		isError := header.Level == unix.IPPROTO_IP && header.Type == unix.IP_RECVERR ||
			header.Level == unix.IPPROTO_IPV6 && header.Type == unix.IPV6_RECVERR
		if !isError || len(data) < sizeofExtendedErr {
			control = rest
			continue
		}
		return syscall.Errno(binary.NativeEndian.Uint32(data)), isHard(data[4], data[5], data[6])
	}
	return 0, false
}

// isHard reports it of the origin, the type and the code of an ICMP message.
func isHard(origin, kind, code byte) bool {
	const ( // codes of "destination unreachable": RFC 792, RFC 4443
		unreachable4, net4, host4, tooLarge4, sourceRoute4 = 3, 0, 1, 4, 5
		unreachable6, prohibited6, port6                   = 1, 1, 4
		policy6, rejected6                                 = 5, 6
	)
	switch {
	case origin == unix.SO_EE_ORIGIN_ICMP && kind == unreachable4:
		return code != net4 && code != host4 && code != tooLarge4 && code != sourceRoute4
	case origin == unix.SO_EE_ORIGIN_ICMP6 && kind == unreachable6:
		return code == prohibited6 || code == port6 || code == policy6 || code == rejected6
	}
	return false
}

func addrPort(s unix.Sockaddr) netip.AddrPort {
	switch s := s.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(s.Addr), uint16(s.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(s.Addr), uint16(s.Port))
	}
	return netip.AddrPort{}
}
