// Package netvalue parses addresses, names and URLs that people write. Each error says what to write instead.
package netvalue

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"netwatchd/internal/strictyaml"
)

// CheckListen returns what is wrong with an address to listen on, host:port, and what to write instead.
func CheckListen(s string) error {
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
		return CheckHostname(host)
	}
	return nil
}

func checkPort(s string) error {
	if _, err := strconv.ParseUint(s, 10, 16); err != nil {
		return fmt.Errorf("%s is not a port: write a number from 0 to 65535", strictyaml.Quote(s))
	}
	return nil
}

// CheckHostname returns what is wrong with a DNS name, and what to write instead.
func CheckHostname(s string) error {
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

// ParseURL parses an absolute URL with one of the schemes. Its errors do not quote the URL, which may contain a
// password.
func ParseURL(raw string, schemes ...string) (*url.URL, error) {
	example := schemes[0] + "://example.com/"
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, fmt.Errorf("is not a URL: write it like %s", example)
	case u.User != nil:
		return nil, errors.New("contains credentials: remove the part before the @, this file must not hold secrets")
	}
	if err := CheckURL(u, schemes); err != nil {
		return nil, fmt.Errorf("%w, like %s", err, example)
	}
	return u, nil
}

// CheckURL returns what is wrong with an absolute URL that must have one of the schemes.
func CheckURL(u *url.URL, schemes []string) error {
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
		if err := CheckHostname(u.Hostname()); err != nil {
			return fmt.Errorf("has an invalid host: %w", err)
		}
	}
	return nil
}

// ParseServer parses a nameserver address. The default port is 53.
func ParseServer(s string) (netip.AddrPort, error) {
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

// ParseAddress parses an IP address.
func ParseAddress(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, fmt.Errorf("%s is not an IP address: write one without a port, like 1.1.1.1 or 2620:fe::fe",
			strictyaml.Quote(s))
	}
	return a, nil
}
