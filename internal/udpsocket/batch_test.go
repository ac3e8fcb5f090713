package udpsocket

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

// More datagrams than a batch has room for arrive whole, in order, with their sender, for both families.
func TestBatch(t *testing.T) {
	t.Parallel()
	for _, loopback := range []string{"127.0.0.1", "::1"} {
		t.Run(loopback, func(t *testing.T) {
			t.Parallel()
			conn, from := listen(t, loopback), listen(t, loopback)
			RequestTimestamps(conn)
			const room, size, sent = 4, 32, 11
			batch, err := NewBatch(conn, room, size)
			if err != nil {
				t.Fatal(err)
			}
			var want [][]byte
			for i := range sent {
				msg := bytes.Repeat([]byte{byte(i)}, i*4) // the first is empty, the last ones are cut off
				if _, err := from.WriteTo(msg, conn.LocalAddr()); err != nil {
					t.Fatal(err)
				}
				want = append(want, msg[:min(len(msg), size)])
			}
			var got [][]byte
			for len(got) < sent {
				n, err := batch.Read()
				if err != nil || n == 0 || n > room {
					t.Fatalf("got %d datagrams: %v", n, err)
				}
				for i := range n {
					payload, sender, control := batch.Datagram(i)
					if sender != netip.MustParseAddrPort(from.LocalAddr().String()) {
						t.Errorf("got one from %v, want %v", sender, from.LocalAddr())
					}
					if now := time.Now(); Arrival(control, now).After(now) {
						t.Errorf("it arrived after it was read")
					}
					got = append(got, bytes.Clone(payload))
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got %v, want %v", got, want)
			}
			conn.SetReadDeadline(time.Unix(1, 0))
			if n, err := batch.Read(); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("after the deadline: got %d, %v", n, err)
			}
		})
	}
}

func TestBatchAllocatesNothing(t *testing.T) {
	conn := listen(t, "127.0.0.1")
	RequestTimestamps(conn)
	batch, err := NewBatch(conn, 2, 32)
	if err != nil {
		t.Fatal(err)
	}
	to := netip.MustParseAddrPort(conn.LocalAddr().String())
	if n := testing.AllocsPerRun(100, func() {
		if _, err := conn.WriteToUDPAddrPort([]byte("hello"), to); err != nil {
			t.Fatal(err)
		}
		if _, err := batch.Read(); err != nil {
			t.Fatal(err)
		}
		_, _, control := batch.Datagram(0)
		Arrival(control, time.Now())
	}); n != 0 {
		t.Errorf("got %v allocations, want none", n)
	}
}

func listen(t *testing.T, loopback string) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(loopback)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}
