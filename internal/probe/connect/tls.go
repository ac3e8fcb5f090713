package connect

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"netwatchd/internal/clientrules"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/authorities"
	"netwatchd/internal/redact"
)

// A verifier decides which certificates are trusted.
type verifier struct {
	roots      authorities.Pool
	issuer     string
	smallHello bool
	now        func() time.Time
	own        *tls.Certificate // the client's, for servers that request one; nil: none

	client *clientRoots // what the service's client trusts; nil: the same
	learn  func(clientrules.Remark)
}

func (r *Options) verifier() (*verifier, error) {
	s := &verifier{issuer: r.Issuer, smallHello: r.SmallHello, now: r.Now}
	if s.now == nil {
		s.now = time.Now
	}
	var err error
	if s.roots, err = r.ownRoots(); err != nil {
		return nil, err
	}
	if r.CertFile != "" {
		own, err := readKeyPair(r.CertFile, r.KeyFile)
		if err != nil {
			return nil, probe.Failf(probe.Internal,
				"reading the client certificate: %w: correct tls.cert_file and tls.key_file or make them readable", err)
		}
		s.own = &own
	}
	if r.CAFile != "" { // someone has decided what is trusted
		return s, nil
	}
	if s.client, err = r.clientRoots(); err == nil && s.client != nil && s.roots.CertPool == nil {
		s.roots, err = hostRoots()
	}
	if err != nil {
		return nil, probe.Failf(probe.Internal, "reading the system's CA certificates: %w", err)
	}
	return s, nil
}

func readKeyPair(certFile, keyFile string) (tls.Certificate, error) {
	var texts [2][]byte
	for i, file := range []string{certFile, keyFile} {
		var err error
		if texts[i], err = authorities.ReadFile(file); errors.Is(err, authorities.ErrNamedPipe) {
			return tls.Certificate{}, fmt.Errorf("%s is not a regular file: it %w", file, err)
		} else if err != nil {
			return tls.Certificate{}, fmt.Errorf("%s %w", file, err)
		}
	}
	return tls.X509KeyPair(texts[0], texts[1])
}

// anyIssuer returns a verifier for a proxy's certificate: the expected issuer and the client certificate are for the
// server.
func (s *verifier) anyIssuer() *verifier {
	return &verifier{roots: s.roots, now: s.now, client: s.client, learn: s.learn}
}

// handshake makes the TLS handshake and passes the certificate to seen, verified or not: an expired or forged
// certificate is the best evidence. crypto/tls does not hand out a certificate that it rejects, so it accepts all and
// they are verified here.
func (s *verifier) handshake(ctx context.Context, conn net.Conn, h handshake) (*tls.Conn, error) {
	var distrust error
	c := &tls.Config{
		ServerName:         h.name,
		NextProtos:         h.protocols,
		CurvePreferences:   s.curves(),
		Time:               s.now,
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			facts := tlsFacts(state)
			distrust = s.verify(state, h.name, facts)
			h.seen(facts)
			return distrust
		},
		GetClientCertificate: h.demand.answer(s.own),
		// Apache and IIS request the certificate of one directory this way, after they have read the request.
		Renegotiation: tls.RenegotiateOnceAsClient,
	}
	if h.outdated {
		c.MinVersion, c.CipherSuites = tls.VersionTLS10, everyCipherSuite
	}
	secured := tls.Client(conn, c)
	err := secured.HandshakeContext(ctx)
	switch {
	case err == nil:
		return secured, nil
	case distrust != nil:
		return nil, distrust
	}
	return nil, probe.Reword(fmt.Sprintf("TLS handshake with %s: %s", conn.RemoteAddr(), probe.InWords(err)), err)
}

// A handshake is what one handshake is about.
type handshake struct {
	name      string   // sent, and verified
	protocols []string // ALPN
	outdated  bool     // offer also what current clients refuse by default
	seen      func(*probe.TLS)
	demand    *clientDemand
}

// curves returns the key exchanges to offer; nil: all that crypto/tls has. The key share of X25519MLKEM768 alone is
// 1,216 octets, so that the usual ClientHello takes two packets.
func (s *verifier) curves() []tls.CurveID {
	if s.smallHello {
		return []tls.CurveID{tls.X25519, tls.CurveP256}
	}
	return nil
}

func tlsFacts(state tls.ConnectionState) *probe.TLS {
	leaf := state.PeerCertificates[0] // without one the handshake has failed
	facts := &probe.TLS{
		Version:  tls.VersionName(state.Version),
		Subject:  redact.Line(leaf.Subject.String(), probe.WhyLimit),
		Issuer:   redact.Line(leaf.Issuer.String(), probe.WhyLimit),
		NotAfter: leaf.NotAfter,
	}
	if isOutdated(state) {
		facts.Cipher = tls.CipherSuiteName(state.CipherSuite)
	}
	return facts
}

// endOf returns when the last of the chains ends. A chain ends with the first of its certificates; its root does not
// count, because other roots may replace it, and not every library looks at the dates of roots.
func endOf(chains [][]*x509.Certificate) (last time.Time) {
	for _, chain := range chains {
		end := chain[0].NotAfter
		for _, c := range chain[:max(1, len(chain)-1)] {
			if c.NotAfter.Before(end) {
				end = c.NotAfter
			}
		}
		if end.After(last) {
			last = end
		}
	}
	return last
}

// expiredLink returns the expired issuer among the certificates shown that leads to a trusted root, or nothing. Go says
// "unknown authority" then, because it does not follow an expired certificate: Let's Encrypt's chain ended so in 2021
// for everyone who trusted the old root alone.
func (s *verifier) expiredLink(shown []*x509.Certificate) string {
	for _, c := range shown[1:] {
		if !s.now().After(c.NotAfter) {
			continue
		}
		options := x509.VerifyOptions{Roots: s.roots.CertPool, CurrentTime: s.now(), Intermediates: x509.NewCertPool(),
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
		for _, other := range shown[1:] {
			options.Intermediates.AddCert(other)
		}
		// What would be verified if it had not expired? Its signature covers the original dates, not these fields.
		extended := *c
		extended.NotAfter = s.now()
		if _, err := extended.Verify(options); err == nil {
			return redact.Line(fmt.Sprintf("%s (issued by %s), expired on %s", c.Subject, c.Issuer,
				c.NotAfter.Format(time.DateOnly)), probe.WhyLimit)
		}
	}
	return ""
}

// certificateError explains why a certificate is rejected. An unknown authority that is also not the expected issuer
// means that something between answers for the server: that says more than "unknown".
func (s *verifier) certificateError(shown []*x509.Certificate, name string, err error) error {
	leaf := shown[0]
	said := fmt.Sprintf("certificate: %s (issuer %q)", strings.TrimPrefix(err.Error(), "x509: "), leaf.Issuer)
	switch probe.Classify(probe.Handshake, err) {
	case probe.TLSAuthorityInvalid:
		if !s.hasIssuer(shown) {
			return s.unexpectedIssuer(leaf)
		}
		if link := s.expiredLink(shown); link != "" {
			said += ": the only link to a trusted root is " + link
		}
	case probe.TLSDateInvalid:
		said = s.outOfDate(leaf, err)
	case probe.TLSNameInvalid:
		said = fmt.Sprintf("certificate is for %s, not for %s (issuer %q)", namesOf(leaf), name, leaf.Issuer)
	}
	return probe.Reword(said, err)
}

func (s *verifier) outOfDate(leaf *x509.Certificate, err error) string {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		leaf = invalid.Cert // or an issuer's above it
	}
	if s.now().Before(leaf.NotBefore) {
		return fmt.Sprintf("certificate is not valid before %s, and this host's clock says %s (issuer %q)",
			leaf.NotBefore.Format(time.DateOnly), s.now().Format(time.DateOnly), leaf.Issuer)
	}
	return fmt.Sprintf("certificate expired on %s (issuer %q)", leaf.NotAfter.Format(time.DateOnly), leaf.Issuer)
}

func namesOf(leaf *x509.Certificate) string {
	names := leaf.DNSNames
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	const few = 3 // a CDN's certificate may hold a hundred
	if len(names) > few {
		return strings.Join(names[:few], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

// hasIssuer reports whether a chain names the expected issuer.
func (s *verifier) hasIssuer(chain []*x509.Certificate) bool {
	if s.issuer == "" {
		return true
	}
	for _, c := range chain {
		if strings.Contains(strings.ToLower(c.Issuer.String()), strings.ToLower(s.issuer)) {
			return true
		}
	}
	return false
}

func (s *verifier) unexpectedIssuer(leaf *x509.Certificate) error {
	return probe.Failf(
		probe.TLSUnexpectedIssuer,
		"certificate issued by %q, want %q: something on the network path answers for the server",
		leaf.Issuer,
		s.issuer,
	)
}
