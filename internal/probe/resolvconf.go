package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// Nameservers reads the nameservers of a resolv.conf(5) file, in its order, a zone like fe80::1%eth0 kept. The error says
// what is wrong with the file when it names none; lines that are not addresses are passed over, as resolvers do.
func Nameservers(file string) ([]netip.AddrPort, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, unreadable(file, err)
	}
	var servers []netip.AddrPort
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line) // a comment's first word is no "nameserver"
		if len(words) < 2 || words[0] != "nameserver" {
			continue
		}
		if addr, err := netip.ParseAddr(words[1]); err == nil {
			servers = append(servers, netip.AddrPortFrom(addr, dnsPort))
		}
	}
	switch {
	case len(servers) > 0:
		return servers, nil
	case len(strings.TrimSpace(string(text))) == 0:
		return nil, fmt.Errorf("%s is empty: it needs a line like \"nameserver 192.0.2.1\"", file)
	}
	return nil, fmt.Errorf("%s has no nameserver line with an address: it needs one like \"nameserver 192.0.2.1\"", file)
}

// unreadable tells apart what an open that failed may mean; a link into /mnt/wsl that leads nowhere is a classic of WSL2.
func unreadable(file string, err error) error {
	info, lerr := os.Lstat(file)
	switch {
	case errors.Is(lerr, fs.ErrNotExist):
		return fmt.Errorf("%s is missing: create it, or let the service that manages it do so: %w", file, err)
	case lerr == nil && info.Mode()&fs.ModeSymlink != 0 && errors.Is(err, fs.ErrNotExist):
		to, _ := os.Readlink(file)
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(file), to)
		}
		return fmt.Errorf("%s is a dangling symlink to %s: start what should write that file, or replace the link: %w", file, to, err)
	}
	return fmt.Errorf("%s cannot be read: check its permissions: %w", file, err)
}
