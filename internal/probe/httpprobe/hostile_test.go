package httpprobe

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/probetest"
)

// endlessly sends head and then part after part until the client closes the connection.
func endlessly(head, part string) func(net.Conn) {
	many := []byte(strings.Repeat(part, 1+(64<<10)/len(part)))
	return func(c net.Conn) {
		probetest.Hears(c)
		io.WriteString(c, head)
		for {
			if _, err := c.Write(many); err != nil {
				return
			}
		}
	}
}

// floods upgrades to a WebSocket and never stops sending frame.
func floods(frame []byte) func(net.Conn) {
	return func(c net.Conn) {
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Accept: "+acceptKey(r.Header.Get("Sec-WebSocket-Key"))+"\r\n\r\n")
		many := bytes.Repeat(frame, 1+(64<<10)/len(frame))
		for {
			if _, err := c.Write(many); err != nil {
				return
			}
		}
	}
}

// largeFrame is the header of a text message of 2^40 octets, and the first of them.
var largeFrame = append([]byte{0x81, 127, 0, 0, 1, 0, 0, 0, 0, 0}, make([]byte, 64<<10)...)

// Sixty attempts at once, as a daemon with sixty probes may make, need little memory however hostile their server is.
// With the defaults of net/http, headers took 460 MiB here, and an HTTP/2 body 66 MiB.
func TestHostileServers(t *testing.T) {
	ca := probetest.NewAuthority(t, "Test Root")
	cert := ca.Issue(t, nil)
	sendsAhead := overTLS(cert, "h2", beginsHTTP2(func(f *http2.Framer, stream uint32) {
		for part := make([]byte, 16<<10); f.WriteData(stream, false, part) == nil; {
			// a client's flow control is for servers that respect it
		}
	}))
	const attempts, budget = 60, 40 << 20
	for _, tt := range []struct {
		name   string
		scheme string
		server func(net.Conn)
		class  probe.Class
		stream bool
	}{
		{"endless header", "http", endlessly("HTTP/1.1 200 OK\r\nX: ", "abcdefgh"), probe.HTTPProtocolError, false},
		{"endless list of headers", "http", endlessly("HTTP/1.1 200 OK\r\n", "X: y\r\n"),
			probe.HTTPProtocolError, false},
		{"endless interim responses", "http", endlessly("", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
			probe.HTTPProtocolError, false},
		{"endless body", "http", endlessly("HTTP/1.1 200 OK\r\n\r\n", "abcdefgh"), probe.OK, false},
		{"endless trailer", "http", endlessly("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "X: y\r\n"),
			probe.HTTPProtocolError, false},
		// who is first decides: the attempt has read its part, or the server has sent more than it may
		{"HTTP/2 body sent ahead", "https", sendsAhead, probe.OK, false},
		{"WebSocket message without end", "ws", floods(largeFrame), probe.HTTPProtocolError, true},
		{"WebSocket messages", "ws", floods([]byte{0x81, 2, 'h', 'i'}), probe.HTTPProtocolError, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u, options := at(t, tt.scheme, probetest.Listening(t, tt.server), "/")
			options.CAFile = ca.File
			var p probe.Prober = &Request{URL: u, Options: options}
			if tt.stream {
				// The flood ends it: after 24 s of CPU, with the race detector, for all attempts together.
				p = &Stream{URL: u, Options: options, Hold: 6 * time.Minute, Timeout: 20 * time.Second}
			}
			var all sync.WaitGroup
			results := make([]probe.Result, attempts)
			peak := peakHeap(func() {
				for i := range attempts {
					all.Go(func() {
						results[i], _ = probe.Do(t.Context(), &probe.Probe{Spec: probe.Spec{Timeout: 7 * time.Minute}, Prober: p})
					})
				}
				all.Wait()
			})
			for _, r := range results {
				if r.Class != tt.class && (tt.class != probe.OK || r.Class != probe.HTTPProtocolError) {
					t.Fatalf("ended as %s, want %s: %s", r.Class, tt.class, r.Why)
				}
			}
			t.Logf("%.1f MiB for %d attempts: %s", float64(peak)/(1<<20), attempts, results[0].Why)
			if peak > budget {
				t.Errorf("%d MiB, want at most %d MiB", peak>>20, budget>>20)
			}
		})
	}
}

// peakHeap returns the most memory that the heap and the stacks take while f runs, beyond what they take now.
func peakHeap(f func()) (peak uint64) {
	defer debug.SetGCPercent(debug.SetGCPercent(20)) // measure what is held, not what waits for the collector
	used := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	runtime.GC()
	before, done, stopped := used(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			peak = max(peak, used())
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	f()
	close(done)
	<-stopped
	return max(peak, before) - before
}
