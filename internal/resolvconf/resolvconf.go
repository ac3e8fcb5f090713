// Package resolvconf reads the files that say how a host resolves names: resolv.conf(5) and nsswitch.conf(5).
package resolvconf

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

// A Snapshot is the content of resolv.conf(5) files at one moment. Everything in a round must use the same one: a VPN
// or DHCP rewrites the file at any time.
type Snapshot struct {
	Files       []string
	Nameservers []netip.AddrPort // of all files, in their order: those that resolvers use
	Ignored     int              // nameservers beyond them
	Errors      []error          // what is wrong with the files that list no nameserver
}

// Read reads the files once.
func Read(files ...string) Snapshot {
	s := Snapshot{Files: files}
	for _, file := range files {
		servers, err := Nameservers(file)
		used := min(len(servers), MaxNameservers)
		s.Nameservers, s.Ignored = append(s.Nameservers, servers[:used]...), s.Ignored+len(servers)-used
		if err != nil {
			s.Errors = append(s.Errors, err)
		}
	}
	return s
}

// Nameservers returns the nameservers of a resolv.conf(5) file in order, with zones such as fe80::1%eth0. If there is
// none, the error says what is wrong with the file and what to do.
func Nameservers(file string) ([]netip.AddrPort, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, unreadable(file, err)
	}
	servers := ParseNameservers(text)
	switch {
	case len(servers) > 0:
		return servers, nil
	case strings.TrimSpace(string(text)) == "":
		return nil, fmt.Errorf("%s is empty: add a nameserver line", file)
	}
	return nil, fmt.Errorf("%s lists no nameserver: add a nameserver line with an address", file)
}

// A Conf is what a resolver reads from one resolv.conf(5) file.
type Conf struct {
	Nameservers []netip.AddrPort
	Search      []string      // domains that are appended to short names
	Ndots       int           // a name with as many dots is not short
	Timeout     time.Duration // musl: of a whole lookup; glibc and Go: of one query
	Attempts    int
	UseTCP      bool // options use-vc: glibc and Go query over TCP alone
}

// MaxNameservers is how many nameservers of a file resolvers use: glibc (MAXNS, resolv.conf(5)), musl (MAXNS in
// lookup.h) and Go (net/dnsconfig_unix.go).
const MaxNameservers = 3

// The options, with the defaults and the limits of resolv.conf(5), which musl has too.
const (
	defaultNdots, maxNdots       = 1, 15
	defaultTimeout, maxTimeout   = 5, 60 // seconds
	defaultAttempts, maxAttempts = 2, 10
)

// Parse reads the text of a resolv.conf(5) file. What it does not understand it ignores, as resolvers do.
func Parse(text []byte) Conf {
	c := Conf{Ndots: defaultNdots, Timeout: defaultTimeout * time.Second, Attempts: defaultAttempts}
	c.Nameservers = ParseNameservers(text)
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) < 2 || !strings.HasPrefix(line, words[0]) {
			continue
		}
		switch words[0] {
		case "search", "domain": // the last line wins
			c.Search = words[1:]
		case "options":
			for _, option := range words[1:] {
				c.option(option)
			}
		}
	}
	return c
}

func (c *Conf) option(text string) {
	name, value, _ := strings.Cut(text, ":")
	n, err := strconv.Atoi(value)
	switch {
	case name == "use-vc":
		c.UseTCP = true
	case err != nil || n < 0:
	case name == "ndots":
		c.Ndots = min(n, maxNdots)
	case name == "timeout":
		c.Timeout = time.Duration(min(max(n, 1), maxTimeout)) * time.Second
	case name == "attempts":
		c.Attempts = min(max(n, 1), maxAttempts)
	}
}

// ParseNameservers reads the nameserver lines. As in resolv.conf(5), the keyword must begin the line; invalid
// addresses are ignored.
func ParseNameservers(text []byte) (found []netip.AddrPort) {
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) < 2 || !strings.HasPrefix(line, words[0]) || words[0] != "nameserver" {
			continue
		}
		if addr, err := netip.ParseAddr(words[1]); err == nil {
			found = append(found, netip.AddrPortFrom(addr, 53))
		}
	}
	return found
}

// unreadable explains a failed open. A dangling link into /mnt/wsl is common on WSL2.
func unreadable(file string, err error) error {
	target, linkErr := os.Readlink(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && linkErr == nil:
		return fmt.Errorf("%s is a link to %s, which does not exist: %s", file, target, remedyFor(target))
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s does not exist: write a nameserver line into it", file)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("no permission to read %s: chmod a+r it, or check the unit's restrictions (%w)", file, err)
	}
	return fmt.Errorf("%s cannot be read: %w", file, err)
}

// remedyFor names the program that should have written the target of a dangling link. WSL sometimes loses its file
// when it starts (microsoft/WSL issues 11693 and 11928).
func remedyFor(target string) string {
	switch {
	case strings.Contains(target, "mnt/wsl/"):
		return "WSL did not write it: `wsl --shutdown` from Windows, or a file of your own with generateResolvConf=false in /etc/wsl.conf"
	case strings.Contains(target, "systemd/resolve"):
		return "systemd-resolved writes it: systemctl restart systemd-resolved"
	case strings.Contains(target, "NetworkManager"):
		return "NetworkManager writes it: systemctl restart NetworkManager"
	}
	return "start the service that writes it, or write a file of your own"
}
