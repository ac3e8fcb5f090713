package connect

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"netwatchd/internal/probe"
	"netwatchd/internal/redact"
)

// A verifier decides which certificates are trusted.
type verifier struct {
	roots      *x509.CertPool // nil: the system's
	issuer     string
	smallHello bool
	now        func() time.Time
	own        *tls.Certificate // the client's, for servers that request one; nil: none
}

func (r *Options) verifier() (*verifier, error) {
	s := &verifier{issuer: r.Issuer, smallHello: r.SmallHello, now: r.Now}
	if s.now == nil {
		s.now = time.Now
	}
	for _, file := range []string{r.CAFile, r.ExtraCA} {
		if file == "" {
			continue
		}
		pem, err := readFile(file)
		if err != nil {
			return nil, probe.Failf(probe.Internal, "reading the CA file: %w: correct tls.ca_file or make it readable", err)
		}
		if s.roots == nil {
			s.roots = x509.NewCertPool()
			if r.CAFile == "" {
				if s.roots, err = x509.SystemCertPool(); err != nil {
					return nil, probe.Failf(probe.Internal, "reading the system's CA certificates: %w", err)
				}
			}
		}
		if !s.roots.AppendCertsFromPEM(pem) {
			return nil, probe.Failf(probe.Internal, "%s holds no certificate: a CA file must be PEM", file)
		}
	}
	if r.CertFile != "" {
		own, err := readKeyPair(r.CertFile, r.KeyFile)
		if err != nil {
			return nil, probe.Failf(probe.Internal,
				"reading the client certificate: %w: correct tls.cert_file and tls.key_file or make them readable", err)
		}
		s.own = &own
	}
	return s, nil
}

func readKeyPair(certFile, keyFile string) (tls.Certificate, error) {
	cert, err := readFile(certFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := readFile(keyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}

// pemLimit bounds a file of certificates: all public roots together take a quarter of a megabyte.
const pemLimit = 4 << 20

// readFile reads a file of certificates or keys. It opens only a regular file: a named pipe would block for ever.
func readFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", path)
	case info.Size() > pemLimit:
		return nil, fmt.Errorf("%s is larger than %d MiB", path, pemLimit>>20)
	}
	return io.ReadAll(io.LimitReader(f, pemLimit))
}

// anyIssuer returns a verifier for a proxy's certificate: the expected issuer and the client certificate are for the
// server.
func (s *verifier) anyIssuer() *verifier { return &verifier{roots: s.roots, now: s.now} }

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

// verify checks the certificate, and adds to facts what it learns of its chain.
func (s *verifier) verify(state tls.ConnectionState, name string, facts *probe.TLS) error {
	leaf := state.PeerCertificates[0]
	options := x509.VerifyOptions{Roots: s.roots, CurrentTime: s.now(), DNSName: name, Intermediates: x509.NewCertPool()}
	for _, c := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(c)
	}
	chains, err := leaf.Verify(options)
	if err != nil {
		facts.ExpiredLink = s.expiredLink(state.PeerCertificates)
		return s.certificateError(state.PeerCertificates, name, err)
	}
	if end := endOf(chains); end.Before(leaf.NotAfter) {
		facts.ValidUntil = end
	}
	if slices.ContainsFunc(chains, s.hasIssuer) {
		return nil
	}
	return s.unexpectedIssuer(leaf)
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
		options := x509.VerifyOptions{Roots: s.roots, CurrentTime: s.now(), Intermediates: x509.NewCertPool(),
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
