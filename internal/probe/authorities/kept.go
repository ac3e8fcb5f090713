package authorities

import (
	"crypto/x509"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sys/unix"
)

// limit bounds each of the caches: more files, pools or certificates than this are read or verified again. A
// certificate takes some kilobytes.
const limit = 4096

func cache[K comparable, V any]() *lru.Cache[K, V] {
	c, err := lru.New[K, V](limit)
	if err != nil {
		panic(err) // only a limit that is not positive
	}
	return c
}

// A keptFile is what a file held while it had this version.
type keptFile struct {
	version fileVersion
	*File
}

var files = cache[string, keptFile]()

// readKept returns what a file holds. It is parsed again when it has changed: Debian's authorities are 140 files and a
// bundle of them, and parsing all of it takes 30 ms. IsKept reports whether the next call returns the same
// certificates.
func readKept(path string) (f *File, isKept bool, err error) {
	version, known := versionOf(path) // before reading: a later change gives another version
	if k, ok := files.Get(path); ok && known && k.version == version {
		return k.File, true, nil
	}
	text, err := ReadFile(path)
	if err != nil {
		return nil, true, err // no certificates
	}
	f = parse(text)
	if known {
		files.Add(path, keptFile{version, f})
	}
	return f, known, nil
}

// A fileVersion changes when a file is replaced or written to.
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
	var s unix.Stat_t
	if err := unix.Stat(path, &s); err != nil || s.Mode&unix.S_IFMT != unix.S_IFREG {
		return fileVersion{}, false
	}
	age := time.Since(time.Unix(s.Ctim.Unix()))
	return fileVersion{s.Dev, s.Ino, s.Size, s.Ctim, s.Mtim}, age > settled
}

// A poolKey is what a pool was made of, but for the content of the files.
type poolKey struct {
	goSystem, builtIn bool
	paths             string
}

// A keptPool is the pool of a set with these other certificates.
type keptPool struct {
	others []*x509.Certificate
	pool   *x509.CertPool
}

var pools = cache[poolKey, keptPool]()

// keptPool returns the pool that it returned before for these paths, if the certificates are the same.
func (s Set) keptPool(paths string) (Pool, error) {
	key := poolKey{s.GoSystem, s.BuiltIn, paths}
	if k, ok := pools.Get(key); ok && slices.Equal(k.others, s.Others) {
		return Pool{CertPool: k.pool}, nil
	}
	pool, err := s.Pool()
	if err != nil {
		return Pool{}, err
	}
	pools.Add(key, keptPool{s.Others, pool.CertPool})
	return Pool{CertPool: pool.CertPool}, nil
}
