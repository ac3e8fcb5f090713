package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"netwatchd/internal/probe"
)

// Route asks the kernel which way it would send a packet to a public address, and sends none. That answers for policy
// routing and for VPNs that halve the default route, too. It fails as [probe.LocalNoRoute] if neither family has a way,
// [probe.LocalDenied] if the routing table forbids it; the families that have one are in Facts.Signals: "ipv4", "ipv6".
type Route struct{}

// publicAddresses are asked about, never spoken to: any public address does, and these two stay public.
var publicAddresses = []struct {
	family  string
	address netip.Addr
}{
	{"ipv4", netip.MustParseAddr("1.1.1.1")},
	{"ipv6", netip.MustParseAddr("2606:4700:4700::1111")},
}

// Probe asks for both families.
func (Route) Probe(context.Context) (facts probe.Facts, err error) {
	ask, done, err := router()
	if refused(err) {
		facts.Warnings = []string{netlinkDenied}
		ask, done, err = procRouter(os.DirFS("/proc")), func() {}, nil
	}
	if err != nil {
		return facts, fmt.Errorf("asking for a route: %w", err)
	}
	defer done()
	var refusals refusal
	for _, public := range publicAddresses {
		if err := ask(public.address); err != nil {
			refusals = append(refusals, fmt.Errorf("%s: %w", public.family, err))
			continue
		}
		facts.Signals = append(facts.Signals, public.family)
	}
	return facts, judgeRoutes(len(facts.Signals) > 0, refusals)
}

func judgeRoutes(found bool, no refusal) error {
	switch {
	case found:
		return nil
	case errors.Is(no, unix.EACCES):
		return probe.Failf(probe.LocalDenied, "the routing table prohibits the way out (%w): look for prohibit in ip rule and ip route", no)
	}
	return probe.Failf(probe.LocalNoRoute, "no route to a public address (%w): is there a default route? See ip route", no)
}

// refusal is why there is no way, for each family.
type refusal []error

func (r refusal) Unwrap() []error { return r }

func (r refusal) Error() string {
	words := make([]string, len(r))
	for i, err := range r {
		words[i] = err.Error()
	}
	return strings.Join(words, "; ")
}

var errNoSource = errors.New("there is a route, but no address to send from")

// router returns a question to the kernel: nil if it knows a way to an address.
func router() (ask func(netip.Addr) error, done func(), err error) {
	h, err := openNetlink()
	if err != nil {
		return nil, nil, err
	}
	return func(to netip.Addr) error {
		routes, err := h.RouteGet(net.IP(to.AsSlice()))
		if err != nil {
			return err
		}
		for _, r := range routes {
			if from, ok := netip.AddrFromSlice(r.Src); ok && from.Unmap().IsGlobalUnicast() {
				return nil
			}
		}
		// A router may announce itself without a prefix: then IPv6 has a default route and nothing but link-local addresses.
		return errNoSource
	}, h.Close, nil
}
