// Package internet is a small internet for the demo: two nameservers, three controls and a service, as goroutines of
// this process on loopback. It needs no root and sends nothing beyond loopback.
package internet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/miekg/dns"
)

// Conditions are what is wrong at present. The zero value is an internet without faults.
type Conditions struct {
	SilentResolver     bool // this host's nameserver does not answer; the public one does
	Status             int  // of the service's answers; zero: the usual one
	ExpiredCertificate bool
	CutStreams         bool // the service drops each WebSocket soon after it was opened
	Inspected          bool // somebody on the network path decrypts the connections to the service
	Portal             bool // a captive portal answers instead of the service and the controls; names resolve
}

// Host is the service's name. The domain is reserved for examples (RFC 2606), so that nobody owns it.
const Host = "api.demo.example"

// portalHost is the name of the captive portal's sign-in page.
const portalHost = "sign-in.demo.example"

// Issuer is the name of the authority that issues the service's certificates.
const Issuer = "netwatchd demo CA"

// AuthorityFile is the name of the file with the trusted authorities, in the directory given to [Start].
const AuthorityFile = "ca.pem"

// Loopback addresses: Linux takes the whole of 127.0.0.0/8 without any setup. Each server has its own, because the
// verdict tells servers apart by their addresses.
const (
	resolverAddress = "127.0.1.53"
	publicAddress   = "127.0.1.54"
	serviceAddress  = "127.0.1.10"
)

var controlAddresses = []string{"127.0.1.21", "127.0.1.22", "127.0.1.23"}

// An Internet is a set of running servers.
type Internet struct {
	Resolver, Public string   // nameservers, as host:port
	Service          string   // Host and its port
	Controls         []string // host:port of each; they answer /generate_204 with 204

	conditions atomic.Pointer[Conditions]
	usual      *tls.Certificate
	expired    *tls.Certificate
	inspecting *tls.Certificate
	portal     *tls.Certificate

	servers []*http.Server
	names   []*dns.Server
	running sync.WaitGroup
	ended   context.Context // when Close is called: streams end then
	end     context.CancelFunc
}

// Start starts all servers on free ports, without a fault, and writes AuthorityFile into dir.
func Start(dir string) (*Internet, error) {
	if err := checkLoopback(); err != nil {
		return nil, err
	}
	n := new(Internet)
	n.ended, n.end = context.WithCancel(context.Background())
	n.conditions.Store(new(Conditions))
	for _, step := range []func() error{
		func() error { return n.certify(filepath.Join(dir, AuthorityFile)) },
		n.startNameservers, n.startControls, n.startService,
	} {
		if err := step(); err != nil {
			n.Close()
			return nil, err
		}
	}
	return n, nil
}

// checkLoopback reports whether loopback is up. In a new network namespace it is not: servers can listen there, and
// nobody can connect to them.
func checkLoopback() error {
	conn, err := net.Dial("udp", serviceAddress+":9") // sends nothing
	if err != nil {
		return fmt.Errorf("the loopback interface does not work here: run 'ip link set lo up': %w", err)
	}
	return conn.Close()
}

// Set makes c the present conditions.
func (n *Internet) Set(c Conditions) { n.conditions.Store(&c) }

// Close stops all servers and waits for them.
func (n *Internet) Close() {
	n.end()
	for _, s := range n.servers {
		_ = s.Close()
	}
	for _, s := range n.names {
		_ = s.Shutdown() // fails only for one that did not start
	}
	n.running.Wait()
}

func (n *Internet) certify(authorityFile string) error {
	ca, err := newAuthority(Issuer)
	if err != nil {
		return err
	}
	inspector, err := newAuthority("Example Corp TLS Inspection")
	if err != nil {
		return err
	}
	portal, err := newAuthority("Hotel Guest Network")
	if err != nil {
		return err
	}
	// The inspector is trusted, as on a host of a company that inspects TLS: only the issuer tells it from the service's
	// authority. The portal is not.
	if err := os.WriteFile(authorityFile, append(ca.pem(), inspector.pem()...), 0o600); err != nil {
		return err
	}
	for _, issue := range []struct {
		to   **tls.Certificate
		by   *authority
		name string
		days int
	}{
		{&n.usual, ca, Host, 90}, {&n.expired, ca, Host, -1}, {&n.inspecting, inspector, Host, 90},
		{&n.portal, portal, portalHost, 90},
	} {
		if *issue.to, err = issue.by.issue(issue.name, issue.days); err != nil {
			return err
		}
	}
	return nil
}

func (n *Internet) startControls() error {
	for _, address := range controlAddresses {
		l, err := net.Listen("tcp", address+":0")
		if err != nil {
			return err
		}
		n.Controls = append(n.Controls, l.Addr().String())
		n.serve(l, n.control)
	}
	return nil
}

func (n *Internet) startService() error {
	l, err := net.Listen("tcp", serviceAddress+":0")
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return err
	}
	n.Service = net.JoinHostPort(Host, port)
	config := &tls.Config{GetCertificate: n.certificate, NextProtos: []string{"http/1.1"}} // WebSockets need HTTP/1.1
	n.serve(tls.NewListener(l, config), n.service)
	return nil
}

// serve serves on l until Close. Every answer ends its connection, so that a fault is seen by the next request.
func (n *Internet) serve(l net.Listener, handler http.HandlerFunc) {
	s := &http.Server{Handler: handler, ErrorLog: silent, ReadHeaderTimeout: headerTimeout}
	s.SetKeepAlivesEnabled(false)
	n.servers = append(n.servers, s)
	n.running.Go(func() { _ = s.Serve(l) })
}

func (n *Internet) startNameservers() error {
	for _, server := range []struct {
		address string
		to      *string
		handler dns.HandlerFunc
	}{{resolverAddress, &n.Resolver, n.resolve}, {publicAddress, &n.Public, n.resolvePublicly}} {
		packets, connections, err := listenBoth(server.address)
		if err != nil {
			return err
		}
		*server.to = packets.LocalAddr().String()
		for _, s := range []*dns.Server{{PacketConn: packets}, {Listener: connections}} {
			s.Handler = server.handler
			started := make(chan struct{})
			s.NotifyStartedFunc = func() { close(started) }
			n.running.Go(func() { _ = s.ActivateAndServe() })
			<-started // Shutdown does nothing before that
			n.names = append(n.names, s)
		}
	}
	return nil
}

// listenTries is how often another port is tried, if one that is free for UDP is taken for TCP.
const listenTries = 20

// listenBoth opens the same free port for UDP and TCP.
func listenBoth(address string) (packets net.PacketConn, connections net.Listener, err error) {
	for range listenTries {
		if packets, err = net.ListenPacket("udp", address+":0"); err != nil {
			return nil, nil, err
		}
		if connections, err = net.Listen("tcp", packets.LocalAddr().String()); err == nil {
			return packets, connections, nil
		}
		_ = packets.Close()
	}
	return nil, nil, errors.Join(errors.New("no port is free for both UDP and TCP"), err)
}
