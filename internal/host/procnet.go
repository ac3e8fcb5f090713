package host

import (
	"encoding/hex"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// This file reads from /proc what netlink would report, for a process that may not open a netlink socket (the Codex
// sandbox, a unit without AF_NETLINK). See proc_net(5). It does not support policy routing.

// interfaceNames lists the interfaces other than lo.
func interfaceNames(proc fs.FS) ([]string, error) {
	lines, err := linesOf(proc, "self/net/dev")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, line := range lines[min(2, len(lines)):] { // the first two lines are headings
		name, _, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); ok && name != "lo" {
			names = append(names, name)
		}
	}
	return names, nil
}

func procLinks(root fs.FS) ([]link, error) {
	proc, err := fs.Sub(root, "proc")
	if err != nil {
		return nil, err
	}
	names, err := interfaceNames(proc)
	if err != nil {
		return nil, err
	}
	addressed := append(numbered6(proc), routed4(proc)...)
	var links []link
	for _, name := range names {
		if name == wslLoopback {
			continue
		}
		up, carrier := stateOf(root, name)
		links = append(links, link{name: name, up: up, carrier: carrier, addressed: slices.Contains(addressed, name)})
	}
	return links, nil
}

// stateOf reads sysfs. Some sandboxes hide it: a state that cannot be read counts as good.
func stateOf(root fs.FS, name string) (up, carrier bool) {
	flags, known := number(root, "sys/class/net/"+name+"/flags")
	if known && flags&unix.IFF_UP == 0 {
		return false, false // reading the carrier of a link that is down fails with EINVAL
	}
	carrierValue, known := number(root, "sys/class/net/"+name+"/carrier")
	return true, !known || carrierValue == 1
}

func number(root fs.FS, name string) (n uint64, known bool) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	n, err = strconv.ParseUint(strings.TrimSpace(string(text)), 0, 64)
	return n, err == nil
}

// numbered6 lists the interfaces with a useful IPv6 address.
func numbered6(proc fs.FS) (names []string) {
	lines, _ := linesOf(proc, "self/net/if_inet6") // absent without IPv6
	for _, line := range lines {
		if f := strings.Fields(line); len(f) == 6 {
			if a, ok := address6(f[0]); ok && useful(a) {
				names = append(names, f[5])
			}
		}
	}
	return names
}

// routed4 lists the interfaces with an IPv4 route. No file lists IPv4 addresses, but each address adds a route.
func routed4(proc fs.FS) (names []string) {
	for _, r := range routes4(proc) {
		names = append(names, r.device)
	}
	return names
}

// procRouter returns the same lookup as [router], but uses the main routing table only.
func procRouter(proc fs.FS) func(netip.Addr) error {
	routes := append(routes4(proc), routes6(proc)...)
	return func(to netip.Addr) error {
		for _, r := range routes {
			if r.prefix.Contains(to) {
				return nil
			}
		}
		return unix.ENETUNREACH
	}
}

type route struct {
	prefix netip.Prefix
	device string
}

// usable tests the flags of a route (linux/route.h).
func usable(flags uint64) bool { return flags&unix.RTF_UP != 0 && flags&unix.RTF_REJECT == 0 }

func routes4(proc fs.FS) (routes []route) {
	lines, _ := linesOf(proc, "self/net/route")
	for _, line := range lines {
		f := strings.Fields(line) // Iface Destination Gateway Flags RefCnt Use Metric Mask …
		if len(f) < 8 {
			continue
		}
		to, ok := address4(f[1])
		mask, ok2 := address4(f[7])
		flags, err := strconv.ParseUint(f[3], 16, 32)
		if ok && ok2 && err == nil && usable(flags) {
			routes = append(routes, route{netip.PrefixFrom(to, ones(mask)), f[0]})
		}
	}
	return routes
}

func routes6(proc fs.FS) (routes []route) {
	lines, _ := linesOf(proc, "self/net/ipv6_route")
	for _, line := range lines {
		f := strings.Fields(line) // destination length source length nexthop metric refcount use flags device
		if len(f) < 10 {
			continue
		}
		to, ok := address6(f[0])
		length, err := strconv.ParseUint(f[1], 16, 8)
		flags, err2 := strconv.ParseUint(f[8], 16, 32)
		if ok && err == nil && err2 == nil && usable(flags) {
			routes = append(routes, route{netip.PrefixFrom(to, int(length)), f[9]})
		}
	}
	return routes
}

// gateways lists the IPv4 default gateways.
func gateways(root fs.FS) (found []netip.Addr) {
	lines, _ := linesOf(root, "proc/self/net/route")
	for _, line := range lines {
		f := strings.Fields(line)
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		if a, ok := address4(f[2]); ok {
			found = append(found, a)
		}
	}
	return found
}

// address4 parses an address as /proc/net/route writes it: a hexadecimal number in the host's byte order, which is
// little endian on every machine that netwatchd supports.
func address4(text string) (netip.Addr, bool) {
	b, err := hex.DecodeString(text)
	if err != nil {
		return netip.Addr{}, false
	}
	slices.Reverse(b)
	a, ok := netip.AddrFromSlice(b)
	return a, ok && a.Is4()
}

func address6(text string) (netip.Addr, bool) {
	b, err := hex.DecodeString(text)
	if err != nil {
		return netip.Addr{}, false
	}
	a, ok := netip.AddrFromSlice(b)
	return a, ok && a.Is6()
}

func ones(mask netip.Addr) (n int) {
	for _, b := range mask.As4() {
		for ; b&0x80 != 0; b <<= 1 {
			n++
		}
	}
	return n
}

func linesOf(fsys fs.FS, name string) ([]string, error) {
	text, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n"), nil
}
