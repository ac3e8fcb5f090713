package probe

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// freshFor is how long after its making a socket may be used again. Making and closing one costs more than the rest of
	// an attempt (BenchmarkDNS: 61 µs with a socket each, 24 to 29 µs without), which thousands of attempts a second cannot
	// afford. An attempt every few seconds always gets a new one, with the port, source address and route of that moment:
	// an old one would measure yesterday's network.
	freshFor = time.Second

	// idleMost bounds the sockets kept for one nameserver: as many as are in flight when 10,000 attempts a second wait for
	// an answer for a tenth of a second. With fewer, one moment in which the nameserver is slow makes all that follow so
	// dear that they are never caught up with.
	idleMost = 1024
)

// A socket is connected to one nameserver, so that the kernel picks a random port, filters out strangers and tells of a
// refused port. It serves one question at a time.
type socket struct {
	*net.UDPConn
	server netip.AddrPort
	made   time.Time
}

// sockets are those whose last question was answered: on any other, something may still be on its way.
type sockets struct {
	mu    sync.Mutex
	idle  map[netip.AddrPort][]*socket
	sweep *time.Timer
}

var answeredSockets = sockets{idle: make(map[netip.AddrPort][]*socket)}

// take returns a connected socket, one that is still fresh or a new one.
func (p *sockets) take(server netip.AddrPort) (*socket, error) {
	if s := p.pop(server); s != nil {
		return s, nil
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(server))
	if err != nil {
		return nil, err
	}
	return &socket{conn, server, time.Now()}, nil
}

func (p *sockets) pop(server netip.AddrPort) *socket {
	p.mu.Lock()
	defer p.mu.Unlock()
	for idle := p.idle[server]; len(idle) > 0; idle = p.idle[server] {
		s := idle[len(idle)-1]
		p.idle[server] = idle[:len(idle)-1]
		if time.Since(s.made) < freshFor {
			return s
		}
		s.Close()
	}
	return nil
}

// give keeps s for another question while it is fresh.
func (p *sockets) give(s *socket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(s.made) >= freshFor || len(p.idle[s.server]) >= idleMost {
		s.Close()
		return
	}
	p.idle[s.server] = append(p.idle[s.server], s)
	if p.sweep == nil {
		p.sweep = time.AfterFunc(freshFor, p.closeStale)
	}
}

// closeStale leaves no socket open that nobody will use again.
func (p *sockets) closeStale() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweep = nil
	for server, idle := range p.idle {
		kept := idle[:0]
		for _, s := range idle {
			if time.Since(s.made) < freshFor {
				kept = append(kept, s)
			} else {
				s.Close()
			}
		}
		clear(idle[len(kept):])
		p.idle[server] = kept
		if len(kept) == 0 {
			delete(p.idle, server)
		}
	}
	if len(p.idle) > 0 {
		p.sweep = time.AfterFunc(freshFor, p.closeStale)
	}
}
