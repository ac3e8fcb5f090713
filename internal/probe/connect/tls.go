package connect

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"netwatchd/internal/probe"
	"netwatchd/internal/redact"
)

// security says which certificates are trusted.
type security struct {
	roots  *x509.CertPool // nil: the system's
	issuer string
	now    func() time.Time
}

func (r *Options) security() (*security, error) {
	s := &security{issuer: r.Issuer, now: r.Now}
	if s.now == nil {
		s.now = time.Now
	}
	if r.CAFile == "" {
		return s, nil
	}
	pem, err := os.ReadFile(r.CAFile)
	if err != nil {
		return nil, probe.Failf(probe.Internal, "reading the CA file: %w: correct tls.ca_file or make it readable", err)
	}
	s.roots = x509.NewCertPool()
	if !s.roots.AppendCertsFromPEM(pem) {
		return nil, probe.Failf(probe.Internal, "%s holds no certificate: tls.ca_file must be PEM", r.CAFile)
	}
	return s, nil
}

// anyIssuer is for a proxy: the issuer expected is the server's.
func (s *security) anyIssuer() *security { return &security{roots: s.roots, now: s.now} }

// shake makes the handshake and tells seen what was shown, verified or not: an expired or a forged certificate is the
// best evidence there is. crypto/tls keeps a certificate that it does not trust to itself, so it is told to trust all and
// verification is done here.
func (s *security) shake(ctx context.Context, conn net.Conn, name string, protocols []string, seen func(*probe.TLS)) (*tls.Conn, error) {
	var distrust error
	secured := tls.Client(conn, &tls.Config{
		ServerName:         name,
		NextProtos:         protocols,
		Time:               s.now,
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			seen(shown(state))
			distrust = s.verify(state, name)
			return distrust
		},
	})
	err := secured.HandshakeContext(ctx)
	switch {
	case err == nil:
		return secured, nil
	case distrust != nil:
		return nil, distrust
	}
	return nil, probe.Reword(fmt.Sprintf("TLS handshake with %s: %s", conn.RemoteAddr(), probe.InWords(err)), err)
}

func shown(state tls.ConnectionState) *probe.TLS {
	leaf := state.PeerCertificates[0] // a server that shows none fails the handshake before
	return &probe.TLS{Version: tls.VersionName(state.Version), Subject: redact.Line(leaf.Subject.String(), probe.WhyLimit), Issuer: redact.Line(leaf.Issuer.String(), probe.WhyLimit),
		NotAfter: leaf.NotAfter}
}

func (s *security) verify(state tls.ConnectionState, name string) error {
	leaf := state.PeerCertificates[0]
	options := x509.VerifyOptions{Roots: s.roots, CurrentTime: s.now(), DNSName: name, Intermediates: x509.NewCertPool()}
	for _, c := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(c)
	}
	chains, err := leaf.Verify(options)
	if err != nil {
		return s.distrust(state.PeerCertificates, name, err)
	}
	if slices.ContainsFunc(chains, s.issued) {
		return nil
	}
	return s.unexpectedIssuer(leaf)
}

// distrust words the reason. An unknown authority that is not even the one expected is something in between that answers
// in the server's place, and that says more than "unknown".
func (s *security) distrust(shown []*x509.Certificate, name string, err error) error {
	leaf := shown[0]
	said := fmt.Sprintf("certificate: %s (issuer %q)", strings.TrimPrefix(err.Error(), "x509: "), leaf.Issuer)
	switch probe.Classify(probe.Handshake, err) {
	case probe.TLSAuthorityInvalid:
		if !s.issued(shown) {
			return s.unexpectedIssuer(leaf)
		}
	case probe.TLSDateInvalid:
		said = s.outOfDate(leaf, err)
	case probe.TLSNameInvalid:
		said = fmt.Sprintf("certificate is for %s, not for %s (issuer %q)", namesOf(leaf), name, leaf.Issuer)
	}
	return probe.Reword(said, err)
}

func (s *security) outOfDate(leaf *x509.Certificate, err error) string {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		leaf = invalid.Cert // or the one above it
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

// issued reports whether the expected issuer is among those named in a chain.
func (s *security) issued(chain []*x509.Certificate) bool {
	for _, c := range chain {
		if strings.Contains(strings.ToLower(c.Issuer.String()), strings.ToLower(s.issuer)) {
			return true
		}
	}
	return false
}

func (s *security) unexpectedIssuer(leaf *x509.Certificate) error {
	return probe.Failf(probe.TLSUnexpectedIssuer, "certificate issued by %q, want %q: something in between answers in the server's place",
		leaf.Issuer, s.issuer)
}
