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
	steps() // the file is too young to be known by its version
	awaitSettled(t, file)
	steps()
	first, kept, err := o.keptPool()
	if err != nil || !kept {
		t.Fatalf("kept %v, %v; want a pool that is kept", kept, err)
	}
	if again, _, _ := o.keptPool(); again != first {
		t.Error("the file was read again")
	}
	write(other)
	check("a.test", now, probe.TLSAuthorityInvalid)
	awaitSettled(t, file)
	check("a.test", now, probe.TLSAuthorityInvalid)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := o.verifier(); err == nil {
		t.Error("the file is gone, and there is no error")
	}
}

// awaitSettled waits until a file can be known by its version: its time of change cannot be set.
func awaitSettled(t *testing.T, file string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if _, known := versionOf(file); known {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the version is not known after a minute")
		}
	}
}

func TestKeptIsBounded(t *testing.T) {
	var k kept[int, int]
	for i := range 3 * keptLimit {
		k.put(i, i)
		if len(k.all) > keptLimit {
			t.Fatalf("%d entries, want at most %d", len(k.all), keptLimit)
		}
	}
	if v, ok := k.get(3*keptLimit - 1); !ok || v != 3*keptLimit-1 {
		t.Errorf("the latest is %v, %v", v, ok)
	}
}
