package host

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"netwatchd/internal/probe"
)

// Link checks that one interface other than loopback is up and has a carrier and an address. It fails with
// [probe.LocalNoInterface]. Facts.Answers lists the addresses, each with its interface.
//
// A container bridge counts too, so a host without internet access may pass; [Route] detects that.
type Link struct{}

// netlinkDenied marks a check that read /proc because this process may not query the kernel over netlink.
const netlinkDenied = "netlink_denied"

// Probe checks the interfaces.
func (Link) Probe(context.Context) (facts probe.Facts, err error) {
	links, err := netlinkLinks()
	if refused(err) {
		facts.Warnings = []string{netlinkDenied}
		links, err = procLinks(os.DirFS("/"))
	}
	if err != nil {
		return facts, fmt.Errorf("listing the interfaces: %w", err)
	}
	facts.Answers = addressesOf(links)
	return facts, judgeLinks(links)
}

// A link is an interface other than loopback.
type link struct {
	name      string
	up        bool
	carrier   bool
	addressed bool     // has an address of its own, or uses one of lo
	addresses []string // empty if they could not be read
}

func openNetlink() (*netlink.Handle, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	if err := h.SetSocketTimeout(timeout); err != nil { // the default is a minute
		h.Close()
		return nil, err
	}
	return h, nil
}

func netlinkLinks() ([]link, error) {
	h, err := openNetlink()
	if err != nil {
		return nil, err
	}
	defer h.Close()
	interfaces, err := h.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, err
	}
	addresses, err := h.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, err
	}
	return joinLinks(interfaces, addresses), nil
}

func joinLinks(interfaces []netlink.Link, addresses []netlink.Addr) (links []link) {
	of := make(map[int][]string)
	for _, a := range addresses {
		if address, ok := netip.AddrFromSlice(a.IP); ok && useful(address.Unmap()) {
			of[a.LinkIndex] = append(of[a.LinkIndex], a.IPNet.String())
		}
	}
	borrowed := false // routers put the address on lo and leave the links unnumbered
	for _, i := range interfaces {
		if isLoopback(i) {
			borrowed = borrowed || len(of[i.Attrs().Index]) > 0
		}
	}
	for _, i := range interfaces {
		a := i.Attrs()
		if isLoopback(i) || a.Name == wslLoopback {
			continue
		}
		links = append(links, link{a.Name, a.RawFlags&unix.IFF_UP != 0, a.RawFlags&unix.IFF_LOWER_UP != 0,
			borrowed || len(of[a.Index]) > 0, of[a.Index]})
	}
	return links
}

func isLoopback(i netlink.Link) bool { return i.Attrs().RawFlags&unix.IFF_LOOPBACK != 0 }

// useful reports whether an address gives access to a network. A link-local address exists before DHCP has answered,
// and WSL puts the address of its DNS tunnel on lo.
func useful(a netip.Addr) bool {
	return a.IsGlobalUnicast() && a != wslDNSTunnel
}

// judgeLinks returns what is missing on the link that is closest to working.
func judgeLinks(links []link) error {
	var down, noCarrier, noAddress []string
	for _, l := range links {
		switch {
		case !l.up:
			down = append(down, l.name)
		case !l.carrier:
			noCarrier = append(noCarrier, l.name)
		case !l.addressed:
			noAddress = append(noAddress, l.name)
		default:
			return nil
		}
	}
	switch {
	case noAddress != nil:
		return probe.Failf(probe.LocalNoInterface, "no address on %s: check DHCP or the static configuration",
			strings.Join(noAddress, ", "))
	case noCarrier != nil:
		return probe.Failf(probe.LocalNoInterface, "no carrier on %s: check the cable, the Wi-Fi or the virtual switch",
			strings.Join(noCarrier, ", "))
	case down != nil:
		return probe.Failf(probe.LocalNoInterface, "no interface is up: run `ip link set %s up`", strings.Join(down, "|"))
	}
	return probe.Failf(probe.LocalNoInterface, "no interface but loopback: "+
		"this namespace, container or machine has no network")
}

// answersLimit keeps results small on a container host with hundreds of bridges.
const answersLimit = 8

func addressesOf(links []link) (answers []string) {
	for _, l := range links {
		for _, a := range l.addresses {
			if len(answers) < answersLimit {
				answers = append(answers, l.name+" "+a)
			}
		}
	}
	return answers
}
