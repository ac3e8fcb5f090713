package udpsocket

import (
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Batch receives many datagrams with one system call (recvmmsg(2)) and reuses its buffers. ReadBatch of
// golang.org/x/net/ipv4 allocates the address of each datagram.
type Batch struct {
	size     int // of a datagram's buffer
	raw      syscall.RawConn
	messages []message
	vectors  []unix.Iovec
	payloads []byte
	names    []sockaddr
	controls []byte

	receive  func(fd uintptr) bool
	received int
	errno    syscall.Errno
}

// A message is the kernel's struct mmsghdr.
type message struct {
	header unix.Msghdr
	length uint32
}

// A sockaddr has room for the addresses of both families.
type sockaddr [unix.SizeofSockaddrInet6]byte

// NewBatch returns a batch of n datagrams of up to size bytes. The rest of a longer datagram is cut off.
func NewBatch(conn *net.UDPConn, n, size int) (*Batch, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	b := &Batch{
		size: size, raw: raw, messages: make([]message, n), vectors: make([]unix.Iovec, n),
		payloads: make([]byte, n*size), names: make([]sockaddr, n), controls: make([]byte, n*TimestampSize),
	}
	for i := range b.messages {
		b.vectors[i].Base = &b.payloads[i*size]
		b.vectors[i].SetLen(size)
		h := &b.messages[i].header
		h.Name, h.Control = &b.names[i][0], &b.controls[i*TimestampSize]
		h.Iov = &b.vectors[i]
		h.SetIovlen(1)
	}
	b.offer(n)
	b.receive = b.receiveFrom
	return b, nil
}

// offer tells the kernel the sizes of the first n addresses and control messages. It has overwritten those it used.
func (b *Batch) offer(n int) {
	for i := range n {
		h := &b.messages[i].header
		h.Namelen = unix.SizeofSockaddrInet6
		h.SetControllen(TimestampSize)
	}
}

// Len returns how many datagrams b has room for.
func (b *Batch) Len() int { return len(b.messages) }

// Read waits for at least one datagram, reads those that are there, and returns their number. It may return the error
// of an earlier datagram (ip(7), IP_RECVERR), and [os.ErrDeadlineExceeded] at the connection's deadline.
func (b *Batch) Read() (int, error) {
	b.offer(b.received)
	b.received, b.errno = 0, 0
	if err := b.raw.Read(b.receive); err != nil {
		return 0, err
	}
	if b.errno != 0 {
		return 0, b.errno
	}
	return b.received, nil
}

// receiveFrom reports whether it is done: false waits until there is something to read.
func (b *Batch) receiveFrom(fd uintptr) bool {
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd,
			uintptr(unsafe.Pointer(&b.messages[0])), //nolint:gosec // recvmmsg(2) takes a pointer as a number
			uintptr(len(b.messages)), 0, 0, 0)
		switch errno {
		case 0:
			b.received = int(n)
			return true
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default:
			b.errno = errno
			return true
		}
	}
}

// Datagram returns the i-th datagram, where it is from, without a zone, and its control messages, for [Arrival]. The
// slices are valid until the next Read.
func (b *Batch) Datagram(i int) (payload []byte, from netip.AddrPort, control []byte) {
	m := &b.messages[i]
	payload = b.payloads[i*b.size:][:min(int(m.length), b.size)]
	control = b.controls[i*TimestampSize:][:min(int(m.header.Controllen), TimestampSize)]
	return payload, b.names[i].addrPort(), control
}

// addrPort reads a struct sockaddr_in or sockaddr_in6. It returns the zero value for another family.
func (s *sockaddr) addrPort() netip.AddrPort {
	port := binary.BigEndian.Uint16(s[2:])
	switch binary.NativeEndian.Uint16(s[:]) {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(s[4:])), port)
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(s[8:])).Unmap(), port)
	}
	return netip.AddrPort{}
}
