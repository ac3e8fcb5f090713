package connect

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// This file keeps what attempts would compute again from the same input: the authorities of a file, and the chains of a
// certificate. A thousand HTTPS probes a second would spend an eighth of their CPU time on it.

// keptLimit bounds each of the maps below: more files or certificates than this are read or verified again. An entry
// takes some hundred bytes and the certificates of its chains, a few kilobytes.
const keptLimit = 4096

// A kept is a bounded map that is safe for concurrent use. When it is full, it forgets everything: only a reload or new
// certificates fill it.
type kept[K comparable, V any] struct {
	mu  sync.Mutex
	all map[K]V
}

func (k *kept[K, V]) get(key K) (V, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	v, ok := k.all[key]
	return v, ok
}

func (k *kept[K, V]) put(key K, v V) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.all) >= keptLimit {
		clear(k.all)
	}
	if k.all == nil {
		k.all = make(map[K]V)
	}
	k.all[key] = v
}

// poolKey names the files of a pool: tls.ca_file and tls.extra_ca_file.
type poolKey struct{ ca, extra string }

// A keptPool is what the files of a pool held while they had these versions.
type keptPool struct {
	versions [2]fileVersion
	pool     *x509.CertPool // must not be changed
}

var pools kept[poolKey, keptPool]

// A fileVersion changes when a file is replaced or written to. That of no file is the zero one.
type fileVersion struct {
	dev, inode       uint64
	size             int64
	changed, written unix.Timespec
}

// settled is how old a file must be to be known by its version. A second write within the same tick of the kernel's
// clock (4 ms on most kernels) leaves no trace; two seconds also cover file systems with coarse times.
const settled = 2 * time.Second

// versionOf returns the version of a file, and false if the file cannot be known by it.
func versionOf(path string) (fileVersion, bool) {
	if path == "" {
		return fileVersion{}, true
	}
	var s unix.Stat_t
	if err := unix.Stat(path, &s); err != nil || s.Mode&unix.S_IFMT != unix.S_IFREG {
		return fileVersion{}, false
	}
	age := time.Since(time.Unix(s.Ctim.Unix()))
	return fileVersion{s.Dev, s.Ino, s.Size, s.Ctim, s.Mtim}, age > settled
}

// keptPool returns the authorities of the files of r; nil if there are none. They are read again when a file has
// changed. IsKept reports whether the next attempt gets the same pool.
func (r *Options) keptPool() (pool *x509.CertPool, isKept bool, err error) {
	key := poolKey{r.CAFile, r.ExtraCA}
	if key == (poolKey{}) {
		return nil, true, nil
	}
	var versions [2]fileVersion // before reading: a later change gives another version
	var known [2]bool
	versions[0], known[0] = versionOf(r.CAFile)
	versions[1], known[1] = versionOf(r.ExtraCA)
	if !known[0] || !known[1] {
		pool, err = r.readPool()
		return pool, false, err
	}
	if k, ok := pools.get(key); ok && k.versions == versions {
		return k.pool, true, nil
	}
	if pool, err = r.readPool(); err == nil {
		pools.put(key, keptPool{versions, pool})
	}
	return pool, true, err
}

// chainKey is what a verification depends on, besides the time.
type chainKey struct {
	roots *x509.CertPool
	name  string
	shown [sha256.Size]byte // the certificates
}

// keptChains are the chains that a certificate had in a span of time in which no certificate begins or ends.
type keptChains struct {
	chains      [][]*x509.Certificate
	from, until time.Time
}

var verified kept[chainKey, keptChains]

// chainsOf returns the chains from the certificate of a session to the roots; nil: the system's. The same certificates
// have the same chains until one of them begins or ends. Failures are not kept.
func (s *verifier) chainsOf(
	roots *x509.CertPool, state tls.ConnectionState, name string,
) ([][]*x509.Certificate, error) {
	shown, now := state.PeerCertificates, s.now()
	isKept := s.keptRoots && roots == s.roots // another pool is made again by the next attempt
	var key chainKey
	if isKept {
		key = chainKey{roots, name, digest(shown)}
		if k, ok := verified.get(key); ok && !now.Before(k.from) && now.Before(k.until) {
			return k.chains, nil
		}
	}
	options := x509.VerifyOptions{Roots: roots, CurrentTime: now, DNSName: name, Intermediates: x509.NewCertPool()}
	for _, c := range shown[1:] {
		options.Intermediates.AddCert(c)
	}
	chains, err := shown[0].Verify(options)
	if err == nil && isKept {
		verified.put(key, keep(chains, shown, now))
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
