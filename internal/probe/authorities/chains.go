package authorities

import (
	"crypto/sha256"
	"crypto/x509"
	"time"
	"weak"
)

// chainKey is what a verification depends on, besides the time.
type chainKey struct {
	roots weak.Pointer[x509.CertPool] // what was verified must not keep a pool that is used no more
	name  string
	shown [sha256.Size]byte // the certificates
}

// keptChains are the chains that a certificate had in a span of time in which no certificate begins or ends.
type keptChains struct {
	chains      [][]*x509.Certificate
	from, until time.Time
}

var verified = cache[chainKey, keptChains]()

// Chains returns the chains from the certificate of a server to the authorities of p. Shown is that certificate and the
// others that the server has sent; name is the server's. The same certificates have the same chains until one of them
// begins or ends. Failures are not kept.
func (p Pool) Chains(shown []*x509.Certificate, name string, now time.Time) ([][]*x509.Certificate, error) {
	var key chainKey
	if !p.isNew {
		key = chainKey{weak.Make(p.CertPool), name, digest(shown)}
		if k, ok := verified.Get(key); ok && !now.Before(k.from) && now.Before(k.until) {
			return k.chains, nil
		}
	}
	options := x509.VerifyOptions{Roots: p.CertPool, CurrentTime: now, DNSName: name, Intermediates: x509.NewCertPool()}
	for _, c := range shown[1:] {
		options.Intermediates.AddCert(c)
	}
	chains, err := shown[0].Verify(options)
	if err == nil && !p.isNew {
		verified.Add(key, keep(chains, shown, now))
	}
	return chains, err
}

// keep returns what was verified at now, with the span in which it holds.
func keep(chains [][]*x509.Certificate, shown []*x509.Certificate, now time.Time) keptChains {
	k := keptChains{chains: chains, from: now.Add(-keptChainsFor), until: now.Add(keptChainsFor)}
	bound := func(c *x509.Certificate) {
		k.bound(c.NotBefore, now)
		k.bound(c.NotAfter.Add(1), now) // it is valid at that time itself
	}
	for _, chain := range chains {
		for _, c := range chain {
			bound(c)
		}
	}
	for _, c := range shown {
		bound(c)
	}
	return k
}

// keptChainsFor bounds how long chains are kept: a certificate of an authority that is in none of them may begin.
const keptChainsFor = time.Minute

// bound ends the span at t, on its side of now.
func (k *keptChains) bound(t, now time.Time) {
	if t.After(now) && t.Before(k.until) {
		k.until = t
	}
	if !t.After(now) && t.After(k.from) {
		k.from = t
	}
}

func digest(all []*x509.Certificate) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, c := range all {
		h.Write(c.Raw) // DER begins with its length
	}
	h.Sum(sum[:0])
	return sum
}
