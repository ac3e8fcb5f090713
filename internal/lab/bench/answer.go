package main

import (
	"errors"
	"net"
	"net/netip"
	"time"
)

// answer is a nameserver for one question, fast enough never to be what is measured: every name has one address.
func answer(address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetReadBuffer(4 << 20) // ten thousand queries may come at once; less is taken if the kernel says so
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return err
		}
		if reply := replyTo(buf, n); reply != nil {
			if _, err := conn.WriteToUDPAddrPort(reply, from); err != nil {
				return err
			}
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

// answering waits until the nameserver at address answers.
func answering(address string) error {
	query := []byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 0, typeA, 0, 1}
	return until(5*time.Second, "the nameserver does not answer", func() error {
		conn, err := net.Dial("udp", address)
		if err != nil {
			return err
		}
		defer conn.Close()
		if _, err := conn.Write(query); err != nil {
			return err
		}
		conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		reply := make([]byte, 512)
		n, err := conn.Read(reply)
		if err == nil && n != len(query)+16 {
			return errors.New("its answer is no answer")
		}
		return err
	})
}
