package main

import (
	"net"
	"net/netip"
	"sync/atomic"

	"golang.org/x/net/ipv4"
)

// A nameserver answers one question, fast enough never to be what is measured: every name has one address.
type nameserver struct {
	conn     *net.UDPConn
	packets  *ipv4.PacketConn
	answered atomic.Int64
}

// newNameserver starts one on a free port of every address.
func newNameserver() (*nameserver, error) {
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return nil, err
	}
	packets := ipv4.NewPacketConn(conn)
	if err := packets.SetControlMessage(ipv4.FlagDst, true); err != nil {
		return nil, err
	}
	_ = conn.SetReadBuffer(4 << 20) // ten thousand queries may come at once; the kernel may set less
	n := &nameserver{conn: conn, packets: packets}
	go n.serve()
	return n, nil
}

func (n *nameserver) port() int { return n.conn.LocalAddr().(*net.UDPAddr).Port }

// serverAddress is one of the nameserver's: the whole of 127.0.0.0/8 is this host's.
func serverAddress(i, port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, byte(i >> 16), byte(i >> 8), byte(i)}).Next(), uint16(port))
}

// serve answers until the socket is closed, each query from the address that it was sent to.
func (n *nameserver) serve() {
	buf := make([]byte, 1500)
	for {
		size, to, from, err := n.packets.ReadFrom(buf)
		if err != nil {
			return
		}
		if reply := replyTo(buf, size); reply != nil {
			n.answered.Add(1)
			_, _ = n.packets.WriteTo(reply, &ipv4.ControlMessage{Src: to.Dst}, from) // the client counts a lost answer
		}
	}
}

const (
	header = 12 // bytes: RFC 1035, section 4.1.1
	typeA  = 1
)

// replyTo makes the query in the first n bytes of buf its own answer. Anything but a query of one question has none.
func replyTo(buf []byte, n int) []byte {
	if n < header || buf[2]&0x80 != 0 || buf[5] != 1 {
		return nil
	}
	end := header
	for end < n && buf[end] != 0 {
		end += int(buf[end]) + 1
	}
	end += 5 // the root label, type and class
	if end > n {
		return nil
	}
	asked := buf[end-3]
	buf[2] |= 0x84                                                      // an answer, authoritative
	buf[3] = 0x80                                                       // recursion available, no error
	buf[6], buf[7], buf[8], buf[9], buf[10], buf[11] = 0, 0, 0, 0, 0, 0 // no other sections
	if asked != typeA {
		return buf[:end]
	}
	buf[7] = 1
	record := []byte{0xc0, header, 0, typeA, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 1}
	return append(buf[:end], record...)
}
