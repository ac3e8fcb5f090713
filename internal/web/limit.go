package web

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"netwatchd/internal/metrics"
)

// Any user of this host can open connections to a loopback port. They must cost neither the descriptors that probes,
// the store and the status file need, nor much memory.

// maxConnections is what Prometheus allows by default (--web.max-connections): many times the tabs, scripts and
// scrapers of one daemon.
const maxConnections = 512

// maxWaiting bounds the connections among them that wait for a request or send one. Each holds a buffer and a part of a
// header: 512 of them, sending half a header of 8 KiB, cost 36 MB.
const maxWaiting = 128

// connectionLimit returns how many connections are served: at most a quarter of the descriptors of this process.
func connectionLimit() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return maxConnections
	}
	return max(1, int(min(limit.Cur/4, maxConnections)))
}

// slowReader is how long a response may take before its connection may be closed for another one. A scrape of ten
// thousand targets takes 150 ms. A stream of events connects again and misses nothing.
const slowReader = 10 * time.Second

// A Limiter bounds the connections of all listeners together. A connection above the limit replaces the one that has
// waited longest without a request being answered: an idle one, or one that sends its request slowly; if there is none,
// one that reads its response slowly. So nobody can lock others out by keeping connections open.
type Limiter struct {
	max      int
	shortage func(error) // called when this host cannot accept a connection for want of descriptors or memory

	mu     sync.Mutex
	conns  map[net.Conn]*tracked
	closed uint64 // for others
}

// A tracked is an open connection.
type tracked struct {
	since   time.Time // since when it waits
	serving int       // requests that are being answered
}

// NewLimiter returns a Limiter for this process. It calls shortage, if that is not nil, when a connection cannot be
// accepted because this host is out of descriptors or memory.
func NewLimiter(shortage func(error)) *Limiter { return newLimiter(connectionLimit(), shortage) }

func newLimiter(most int, shortage func(error)) *Limiter {
	return &Limiter{max: most, shortage: shortage, conns: make(map[net.Conn]*tracked)}
}

// Connections returns how many connections are open, how many may be, and how many were closed for others.
func (l *Limiter) Connections() metrics.Connections {
	l.mu.Lock()
	defer l.mu.Unlock()
	return metrics.Connections{Open: len(l.conns), Limit: l.max, Closed: l.closed}
}

// A limitedListener accepts what its Limiter allows.
type limitedListener struct {
	net.Listener
	limiter *Limiter
}

func (l limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			l.limiter.refused(err)
			return nil, err
		}
		if l.limiter.add(conn) {
			return conn, nil
		}
		conn.Close()
	}
}

// refused makes room if there are no descriptors left: the server tries again a moment later.
func (l *Limiter) refused(err error) {
	if !isShortage(err) {
		return
	}
	if l.shortage != nil {
		l.shortage(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.evict()
}

func isShortage(err error) bool {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// add tracks conn. It reports false if the limit is reached and every other connection is being served.
func (l *Limiter) add(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.waiting() >= min(maxWaiting, l.max) {
		l.evict()
	}
	if len(l.conns) >= l.max && !l.evict() {
		l.closed++
		return false
	}
	l.conns[conn] = &tracked{since: time.Now()}
	return true
}

// waiting counts the connections on which no request is being answered.
func (l *Limiter) waiting() (n int) {
	for _, t := range l.conns {
		if t.serving == 0 {
			n++
		}
	}
	return n
}

// evict closes the connection that has waited longest, and reports whether there is one.
func (l *Limiter) evict() bool {
	var oldest net.Conn
	var first tracked
	for conn, t := range l.conns {
		waits := t.serving == 0
		if oldest == nil || waits && first.serving > 0 || waits == (first.serving == 0) && t.since.Before(first.since) {
			oldest, first = conn, *t
		}
	}
	if oldest == nil || first.serving > 0 && time.Since(first.since) < slowReader {
		return false
	}
	delete(l.conns, oldest)
	oldest.Close() // never waits: no linger is set
	l.closed++
	return true
}

// connState is a [http.Server]'s ConnState.
func (l *Limiter) connState(conn net.Conn, state http.ConnState) {
	if state != http.StateClosed && state != http.StateHijacked {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, socketOf(conn))
}

// socketOf returns the connection below TLS.
func socketOf(conn net.Conn) net.Conn {
	if secured, ok := conn.(*tls.Conn); ok {
		return secured.NetConn()
	}
	return conn
}

type connKey struct{}

// connContext is a [http.Server]'s ConnContext: it lets serve find the connection of a request.
func (l *Limiter) connContext(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, socketOf(conn))
}

// serve marks the connection of a request while h answers it.
func (l *Limiter) serve(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _ := r.Context().Value(connKey{}).(net.Conn)
		l.mark(conn, 1)
		defer l.mark(conn, -1)
		h.ServeHTTP(w, r)
	})
}

func (l *Limiter) mark(conn net.Conn, change int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.conns[conn]; t != nil {
		t.serving += change
		t.since = time.Now()
	}
}
