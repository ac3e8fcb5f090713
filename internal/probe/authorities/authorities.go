// Package authorities reads the certificate authorities that a program trusts, and verifies certificates by them. It
// keeps what it has parsed and verified, because the files of a host rarely change: a thousand HTTPS probes a second
// would spend an eighth of their CPU time on it.
package authorities

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// hashName matches the names that c_rehash(1) gives. Other files in such a directory are not read.
var hashName = regexp.MustCompile(`^[0-9a-f]{8}\.[0-9]+$`)

// hashedLimit bounds how many files of a directory are read: Debian's has three hundred.
const hashedLimit = 5000

// SystemDirectory is where Debian, and others by a link, keep this host's authorities one by one.
const SystemDirectory = "/etc/ssl/certs"

// A Reader reads the files of a pool. A file is parsed again only when it has changed.
type Reader struct {
	paths    string // that were read
	changing bool   // one of them is read again by the next reader
}

// File returns what the file at path holds. Its errors are to be read after the path.
func (r *Reader) File(path string) (*File, error) {
	r.paths += path + "\x00"
	return r.file(path)
}

func (r *Reader) file(path string) (*File, error) {
	f, isKept, err := readKept(path)
	r.changing = r.changing || !isKept
	return f, err
}

// Directory returns the certificates of a directory. What cannot be read is left out, as programs do.
func (r *Reader) Directory(dir string, hashed bool) (all []*x509.Certificate) {
	r.paths += dir + "\x00"
	entries, _ := os.ReadDir(dir)
	for i, entry := range entries {
		if i == hashedLimit {
			break
		}
		if hashed && !hashName.MatchString(entry.Name()) {
			continue
		}
		if f, err := r.file(filepath.Join(dir, entry.Name())); err == nil {
			all = append(all, f.All...)
		}
	}
	return all
}

// Pool returns the pool of a set that was read by r: the one that an earlier reader of these paths has returned, if the
// certificates are the same.
func (r *Reader) Pool(s Set) (Pool, error) {
	if r.changing {
		return s.Pool()
	}
	return s.keptPool(r.paths)
}

// systemBundles are where distributions keep their bundle (crypto/x509, root_linux.go).
var systemBundles = []string{
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem",
	"/etc/pki/tls/cacert.pem",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
	"/etc/ssl/cert.pem",
}

// System returns this host's authorities as they are without any variable, if a variable is set: crypto/x509 reads its
// own variables, and only once. Otherwise, and if no bundle is found, it returns none: crypto/x509 has them.
func (r *Reader) System() []*x509.Certificate {
	isSet := func(name string) bool { return os.Getenv(name) != "" }
	if !slices.ContainsFunc([]string{"SSL_CERT_FILE", "SSL_CERT_DIR"}, isSet) {
		return nil
	}
	for _, path := range systemBundles {
		if f, err := r.File(path); err == nil && len(f.All) > 0 {
			return f.All
		}
	}
	return nil
}

// An authority is one that programs are built with. Allows may limit what it vouches for; nil: it does not.
type authority struct {
	certificate *x509.Certificate
	allows      func(chain []*x509.Certificate) error
}

// builtIn are the authorities that Mozilla includes: node, Bun and Claude Code are built with that list. Theirs differ
// from this one by the time between two releases. Most daemons have no such client, and need none of it.
var builtIn = sync.OnceValue(func() (all []authority) {
	for root := range bundle.Roots() {
		if certificate, err := x509.ParseCertificate(root.Certificate); err == nil { // a later Go may refuse one
			all = append(all, authority{certificate, root.Constraint})
		}
	}
	return all
})

// A Set is what a pool is made of.
type Set struct {
	GoSystem bool // this host's authorities, as crypto/x509 finds them
	BuiltIn  bool // those that Mozilla includes
	Others   []*x509.Certificate
}

// A Pool has authorities; the zero one this host's, as crypto/x509 finds them. It must not be changed.
type Pool struct {
	*x509.CertPool
	isNew bool // what is verified by it is not kept: it is not used again
}

// Pool makes a new pool of a set.
func (s Set) Pool() (Pool, error) {
	pool := x509.NewCertPool()
	if s.GoSystem {
		var err error
		if pool, err = x509.SystemCertPool(); err != nil {
			return Pool{}, err
		}
	}
	if s.BuiltIn {
		for _, a := range builtIn() {
			if a.allows == nil {
				pool.AddCert(a.certificate)
			} else {
				pool.AddCertWithConstraint(a.certificate, a.allows)
			}
		}
	}
	for _, certificate := range s.Others {
		pool.AddCert(certificate)
	}
	return Pool{CertPool: pool, isNew: true}, nil
}
