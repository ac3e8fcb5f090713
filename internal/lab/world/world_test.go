package world

import (
	"net"
	"testing"
	"time"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/wire"
)

func TestMain(m *testing.M) { parts.Main(m, func(string) error { return nil }) }

// TestWire checks the impairments that the scenes rely on.
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
		t.Fatalf("without impairment: %v", err)
	}
	conn.Close()

	const delay = 100 * time.Millisecond
	w.Impair(wire.Impairment{Delay: delay})
	conn, took, err := connect()
	if err != nil || took < 2*delay {
		t.Errorf("delay: connected after %v, %v; want there and back, %v", took, err, 2*delay)
	} else {
		conn.Close()
	}
	w.Impair(wire.Impairment{Loss: 1})
	if conn, _, err = connect(); err == nil {
		t.Error("loss: connected, want silence")
		conn.Close()
	}
	w.Impair(wire.Impairment{MaxFrame: 600})
	if conn, _, err = connect(); err != nil {
		t.Fatalf("large frames are dropped: %v, want small ones to pass", err)
	}
	defer conn.Close()
	// More than one frame of 1514 bytes: the first ones are dropped, and the server gets no request.
	conn.SetDeadline(time.Now().Add(500 * time.Millisecond))
	if _, err := conn.Write(make([]byte, 4000)); err != nil {
		t.Error(err)
	}
	if n, err := conn.Read(make([]byte, 1)); n > 0 || !isTimeout(err) {
		t.Errorf("large frames are dropped: got %d bytes, %v; want nothing", n, err)
	}
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}
