package parts

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"testing"
	"time"
)

// A Certificate is a kind of server certificate.
type Certificate int

const (
	Valid Certificate = iota
	Expired
	NotYetValid
	SoonOver
	OfAnotherName
	ByAnotherAuthority // Issue of another one: it is told apart by who signs it
	BySelf
)

// An Authority signs certificates.
type Authority struct {
	Behind time.Duration // its clock

	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority creates an authority with this name.
func NewAuthority(t testing.TB, name string) *Authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &Authority{t: t, key: key}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{name}},
		NotBefore: time.Now().AddDate(-10, 0, 0), NotAfter: time.Now().AddDate(10, 0, 0), // as long as real ones last
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

// Write writes the authority's own certificate.
func (a *Authority) Write(path string) {
	a.t.Helper()
	writePEM(a.t, path, "CERTIFICATE", a.cert.Raw)
}

// Issue writes stem.pem and stem.key for these names.
func (a *Authority) Issue(stem string, kind Certificate, names ...string) {
	a.t.Helper()
	now := time.Now().Add(-a.Behind)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: now.AddDate(0, -1, 0), NotAfter: now.AddDate(0, 1, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	switch kind {
	case Expired:
		leaf.NotAfter = now.AddDate(0, 0, -1)
	case SoonOver:
		leaf.NotAfter = now.AddDate(0, 0, 2)
	case NotYetValid:
		leaf.NotBefore = now.AddDate(0, 0, 1)
	case OfAnotherName:
		leaf.DNSNames = []string{"another.example"}
	}
	signer, signing := a.cert, a.key
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if kind == BySelf {
		signer, signing = leaf, key
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, signer, &key.PublicKey, signing)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	writePEM(a.t, stem+".pem", "CERTIFICATE", der)
	writePEM(a.t, stem+".key", "PRIVATE KEY", private)
}

func writePEM(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
