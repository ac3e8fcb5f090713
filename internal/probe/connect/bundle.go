package connect

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/x509roots/fallback/bundle"
	"golang.org/x/sys/unix"

	"netwatchd/internal/clientrules"
	"netwatchd/internal/userfile"
)

// bundleLimit is forty times the bundle of Debian's ca-certificates. Whatever is larger is no bundle, and a device
// such as /dev/zero never ends.
const bundleLimit = 8 << 20

// readBundle reads a file of certificates, without blocking. Its errors say what is wrong, to be read after the path,
// and hold none of the content.
func readBundle(path string) ([]byte, error) {
	text, err := userfile.ReadUpTo(path, bundleLimit)
	if err != nil {
		return nil, bundleError(err)
	}
	return text, nil
}

var (
	errMissing   = errors.New("does not exist (no such file or directory)")
	errNamedPipe = errors.New("is a named pipe")
)

func bundleError(err error) error {
	if other, ok := errors.AsType[*userfile.NotRegularError](err); ok {
		switch {
		case other.Mode&fs.ModeNamedPipe != 0:
			return errNamedPipe
		case other.Mode.IsDir():
			return errors.New("is a directory")
		}
		return errors.New("is not a regular file")
	}
	errno, ofOpen := errors.AsType[unix.Errno](err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errMissing
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("is not readable for uid %d", os.Geteuid())
	case errors.Is(err, userfile.ErrTooLarge):
		return fmt.Errorf("is larger than %d MiB", bundleLimit>>20)
	case ofOpen:
		return fmt.Errorf("cannot be opened (%v)", errno)
	}
	return err
}

// certificates returns those in text that can be read, and an error if that is not all of it: a program that skips a
// damaged one, or stops there, trusts something else than its user thinks.
func certificates(text []byte) (all []*x509.Certificate, err error) {
	whole := len(beginCertificate.FindAll(text, -1))
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if !strings.HasSuffix(block.Type, "CERTIFICATE") {
			continue
		}
		if c, err := parseCertificate(block.Bytes); err == nil {
			all = append(all, c)
		}
	}
	switch {
	case whole == 0:
		return nil, errors.New("holds no certificate in PEM format")
	case len(all) < whole:
		return all, fmt.Errorf("is damaged or cut off: %d of its %d certificates can be read", len(all), whole)
	}
	return all, nil
}

// leading returns the certificates in text before the first one that is damaged or cut off.
func leading(text []byte) (all []*x509.Certificate) {
	for _, at := range beginCertificate.FindAllIndex(text, -1) {
		block, rest := pem.Decode(text[at[0]:])
		if block == nil || beginCertificate.Match(text[at[1]:len(text)-len(rest)]) { // pem.Decode has skipped a damaged one
			return all
		}
		c, err := parseCertificate(block.Bytes)
		if err != nil {
			return all
		}
		all = append(all, c)
	}
	return all
}

var beginCertificate = regexp.MustCompile(`(?m)^-----BEGIN [A-Z0-9 ]*CERTIFICATE-----`)

// parseCertificate also parses what OpenSSL calls a trusted certificate, which has more after its end.
func parseCertificate(der []byte) (*x509.Certificate, error) {
	var first asn1.RawValue
	if _, err := asn1.Unmarshal(der, &first); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(first.FullBytes)
}

// hashName matches the names that c_rehash(1) gives. Other files in such a directory are not read.
var hashName = regexp.MustCompile(`^[0-9a-f]{8}\.[0-9]+$`)

// hashedLimit bounds how many files of a directory are read: Debian's has three hundred.
const hashedLimit = 5000

// systemDirectory is where Debian, and others by a link, keep this host's authorities one by one.
const systemDirectory = "/etc/ssl/certs"

// inDirectory returns the certificates of a directory. What cannot be read is left out, as programs do.
func inDirectory(dir string, hashed bool) (all []*x509.Certificate) {
	entries, _ := os.ReadDir(dir)
	for i, entry := range entries {
		if i == hashedLimit {
			break
		}
		if hashed && !hashName.MatchString(entry.Name()) {
			continue
		}
		if text, err := readBundle(filepath.Join(dir, entry.Name())); err == nil {
			some, _ := certificates(text)
			all = append(all, some...)
		}
	}
	return all
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

// systemRoots returns this host's authorities as they are without any variable. crypto/x509 reads its own variables,
// and only once.
func systemRoots() (*x509.CertPool, error) {
	isSet := func(name string) bool { return os.Getenv(name) != "" }
	if slices.ContainsFunc([]string{"SSL_CERT_FILE", "SSL_CERT_DIR"}, isSet) {
		for _, path := range systemBundles {
			pool := x509.NewCertPool()
			if text, err := readBundle(path); err == nil && pool.AppendCertsFromPEM(text) {
				return pool, nil
			}
		}
	}
	return x509.SystemCertPool()
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

func addBuiltIn(pool *x509.CertPool) {
	for _, a := range builtIn() {
		if a.allows == nil {
			pool.AddCert(a.certificate)
		} else {
			pool.AddCertWithConstraint(a.certificate, a.allows)
		}
	}
}

// clientRoots are what the client trusts, if its variables make a difference.
type clientRoots struct {
	clientrules.Roots
	name string // of the client
	pool *x509.CertPool
	each map[clientrules.Bundle][]*x509.Certificate // of pool, those that a variable names
}

// clientRoots returns nil if the client trusts what this host does.
func (r *Options) clientRoots() (*clientRoots, error) {
	c := &clientRoots{name: r.Rules.Name, pool: x509.NewCertPool(), each: map[clientrules.Bundle][]*x509.Certificate{}}
	read := func(b clientrules.Bundle) *clientrules.UnusableError {
		text, err := readBundle(b.Path)
		if err == nil {
			c.each[b], err = certificates(text)
		}
		if err == nil {
			return nil
		}
		return &clientrules.UnusableError{
			Bundle: b, Missing: errors.Is(err, errMissing), Some: len(c.each[b]) > 0, Blocks: errors.Is(err, errNamedPipe),
			Why: err.Error(),
		}
	}
	c.Roots = r.Rules.Trusting.Roots(r.variable, read)
	if !c.Differ() {
		return nil, nil
	}
	for _, b := range c.Partial {
		read(b)
	}
	for _, b := range c.Leading {
		if text, err := readBundle(b.Path); err == nil {
			c.each[b] = leading(text)
		}
	}
	for _, b := range c.Dirs {
		c.each[b] = inDirectory(b.Path, c.Hashed)
	}
	return c, c.fill()
}

func (c *clientRoots) fill() (err error) {
	switch {
	case c.System:
		if c.pool, err = systemRoots(); err != nil {
			return err
		}
	case c.SystemDir:
		addAll(c.pool, inDirectory(systemDirectory, true))
	}
	if c.BuiltIn {
		addBuiltIn(c.pool)
	}
	for _, b := range c.Sources() {
		addAll(c.pool, c.each[b])
	}
	return nil
}

func addAll(pool *x509.CertPool, all []*x509.Certificate) {
	for _, certificate := range all {
		pool.AddCert(certificate)
	}
}
