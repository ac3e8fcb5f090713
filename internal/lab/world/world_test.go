package world

import (
	"net"
	"testing"
	"time"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/wire"
)

func TestMain(m *testing.M) { parts.Main(m, func(string) error { return nil }) }

// TestWire holds the wire to what it promises: the scenes that bend it lean on it.
func TestWire(t *testing.T) {
	w := New(t, "wire")
	w.Begin(t, Config{})
	connect := func() (net.Conn, time.Duration, error) {
		var conn net.Conn
		begun := time.Now()
		err := w.Host.Do(func() (err error) {
			conn, err = net.DialTimeout("tcp", net.JoinHostPort(ServiceIPv4, "443"), 500*time.Millisecond)
			return err
		})
		return conn, time.Since(begun), err
	}
	conn, _, err := connect()
	if err != nil {
		t.Fatalf("a straight wire: %v", err)
	}
	conn.Close()

	const delay = 100 * time.Millisecond
	w.Bend(wire.Bend{Delay: delay})
	conn, took, err := connect()
	if err != nil || took < 2*delay {
		t.Errorf("delay: connected after %v, %v; want there and back, %v", took, err, 2*delay)
	} else {
		conn.Close()
	}
	w.Bend(wire.Bend{Loss: 1})
	if conn, _, err = connect(); err == nil {
		t.Error("loss: connected, want silence")
		conn.Close()
	}
	w.Bend(wire.Bend{Longest: 600})
	if conn, _, err = connect(); err != nil {
		t.Fatalf("large frames are swallowed: %v, want small ones to pass", err)
	}
	defer conn.Close()
	// More than one frame of 1514 bytes: the first ones are swallowed, and the server hears no request.
	conn.SetDeadline(time.Now().Add(500 * time.Millisecond))
	if _, err := conn.Write(make([]byte, 4000)); err != nil {
		t.Error(err)
	}
	if n, err := conn.Read(make([]byte, 1)); n > 0 || !isTimeout(err) {
		t.Errorf("large frames are swallowed: got %d bytes, %v; want nothing", n, err)
	}
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}
