package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"

	"netwatchd/internal/probe"
)

// ResolvConf asks whether resolv.conf(5) names a nameserver. It fails as [probe.DNSNoNameserver] if none of the files does,
// and says what is wrong with each; the nameservers are in Facts.Answers.
//
// The C library then asks 127.0.0.1, so that on a host with a resolver of its own names may still resolve.
type ResolvConf struct{ Files []string }

// Probe reads the files.
func (r ResolvConf) Probe(context.Context) (facts probe.Facts, err error) {
	var faults []error
	for _, file := range r.Files {
		found, err := nameserversIn(file)
		for _, a := range found {
			facts.Answers = append(facts.Answers, a.String())
		}
		if err != nil {
			faults = append(faults, err)
		}
	}
	if len(r.Files) == 0 || len(facts.Answers) > 0 {
		return facts, nil
	}
	return facts, probe.Fail(probe.DNSNoNameserver, errors.Join(faults...))
}

// nameserversIn returns the nameservers a file names, and an error with a remedy if there are none.
func nameserversIn(file string) ([]netip.Addr, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, unreadable(file, err)
	}
	found := nameservers(text)
	switch {
	case found != nil:
		return found, nil
	case strings.TrimSpace(string(text)) == "":
		return nil, fmt.Errorf("%s is empty: add a nameserver line", file)
	}
	return nil, fmt.Errorf("%s has no nameserver line: add one", file)
}

func unreadable(file string, err error) error {
	target, linkErr := os.Readlink(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && linkErr == nil:
		return fmt.Errorf("%s is a link to %s, which does not exist: %s", file, target, remedyFor(target))
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s does not exist: write a nameserver line into it", file)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s must not be read: chmod a+r it, or look at the unit's restrictions (%w)", file, err)
	}
	return fmt.Errorf("%s cannot be read: %w", file, err)
}

// remedyFor says who should have written the target of a dangling link. WSL's is lost now and then when the machine starts
// (microsoft/WSL issues 11693 and 11928).
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

// nameservers reads the nameserver lines, as resolv.conf(5) has them: the keyword starts the line.
func nameservers(text []byte) (found []netip.Addr) {
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 || !strings.HasPrefix(line, "nameserver") || f[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(f[1]); err == nil {
			found = append(found, a)
		}
	}
	return found
}
