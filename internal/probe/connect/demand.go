package connect

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"netwatchd/internal/probe"
)

// This file is about what a server demands and our side cannot give: a client certificate, or versions and cipher
// suites that current clients no longer offer. Neither is a fault of the service.

// A clientDemand notes whether a server requested a client certificate, and which one it got.
type clientDemand struct {
	asked atomic.Bool // also by renegotiation, on a goroutine of net/http
	given *x509.Certificate
}

// answer returns the callback for a server's request: own, or none if own is nil.
func (d *clientDemand) answer(own *tls.Certificate) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	if own != nil {
		d.given = own.Leaf
	}
	return func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		d.asked.Store(true)
		if own == nil {
			return new(tls.Certificate), nil // an empty one is sent as "none"
		}
		return own, nil
	}
}

// certificateAlerts are what TLS libraries send about a client's certificate, in Go's words (RFC 8446, 6.2).
// Certificate_required is TLS 1.3's; OpenSSL sends handshake_failure over TLS 1.2, nginx and others bad_certificate.
var certificateAlerts = []string{
	"tls: certificate required", "tls: bad certificate", "tls: handshake failure", "tls: unknown certificate",
	"tls: unknown certificate authority", "tls: unsupported certificate", "tls: expired certificate",
	"tls: revoked certificate", "tls: access denied",
}

// refusal explains err, which ended the connection before any answer, by the server's demand; nil if it does not. A
// server that requested a certificate, got none and ended the connection demands one: not every server sends an alert,
// and with TLS 1.3 a reset overtakes it (openssl s_server, Python). If it got one, only an alert shows that it refused
// it.
func (d *clientDemand) refusal(phase probe.Phase, err error) error {
	if d == nil || !d.asked.Load() {
		return nil
	}
	alerted := false
	if remote, ok := errors.AsType[*net.OpError](err); ok && remote.Op == "remote error" && remote.Err != nil {
		alerted = slices.Contains(certificateAlerts, remote.Err.Error())
		if !alerted {
			return nil // about something else
		}
	}
	switch c := probe.Classify(phase, err); {
	case alerted && d.given != nil:
		return probe.Fail(probe.TLSClientCertificate, fmt.Errorf("the server refuses the client certificate %q%s: %w",
			d.given.Subject, expiredOn(d.given), err))
	case alerted, d.given == nil && (c == probe.TLSClosed || c == probe.HTTPClosed || c == probe.TCPReset):
		return probe.Fail(probe.TLSClientCertificate, fmt.Errorf("the server requires a client certificate: %w", err))
	}
	return nil
}

// refusal explains err by what the server demanded on the connection opened last; nil if that does not.
func (l *Attempt) refusal(phase probe.Phase, err error) error {
	refusal := l.demand.refusal(phase, err)
	if refusal != nil && l.demand.given != nil {
		l.Progress.Warn(probe.WarnClientCertificate)
	}
	return refusal
}

// alertWait is how long a server may take to refuse a certificate after the handshake. It has verified it by then, so
// that its alert is one trip away; the limit is for a server that accepts it and waits for the request.
const alertWait = time.Second

// lateRefusal explains err, which ended a request, by a client certificate that the server does not accept. With TLS
// 1.3 its alert crosses the request, and the reset that follows may overtake it. So one more connection is made that
// sends no request and waits for the alert.
func (l *Attempt) lateRefusal(ctx context.Context, err error) error {
	phase := l.Progress.phase()
	c := probe.Classify(phase, err)
	if c != probe.HTTPClosed && c != probe.TCPReset || l.demand == nil || l.demand.given == nil ||
		!l.demand.asked.Load() {
		return nil
	}
	defer l.Progress.Enter(phase)
	conn, err := l.again(ctx)
	if err != nil {
		return nil
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	conn.SetReadDeadline(time.Now().Add(alertWait))
	_, err = conn.Read(make([]byte, 1))
	return l.refusal(probe.Handshake, err)
}

func expiredOn(c *x509.Certificate) string {
	if time.Now().Before(c.NotAfter) {
		return ""
	}
	return ", which expired on " + c.NotAfter.Format(time.DateOnly)
}

// everyCipherSuite has all suites that crypto/tls implements. Those without forward secrecy (RSA key exchange) and with
// 3DES, RC4 or SHA-1 in CBC mode are not offered by default.
var everyCipherSuite = func() (ids []uint16) {
	for _, suite := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		ids = append(ids, suite.ID)
	}
	return ids
}()

// isOutdated reports whether crypto/tls, like current browsers and agents, would not have made this session by default.
func isOutdated(state tls.ConnectionState) bool {
	return state.Version < tls.VersionTLS12 ||
		slices.ContainsFunc(tls.InsecureCipherSuites(), func(s *tls.CipherSuite) bool { return s.ID == state.CipherSuite })
}

// secureOutdated makes one more handshake, with all that crypto/tls implements, after one that failed because client
// and server had nothing in common (TLS 1.0, RSA key exchange: old management interfaces and appliances). It returns
// nil if that is not the reason: then the first error stands.
func (l *Attempt) secureOutdated(
	ctx context.Context, peer net.Addr, u, via *url.URL, security *verifier, failed error,
) net.Conn {
	c := probe.Classify(probe.Handshake, failed)
	_, notTLS := errors.AsType[tls.RecordHeaderError](failed)
	if c != probe.TLSProtocolError && c != probe.TLSClosed || notTLS || l.demand.asked.Load() {
		return nil
	}
	before := l.demand
	secured, err := l.secureAgain(ctx, peer, u, via, security, true)
	if err == nil && isOutdated(secured.ConnectionState()) {
		l.Progress.Warn(probe.WarnOutdatedTLS)
		return secured
	}
	if secured != nil {
		secured.Close() // it has what the first one had not: chance decided, and not what was offered
	}
	l.Progress.Enter(probe.Handshake)
	l.demand = before
	return nil
}

// secureAgain makes another connection like the one to peer.
func (l *Attempt) secureAgain(
	ctx context.Context, peer net.Addr, u, via *url.URL, security *verifier, outdated bool,
) (*tls.Conn, error) {
	var conn net.Conn
	var err error
	if tcp, ok := peer.(*net.TCPAddr); via == nil && ok {
		d := &dialer{progress: l.Progress}
		addr := tcp.AddrPort()
		conn, err = d.connect(ctx, []netip.AddrPort{netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())})
	} else {
		conn, err = l.dialProxy(ctx, via, u, security)
	}
	if err != nil {
		return nil, err
	}
	secured, err := l.secure(ctx, conn, u, security, outdated)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return secured, nil
}
