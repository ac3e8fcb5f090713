package connect

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"netwatchd/internal/clientrules"
	"netwatchd/internal/probe"
)

// issue makes a certificate of one of these authorities, or an authority.
func issue(t *testing.T, template, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if parent == nil {
		parent, by = template, key
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}

func authorityTemplate(name string, begin, end time.Time) *x509.Certificate {
	return &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: begin, NotAfter: end}
}

// A certificate that was verified is not trusted beyond its end, before its beginning, for another name, or when its
// authority was removed from the file.
func TestKeptChains(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Second)
	root, rootKey := issue(t, authorityTemplate("one", now.Add(-time.Hour), now.Add(time.Hour)), nil, nil)
	other, _ := issue(t, authorityTemplate("two", now.Add(-time.Hour), now.Add(time.Hour)), nil, nil)
	leaf, _ := issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "a.test"}, DNSNames: []string{"a.test"},
		NotBefore: now.Add(-10 * time.Second), NotAfter: now.Add(10 * time.Second)}, root, rootKey)

	file := filepath.Join(t.TempDir(), "ca.pem")
	write := func(c *x509.Certificate) {
		t.Helper()
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(root)
	clock := now
	o := &Options{CAFile: file, Now: func() time.Time { return clock }}
	check := func(name string, at time.Time, want probe.Class) {
		t.Helper()
		clock = at
		v, err := o.verifier()
		if err != nil {
			t.Fatal(err)
		}
		state := tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
		err = v.verify(state, name, new(probe.TLS))
		if got := probe.Classify(probe.Handshake, err); got != want {
			t.Errorf("%s at %v: got %v (%v), want %v", name, at.Sub(now), got, err, want)
		}
	}
	steps := func() {
		check("a.test", now, probe.OK)
		check("a.test", now, probe.OK)
		check("b.test", now, probe.TLSNameInvalid)
		check("a.test", now.Add(10*time.Second), probe.OK)
		check("a.test", now.Add(11*time.Second), probe.TLSDateInvalid)
		check("a.test", now.Add(-11*time.Second), probe.TLSDateInvalid)
		check("a.test", now, probe.OK)
	}
	pool := func() *x509.CertPool {
		t.Helper()
		p, err := o.ownRoots()
		if err != nil {
			t.Fatal(err)
		}
		return p.CertPool
	}
	steps() // the file is too young to be known by its version
	awaitKept(t, pool)
	steps()
	write(other)
	check("a.test", now, probe.TLSAuthorityInvalid)
	awaitKept(t, pool)
	check("a.test", now, probe.TLSAuthorityInvalid)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := o.verifier(); err == nil {
		t.Error("the file is gone, and there is no error")
	}
}

// The files that a client's variables name are parsed once, and again when one of them has changed.
func TestKeptClientRoots(t *testing.T) {
	now := time.Now()
	var roots [3]*x509.Certificate
	for i := range roots {
		name := string(rune('a' + i))
		roots[i], _ = issue(t, authorityTemplate(name, now.Add(-time.Hour), now.Add(time.Hour)), nil, nil)
	}
	dir := t.TempDir()
	inFile, inDir := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "certs", "0a1b2c3d.0")
	if err := os.Mkdir(filepath.Dir(inDir), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(file string, c *x509.Certificate) {
		t.Helper()
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SSL_CERT_FILE", inFile)
	t.Setenv("SSL_CERT_DIR", filepath.Dir(inDir))
	o := &Options{Rules: clientrules.Client{Trusting: clientrules.OldCodexTrusting}}
	get := func() *x509.CertPool {
		t.Helper()
		c, err := o.clientRoots()
		if err != nil {
			t.Fatal(err)
		}
		return c.pool.CertPool
	}
	trusts := func(want ...bool) {
		t.Helper()
		for i, c := range roots {
			_, err := c.Verify(x509.VerifyOptions{Roots: get()})
			if got := err == nil; got != want[i] {
				t.Errorf("authority %d: trusted %v, want %v", i, got, want[i])
			}
		}
	}
	write(inFile, roots[0])
	write(inDir, roots[1])
	trusts(true, true, false)
	awaitKept(t, get)
	write(inDir, roots[2])
	trusts(true, false, true)
	awaitKept(t, get)
	trusts(true, false, true)
	if err := os.Remove(inFile); err != nil {
		t.Fatal(err)
	}
	trusts(false, false, true)
}

// awaitKept waits until a file is old enough to be known by its version, so that get returns the same pool again: the
// time of a change cannot be set.
func awaitKept(t *testing.T, get func() *x509.CertPool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if first := get(); get() == first {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the files are still read again after a minute")
		}
	}
}

// BenchmarkRoots is what an attempt does, before it connects, to know which authorities its client trusts.
func BenchmarkRoots(b *testing.B) {
	b.Setenv("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
	for _, trusting := range []clientrules.Trusting{clientrules.CodexTrusting, clientrules.OldCodexTrusting,
		clientrules.ClaudeTrusting, clientrules.BunTrusting, clientrules.NodeTrusting} {
		b.Run(trusting.String(), func(b *testing.B) {
			o := &Options{Rules: clientrules.Client{Trusting: trusting}}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := o.verifier(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
