package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/exporter-toolkit/web"

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

func checkListen(s string) error {
	if strings.HasPrefix(s, "vsock://") { // supported by exporter-toolkit, for virtual machines
		return nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%s is not a listen address: write host:port, like 127.0.0.1:19405 or [::1]:19405",
			strictyaml.Quote(s))
	}
	if err := checkPort(port); err != nil {
		return err
	}
	if host != "" && net.ParseIP(host) == nil {
		return checkHostname(host)
	}
	return nil
}

func checkPort(s string) error {
	if _, err := strconv.ParseUint(s, 10, 16); err != nil {
		return fmt.Errorf("%s is not a port: write a number from 0 to 65535", strictyaml.Quote(s))
	}
	return nil
}

func checkHostname(s string) error {
	switch {
	case s == "":
		return errors.New("is empty: write a name, like chatgpt.com")
	case strings.Contains(s, "://"):
		return fmt.Errorf("%s is a URL: write the name alone, like chatgpt.com", strictyaml.Quote(s))
	case net.ParseIP(s) != nil:
		return fmt.Errorf("%s is an IP address: write a name, like chatgpt.com", strictyaml.Quote(s))
	case len(strings.TrimSuffix(s, ".")) > 253: // RFC 1035, section 2.3.4, minus the length and root octets
		return fmt.Errorf("%s is longer than the 253 characters that DNS allows: write a shorter name", strictyaml.Quote(s))
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if err := checkLabel(label); err != nil {
			return fmt.Errorf("%s %w", strictyaml.Quote(s), err)
		}
	}
	return nil
}

func checkLabel(label string) error {
	switch {
	case label == "":
		return errors.New("has an empty label: write a single dot between labels")
	case len(label) > 63: // RFC 1035, section 2.3.4
		return errors.New("has a label longer than the 63 characters that DNS allows: write a shorter name")
	}
	for _, r := range label {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
		case r > 127:
			return errors.New("is not ASCII: write the name in punycode (xn--…)")
		default:
			return fmt.Errorf("contains %q: use letters, digits, hyphens, underscores and dots", r)
		}
	}
	return nil
}

// parseURL parses an absolute URL with one of the schemes. Its errors do not quote the URL, which may contain a
// password.
func parseURL(raw string, schemes ...string) (*url.URL, error) {
	example := schemes[0] + "://example.com/"
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, fmt.Errorf("is not a URL: write it like %s", example)
	case u.User != nil:
		return nil, errors.New("contains credentials: remove the part before the @, this file must not hold secrets")
	}
	if err := checkURL(u, schemes); err != nil {
		return nil, fmt.Errorf("%w, like %s", err, example)
	}
	return u, nil
}

func checkURL(u *url.URL, schemes []string) error {
	switch {
	case u.Scheme == "":
		return errors.New("has no scheme: write a full URL")
	case !slices.Contains(schemes, u.Scheme):
		return fmt.Errorf("has the scheme %q: use %s", strictyaml.Clip(u.Scheme), strings.Join(schemes, " or "))
	case u.Hostname() == "":
		return errors.New("has no host: write a full URL")
	case strings.HasSuffix(u.Host, ":"):
		return errors.New("has a colon but no port: write a full URL")
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("has the port %s: use 1 to 65535", strictyaml.Clip(p))
		}
	}
	if net.ParseIP(strings.Split(u.Hostname(), "%")[0]) == nil {
		if err := checkHostname(u.Hostname()); err != nil {
			return fmt.Errorf("has an invalid host: %w", err)
		}
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
	_, err := parseURL(s, proxySchemes...)
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
	if err != nil || checkURL(u, proxySchemes) != nil {
		return "", errors.New("the file does not contain a proxy URL: write one line, " +
			"like http://user:password@proxy.example:3128")
	}
	return text, nil
}

// parseServer parses a nameserver address. The default port is 53.
func parseServer(s string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a, 53), nil
	}
	ap, err := netip.ParseAddrPort(s)
	switch {
	case err != nil:
		return ap, fmt.Errorf("%s is not a nameserver address: write IP or IP:port, like 9.9.9.9:53 or [2620:fe::fe]:53",
			strictyaml.Quote(s))
	case ap.Port() == 0:
		return ap, fmt.Errorf("%s has port 0: use 53, unless the nameserver listens on another port", strictyaml.Quote(s))
	}
	return ap, nil
}

func parseAddress(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, fmt.Errorf("%s is not an IP address: write one without a port, like 1.1.1.1 or 2620:fe::fe",
			strictyaml.Quote(s))
	}
	return a, nil
}

func checkCAFile(path string) error {
	b, err := readBounded(path, 4<<20) // all public roots together take a quarter of a megabyte
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", path, err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(b) {
		return errors.New("contains no certificate: use a PEM file (-----BEGIN CERTIFICATE-----)")
	}
	return nil
}

// checkKeyPair returns what is wrong with the files of a client certificate and its key.
func checkKeyPair(certFile, keyFile string) error {
	var pem [2][]byte
	for i, path := range []string{certFile, keyFile} {
		if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() { // a named pipe would block for ever
			return fmt.Errorf("%s is not a regular file: use a PEM file", path)
		}
		b, err := readBounded(path, 1<<20) // a chain takes some kilobytes
		if err != nil {
			return fmt.Errorf("cannot read %s: %w", path, err)
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
