package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/ipv4"
)

// leanArgument makes this binary the leanest program: it makes the requests of a load and learns nothing from them.
const leanArgument = "lean"

// A leanTask is a load, as the other process gets it.
type leanTask struct {
	Kind             string
	Targets, Servers int
	Interval         time.Duration
	Port             int
	roots            *x509.CertPool
}

// leanGrid is how many starts share a wake-up: those of ten milliseconds.
const leanGrid = 10 * time.Millisecond

func runLean(text, ca string) error {
	var t leanTask
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return err
	}
	one, err := t.starter(ca)
	if err != nil {
		return err
	}
	begun := time.Now()
	for n := 0; ; {
		for ; time.Duration(n)*t.Interval/time.Duration(t.Targets) <= time.Since(begun); n++ {
			one(n % t.Targets)
		}
		time.Sleep(leanGrid)
	}
}

// starter returns what starts request i. Ca is the file of the authority of HTTPS targets.
func (t leanTask) starter(ca string) (func(i int), error) {
	if t.Kind == "dns" {
		resolver, err := newLeanResolver(t)
		if err != nil {
			return nil, err
		}
		return resolver.query, nil
	}
	if t.Kind == "https" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, err
		}
		if t.roots = x509.NewCertPool(); !t.roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", ca)
		}
	}
	return func(i int) { go t.request(i) }, nil
}

// request makes one HTTP request on a connection of its own.
func (t leanTask) request(i int) {
	ctx, cancel := context.WithTimeout(context.Background(), t.Interval/2)
	defer cancel()
	at := serverAddress(i%t.Servers, t.Port).String()
	conn, err := (&net.Dialer{KeepAlive: -1}).DialContext(ctx, "tcp", at)
	if err != nil {
		return
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	if t.Kind == "https" {
		conn = tls.Client(conn, &tls.Config{RootCAs: t.roots, ServerName: serverName, MinVersion: tls.VersionTLS12})
	}
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nUser-Agent: lean\r\n\r\n", at)
	if response, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
		_ = response.Body.Close()
	}
}

// A leanResolver has one socket, and forgets which queries are open.
type leanResolver struct {
	conn    *net.UDPConn
	queries [][]byte
	servers []netip.AddrPort

	mu   sync.Mutex
	open map[uint16]time.Time
}

func newLeanResolver(t leanTask) (*leanResolver, error) {
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return nil, err
	}
	r := &leanResolver{conn: conn, open: make(map[uint16]time.Time)}
	for i := range t.Targets {
		query, err := new(dns.Msg).SetQuestion(hostName(i)+".", dns.TypeA).Pack()
		if err != nil {
			return nil, err
		}
		r.queries = append(r.queries, query)
		r.servers = append(r.servers, serverAddress(i%t.Servers, t.Port))
	}
	go r.read()
	return r, nil
}

func (r *leanResolver) query(i int) {
	id := uint16(i)
	binary.BigEndian.PutUint16(r.queries[i], id)
	r.mu.Lock()
	r.open[id] = time.Now()
	r.mu.Unlock()
	_, _ = r.conn.WriteToUDPAddrPort(r.queries[i], r.servers[i])
}

func (r *leanResolver) read() {
	batch := make([]ipv4.Message, 64)
	for i := range batch {
		batch[i].Buffers = [][]byte{make([]byte, 1500)}
	}
	in := ipv4.NewPacketConn(r.conn)
	for {
		n, err := in.ReadBatch(batch, 0)
		if err != nil {
			return
		}
		r.mu.Lock()
		for _, m := range batch[:n] {
			delete(r.open, binary.BigEndian.Uint16(m.Buffers[0]))
		}
		r.mu.Unlock()
	}
}
