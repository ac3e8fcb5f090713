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

// Link asks for one interface beside loopback that is up, has a carrier and an address. It fails as
// [probe.LocalNoInterface]; the addresses found are in Facts.Answers, each with its interface.
//
// A container bridge counts too, so a host may pass without a way out: that is for [Route] to say.
type Link struct{}

// netlinkDenied marks a look that had to make do with /proc, because this process may not ask the kernel over netlink.
const netlinkDenied = "netlink_denied"

// Probe looks at the interfaces.
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

// A link is an interface beside loopback.
type link struct {
	name      string
	up        bool
	carrier   bool
	addressed bool     // has an address, or one of lo's to borrow
	addresses []string // as far as they could be read
}

func openNetlink() (*netlink.Handle, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	if err := h.SetSocketTimeout(timeout); err != nil { // it would be a minute
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
	borrowed := false // routers give lo the address and leave the links unnumbered
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

// useful reports whether an address leads anywhere: a link-local one is there before DHCP has answered, and WSL keeps its
// DNS tunnel's on lo.
func useful(a netip.Addr) bool {
	return a.IsGlobalUnicast() && a != wslDNSTunnel
}

// judgeLinks says what is missing on the link that is nearest to working.
func judgeLinks(links []link) error {
	var down, dark, bare []string
	for _, l := range links {
		switch {
		case !l.up:
			down = append(down, l.name)
		case !l.carrier:
			dark = append(dark, l.name)
		case !l.addressed:
			bare = append(bare, l.name)
		default:
			return nil
		}
	}
	switch {
	case bare != nil:
		return probe.Failf(probe.LocalNoInterface, "no address on %s: has DHCP answered?", strings.Join(bare, ", "))
	case dark != nil:
		return probe.Failf(probe.LocalNoInterface, "no carrier on %s: look at the cable, the Wi-Fi or the virtual switch",
			strings.Join(dark, ", "))
	case down != nil:
		return probe.Failf(probe.LocalNoInterface, "no interface is up: ip link set %s up", strings.Join(down, "|"))
	}
	return probe.Failf(probe.LocalNoInterface, "there is no interface but loopback: "+
		"this namespace, container or machine was given no network")
}

// answersLimit keeps a container host with hundreds of bridges from filling every result.
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
