package httpprobe

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/probetest"
)

// An issuer was signed twice, by an old root and by a new one, and the signature of the old one has expired
// (prometheus/blackbox_exporter#340).
func TestExpiredCrossSignature(t *testing.T) {
	expired := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2024, 2, 1, 0, 0, 0, 0, time.UTC)
	}
	oldRoot, newRoot := probetest.NewAuthority(t, "Old Root"), probetest.NewAuthority(t, "New Root")
	issuer := newRoot.Intermediate(t, "Issuer", nil)
	cross := oldRoot.CrossSign(t, issuer, "Issuer", expired)
	leaf := issuer.Issue(t, nil)
	leaf.Certificate = append(leaf.Certificate, cross.Raw, issuer.Certificate().Raw)
	server := probetest.Serving(t, &leaf, probetest.Answering(200, ""))
	stranger := probetest.NewAuthority(t, "Stranger")
	const link = "CN=Issuer (issued by CN=Old Root), expired on 2024-02-01"
	for _, tt := range []struct {
		name, trusted string
		class         probe.Class
		link          string
	}{
		{"the new root is trusted", newRoot.File, probe.OK, ""},
		{"the old root alone is trusted", oldRoot.File, probe.TLSAuthorityInvalid, link},
		{"neither is trusted", stranger.File, probe.TLSAuthorityInvalid, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &Request{}
			p.URL, p.Options = at(t, "https", server, "/")
			p.CAFile = tt.trusted
			r := probetest.Attempt(t, p, 5*time.Second)
			if r.Class != tt.class || r.TLS == nil || r.TLS.ExpiredLink != tt.link {
				t.Errorf("ended as %s with %+v, want %s and the link %q: %s", r.Class, r.TLS, tt.class, tt.link, r.Why)
			}
			if tt.link != "" {
				probetest.WantEnd(t, r, tt.class, probe.Handshake, tt.link)
			}
		})
	}
}

func TestEndOfTheChain(t *testing.T) {
	root := probetest.NewAuthority(t, "Root")
	at1 := time.Now().Add(20 * time.Minute).UTC().Truncate(time.Second)
	soon := func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), at1 }
	early := root.Intermediate(t, "Issuer", soon)
	late := root.CrossSign(t, early, "Issuer", nil)
	leaf := early.Issue(t, nil)
	shown := func(more ...[]byte) *tls.Certificate {
		c := leaf
		c.Certificate = append([][]byte{leaf.Certificate[0]}, more...)
		return &c
	}
	for _, tt := range []struct {
		name string
		cert *tls.Certificate
		end  time.Time
	}{
		{"an issuer ends first", shown(early.Certificate().Raw), at1},
		{"another path lasts longer", shown(early.Certificate().Raw, late.Raw), leaf.Leaf.NotAfter},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &Request{}
			p.URL, p.Options = at(t, "https", probetest.Serving(t, tt.cert, probetest.Answering(200, "")), "/")
			p.CAFile = root.File
			r := probetest.Attempt(t, p, 5*time.Second)
			probetest.WantEnd(t, r, probe.OK, probe.Response)
			if got := r.TLS.End(); !got.Equal(tt.end) && got.Sub(tt.end).Abs() > 2*time.Second {
				t.Errorf("the chain ends at %s, want %s", got, tt.end)
			}
			if !r.TLS.NotAfter.Equal(leaf.Leaf.NotAfter) {
				t.Errorf("not after %s, want the certificate's own", r.TLS.NotAfter)
			}
		})
	}
}
