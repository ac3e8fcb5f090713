package httpprobe

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/probetest"
)

// Whatever a server sends, an attempt ends with a class that is known: it is never the fault of netwatchd, and no
// goroutine panics.
func FuzzAnswer(f *testing.F) {
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 405 Method Not Allowed\r\nAllow: POST\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz",
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08", "HTTP/1.1 301 x\r\nLocation: ::\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\n\r\n{\"error\":{\"code\":",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x7f",
		"HTTP/2.0 200 OK\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x15\x03\x01\x00\x02\x02\x28", "SSH-2.0-x\r\n", "",
	} {
		f.Add([]byte(answer))
	}
	var answer atomic.Value
	answer.Store([]byte(nil))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				probetest.Hears(conn)
				conn.Write(answer.Load().([]byte))
			}()
		}
	}()
	f.Fuzz(func(t *testing.T, bytes []byte) {
		answer.Store(bytes)
		for _, scheme := range []string{"http", "ws"} {
			u, options := at(t, scheme, listener.Addr().(*net.TCPAddr), "/")
			var p probe.Prober = &Request{URL: u, Options: options}
			if scheme == "ws" {
				p = &Stream{URL: u, Options: options, Hold: 10 * time.Millisecond, Timeout: time.Second}
			}
			r, _ := probe.Do(t.Context(), &probe.Probe{Spec: probe.Spec{Timeout: 2 * time.Second}, Prober: p})
			if r.Class == probe.Unknown || r.Class == probe.Internal {
				t.Errorf("%s: %v: %s", scheme, r.Class, r.Why)
			}
		}
	})
}
