package main

import (
	"bytes"
	"net"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/net/ipv4"

	"netwatchd/internal/udpsocket"
)

// A nameserver answers one question, fast enough never to be what is measured: every name has one address.
type nameserver struct {
	conn    *net.UDPConn
	packets *ipv4.PacketConn
	load    load
	record  *arrivals
	late    chan lateAnswer // in the order in which they are due
}

// A lateAnswer waits for the delay of the load.
type lateAnswer struct {
	reply  []byte
	from   netip.Addr
	to     net.Addr
	target int
	came   time.Time
}

// newNameserver starts one on a free port of every address.
func newNameserver(l load, record *arrivals) (*nameserver, error) {
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return nil, err
	}
	packets := ipv4.NewPacketConn(conn)
	if err := packets.SetControlMessage(ipv4.FlagDst, true); err != nil {
		return nil, err
	}
	_ = conn.SetReadBuffer(4 << 20) // ten thousand queries may come at once; the kernel may set less
	udpsocket.RequestTimestamps(conn)
	n := &nameserver{conn: conn, packets: packets, load: l, record: record}
	if l.delay > 0 {
		n.late = make(chan lateAnswer, 1<<16) // more than come within the delay
		go n.serveLate()
	}
	go n.serve()
	return n, nil
}

func (n *nameserver) port() int { return n.conn.LocalAddr().(*net.UDPAddr).Port }

// serve answers until the socket is closed, each query from the address that it was sent to.
func (n *nameserver) serve() {
	batch := make([]ipv4.Message, 64)
	for i := range batch {
		batch[i].Buffers = [][]byte{make([]byte, 1500)}
		batch[i].OOB = make([]byte, 128)
	}
	for {
		got, err := n.packets.ReadBatch(batch, 0)
		if err != nil {
			return
		}
		now := time.Now()
		for _, m := range batch[:got] {
			n.answer(m, now)
		}
	}
}

func (n *nameserver) answer(m ipv4.Message, now time.Time) {
	var to ipv4.ControlMessage
	if err := to.Parse(m.OOB[:m.NN]); err != nil {
		return
	}
	dst, _ := netip.AddrFromSlice(to.Dst.To4())
	target := n.target(m.Buffers[0][:m.N], dst)
	reply := replyTo(m.Buffers[0], m.N)
	if reply == nil {
		return
	}
	a := lateAnswer{reply: reply, from: dst, to: m.Addr, target: target, came: kernelTime(m.OOB[:m.NN], now)}
	if n.late != nil {
		a.reply = bytes.Clone(reply)
		n.late <- a
		return
	}
	n.send(a)
}

// kernelTime finds the kernel's timestamp among several control messages.
func kernelTime(oob []byte, now time.Time) time.Time {
	for len(oob) >= udpsocket.TimestampSize {
		if came := udpsocket.Arrival(oob, now); came != now {
			return came
		}
		size := int(oob[0]) | int(oob[1])<<8 // cmsg_len, little endian: a few dozen bytes
		size = (size + 7) &^ 7
		if size == 0 || size > len(oob) {
			break
		}
		oob = oob[size:]
	}
	return now
}

// send records and sends an answer. The time is that before the system call, in which the client receives it.
func (n *nameserver) send(a lateAnswer) {
	n.record.add(a.target, a.came, time.Now())
	_, _ = n.packets.WriteTo(a.reply, &ipv4.ControlMessage{Src: a.from.AsSlice()}, a.to) // the client counts a lost answer
}

func (n *nameserver) serveLate() {
	for a := range n.late {
		time.Sleep(time.Until(a.came.Add(n.load.delay)))
		n.send(a)
	}
}

// target is the number in the name of the question, or that of the address if the name has none.
func (n *nameserver) target(query []byte, dst netip.Addr) int {
	const prefix = "host-"
	label := query[min(header, len(query)):]
	if len(label) > len(prefix) && string(label[1:1+len(prefix)]) == prefix && int(label[0]) < len(label) {
		if i, err := strconv.Atoi(string(label[1+len(prefix) : 1+int(label[0])])); err == nil {
			return i
		}
	}
	return serverIndex(dst)
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
