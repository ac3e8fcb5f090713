package config

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/exporter-toolkit/web"

	"netwatchd/internal/strictyaml"
)

// What follows says what is wrong with a value, and what to write instead. Flags, variables and the file share it.

var nameShape = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// nameLimit keeps label values short enough for a table and a chart's legend.
const nameLimit = 64

func checkName(s string) error {
	switch {
	case s == "":
		return errors.New("is empty: give a name, it becomes a label of every metric")
	case len(s) > nameLimit:
		return fmt.Errorf("is %d characters long: use at most %d, it is shown in every table", len(s), nameLimit)
	case !nameShape.MatchString(s):
		return fmt.Errorf("%s has characters that do not belong in a name: use letters, digits, and _ . - between them", strictyaml.Quote(s))
	}
	return nil
}

// reservedServices are what the daemon calls its own work in the label that also holds services' names.
var reservedServices = []string{"controls", "host", "resolvers"}

// Reserved reports whether service is a name under which the daemon files its own checks.
func Reserved(service string) bool { return slices.Contains(reservedServices, service) }

func checkServiceName(s string) error {
	if Reserved(s) {
		return fmt.Errorf("%q is what netwatchd calls its own checks: use another name", s)
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
	if strings.HasPrefix(s, "vsock://") { // exporter-toolkit's, for virtual machines
		return nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%s is not an address to listen on: write host:port, like 127.0.0.1:19405 or [::1]:19405", strictyaml.Quote(s))
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
		return fmt.Errorf("port %s is not one: write a number from 0 to 65535", strictyaml.Quote(s))
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
		return fmt.Errorf("%s is an address: write a name, like chatgpt.com", strictyaml.Quote(s))
	case len(strings.TrimSuffix(s, ".")) > 253: // RFC 1035, section 2.3.4, less the length and root octets
		return fmt.Errorf("%s is longer than the 253 characters DNS allows: write a shorter name", strictyaml.Quote(s))
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
		return errors.New("has an empty part: write one dot between two parts")
	case len(label) > 63: // RFC 1035, section 2.3.4
		return errors.New("has a part longer than the 63 characters DNS allows: write a shorter name")
	}
	for _, r := range label {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
		case r > 127:
			return errors.New("is not ASCII: write it as the DNS holds it, in punycode (xn--…)")
		default:
			return fmt.Errorf("has the character %q: a name is letters, digits, hyphens and dots", r)
		}
	}
	return nil
}

// parseURL reads an absolute URL of one of the schemes. It quotes nothing of a URL that may hold a password.
func parseURL(raw string, schemes ...string) (*url.URL, error) {
	example := schemes[0] + "://example.com/"
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, fmt.Errorf("is not a URL: write it like %s", example)
	case u.User != nil:
		return nil, errors.New("holds credentials: remove the part before the @, a configuration is no place for secrets")
	}
	if err := checkURL(u, schemes); err != nil {
		return nil, fmt.Errorf("%w, like %s", err, example)
	}
	return u, nil
}

func checkURL(u *url.URL, schemes []string) error {
	switch {
	case u.Scheme == "":
		return errors.New("has no scheme: write a whole URL")
	case !slices.Contains(schemes, u.Scheme):
		return fmt.Errorf("has the scheme %q: write %s", strictyaml.Clip(u.Scheme), strings.Join(schemes, " or "))
	case u.Hostname() == "":
		return errors.New("has no host: write a whole URL")
	case strings.HasSuffix(u.Host, ":"):
		return errors.New("has a colon and no port: write a whole URL")
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("has the port %s: write one from 1 to 65535", strictyaml.Clip(p))
		}
	}
	if net.ParseIP(strings.Split(u.Hostname(), "%")[0]) == nil {
		if err := checkHostname(u.Hostname()); err != nil {
			return fmt.Errorf("has a host that is none: %w", err)
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
		return errors.New("is not a proxy: write environment, none or a URL like http://proxy.example:3128")
	} else if u.User != nil {
		return errors.New("holds credentials: put the URL in a file only netwatchd can read, and name that in proxy_file")
	}
	_, err := parseURL(s, proxySchemes...)
	return err
}

// readProxy reads a proxy's URL, credentials and all, from a file.
func readProxy(path string) (string, error) {
	b, err := readBounded(path, 4096) // a URL; anything longer is another file
	if err != nil {
		return "", fmt.Errorf("cannot be used: %s: %w", path, err)
	}
	text := strings.TrimSpace(string(b))
	u, err := url.Parse(text)
	if err != nil || checkURL(u, proxySchemes) != nil {
		return "", errors.New("names a file that does not hold a proxy's URL: write one line into it, like http://user:password@proxy.example:3128")
	}
	return text, nil
}

// parseServer reads a nameserver's address; without a port it is 53.
func parseServer(s string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a, 53), nil
	}
	ap, err := netip.ParseAddrPort(s)
	switch {
	case err != nil:
		return ap, fmt.Errorf("%s is not a nameserver's address: write address:port, like 9.9.9.9:53 or [2620:fe::fe]:53", strictyaml.Quote(s))
	case ap.Port() == 0:
		return ap, fmt.Errorf("%s has port 0: write 53 unless it listens elsewhere", strictyaml.Quote(s))
	}
	return ap, nil
}

func parseAddress(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, fmt.Errorf("%s is not an IP address: write one without a port, like 1.1.1.1 or 2620:fe::fe", strictyaml.Quote(s))
	}
	return a, nil
}

func checkCAFile(path string) error {
	b, err := readBounded(path, 4<<20) // every root the world trusts takes a quarter of a megabyte
	if err != nil {
		return fmt.Errorf("cannot be used: %s: %w", path, err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(b) {
		return errors.New("holds no certificate: write a file of PEM certificates (-----BEGIN CERTIFICATE-----)")
	}
	return nil
}

func checkWebConfig(path string) error {
	if path == "" {
		return nil
	}
	if err := web.Validate(path); err != nil {
		return fmt.Errorf("cannot be used: %w: correct that file, or remove the key to serve plain HTTP", err)
	}
	return nil
}

func checkLevel(s string) error  { return strictyaml.OneOf("debug", "info", "warn", "error")(s) }
func checkFormat(s string) error { return strictyaml.OneOf("auto", "text", "json")(s) }
