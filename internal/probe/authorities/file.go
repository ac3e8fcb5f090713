package authorities

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"

	"netwatchd/internal/userfile"
)

// fileLimit is forty times the bundle of Debian's ca-certificates. Whatever is larger is no bundle, and a device
// such as /dev/zero never ends.
const fileLimit = 8 << 20

// ReadFile reads a file of certificates, without blocking. Its errors say what is wrong, to be read after the path,
// and hold none of the content.
func ReadFile(path string) ([]byte, error) {
	text, err := userfile.ReadUpTo(path, fileLimit)
	if err != nil {
		return nil, readError(err)
	}
	return text, nil
}

// The errors of ReadFile that callers tell apart.
var (
	ErrMissing   = errors.New("does not exist (no such file or directory)")
	ErrNamedPipe = errors.New("is a named pipe")
)

func readError(err error) error {
	if other, ok := errors.AsType[*userfile.NotRegularError](err); ok {
		switch {
		case other.Mode&fs.ModeNamedPipe != 0:
			return ErrNamedPipe
		case other.Mode.IsDir():
			return errors.New("is a directory")
		}
		return errors.New("is not a regular file")
	}
	errno, ofOpen := errors.AsType[unix.Errno](err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ErrMissing
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("is not readable for uid %d", os.Geteuid())
	case errors.Is(err, userfile.ErrTooLarge):
		return fmt.Errorf("is larger than %d MiB", fileLimit>>20)
	case ofOpen:
		return fmt.Errorf("cannot be opened (%v)", errno)
	}
	return err
}

// A File is what a file in PEM format holds.
type File struct {
	All     []*x509.Certificate // those that can be read
	Leading []*x509.Certificate // of All, those before the first one that is damaged or cut off

	// Damage says why All is not all of the file, to be read after the path. A program that skips a damaged certificate,
	// or stops there, trusts something else than its user thinks.
	Damage error
}

func parse(text []byte) *File {
	f := new(File)
	if f.All, f.Damage = certificates(text); f.Damage == nil {
		f.Leading = f.All
	} else {
		f.Leading = leading(text)
	}
	return f
}

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
