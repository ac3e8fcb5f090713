package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/exporter-toolkit/web"

	"netwatchd/internal/netvalue"
	"netwatchd/internal/strictyaml"
)

// These checks return what is wrong with a value, and what to write instead. Flags, variables and the file share them.

var nameShape = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// nameLimit keeps label values short enough for tables and chart legends.
const nameLimit = 64

func checkName(s string) error {
	switch {
	case s == "":
		return errors.New("is empty: write a name (it becomes a metric label)")
	case len(s) > nameLimit:
		return fmt.Errorf("is %d characters long: use at most %d", len(s), nameLimit)
	case !nameShape.MatchString(s):
		return fmt.Errorf("%s is not a valid name: use letters, digits, and _ . - after the first character",
			strictyaml.Quote(s))
	}
	return nil
}

// reservedServices are the values of the service label for the daemon's own probes.
var reservedServices = []string{"controls", "host", "resolvers"}

// Reserved reports whether service is the label value of the daemon's own probes.
func Reserved(service string) bool { return slices.Contains(reservedServices, service) }

func checkServiceName(s string) error {
	if Reserved(s) {
		return fmt.Errorf("%q is reserved for netwatchd's own probes: choose another name", s)
	}
	return checkName(s)
}

func checkNotEmpty(s string) error {
	if strings.TrimSpace(s) == "" {
		return errors.New("is empty: write a value, or remove the key")
	}
	return nil
}

var proxySchemes = []string{"http", "https", "socks5", "socks5h"}

func checkProxy(s string) error {
	if s == "environment" || s == "none" {
		return nil
	}
	if u, err := url.Parse(s); err != nil || u.Scheme == "" {
		return errors.New("is not a proxy: write environment, none or a URL, like http://proxy.example:3128")
	} else if u.User != nil {
		return errors.New("contains credentials: put the URL in a file that only netwatchd can read, " +
			"and set proxy_file to its path")
	}
	_, err := netvalue.ParseURL(s, proxySchemes...)
	return err
}

// readProxy reads a proxy URL, which may have credentials, from a file.
func readProxy(path string) (string, error) {
	b, err := readBounded(path, 4096) // long enough for any URL
	if err != nil {
		return "", fmt.Errorf("cannot read %s: %w", path, err)
	}
	text := strings.TrimSpace(string(b))
	u, err := url.Parse(text)
	if err != nil || netvalue.CheckURL(u, proxySchemes) != nil {
		return "", errors.New("the file does not contain a proxy URL: write one line, " +
			"like http://user:password@proxy.example:3128")
	}
	return text, nil
}

func checkCAFile(path string) error {
	b, err := readPEM(path, 4<<20) // all public roots together take a quarter of a megabyte
	if err != nil {
		return err
	}
	if !x509.NewCertPool().AppendCertsFromPEM(b) {
		return errors.New("contains no certificate: use a PEM file (-----BEGIN CERTIFICATE-----)")
	}
	return nil
}

// readPEM reads a file of certificates or keys. A named pipe would block for ever.
func readPEM(path string, limit int64) ([]byte, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil, fmt.Errorf("%s is not a regular file: use a PEM file", path)
	}
	b, err := readBounded(path, limit)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	return b, nil
}

// checkKeyPair returns what is wrong with the files of a client certificate and its key.
func checkKeyPair(certFile, keyFile string) error {
	var pem [2][]byte
	for i, path := range []string{certFile, keyFile} {
		b, err := readPEM(path, 1<<20) // a chain takes some kilobytes
		if err != nil {
			return err
		}
		pem[i] = b
	}
	if _, err := tls.X509KeyPair(pem[0], pem[1]); err != nil {
		return fmt.Errorf("cert_file and key_file cannot be used (%w): use a PEM certificate and its unencrypted key", err)
	}
	return nil
}

func checkWebConfig(path string) error {
	if path == "" {
		return nil
	}
	if err := web.Validate(path); err != nil {
		return fmt.Errorf("invalid web configuration: %w: fix that file, or remove the key to serve plain HTTP", err)
	}
	return nil
}

func checkLevel(s string) error  { return strictyaml.OneOf("debug", "info", "warn", "error")(s) }
func checkFormat(s string) error { return strictyaml.OneOf("auto", "text", "json")(s) }
