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

// Route asks the kernel how it would route a packet to a public address, and sends none. That covers policy routing
// and VPNs that split the default route into halves. It fails with [probe.LocalNoRoute] if neither address family has
// a route, and with [probe.LocalDenied] if the routing table prohibits it. Facts.Signals lists the families with a
// route: "ipv4", "ipv6".
type Route struct{}

// publicAddresses are looked up in the routing table and never contacted. Any public address would do; these stay
// public.
var publicAddresses = []struct {
	family  string
	address netip.Addr
}{
	{"ipv4", netip.MustParseAddr("1.1.1.1")},
	{"ipv6", netip.MustParseAddr("2606:4700:4700::1111")},
}

// Probe looks up a route for both families.
func (Route) Probe(context.Context) (facts probe.Facts, err error) {
	lookup, done, err := router()
	if refused(err) {
		facts.Warnings = []string{netlinkDenied}
		lookup, done, err = procRouter(os.DirFS("/proc")), func() {}, nil
	}
	if err != nil {
		return facts, fmt.Errorf("looking up a route: %w", err)
	}
	defer done()
	var failures routeErrors
	for _, public := range publicAddresses {
		if err := lookup(public.address); err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", public.family, err))
			continue
		}
		facts.Signals = append(facts.Signals, public.family)
	}
	return facts, judgeRoutes(len(facts.Signals) > 0, failures)
}

func judgeRoutes(found bool, failures routeErrors) error {
	switch {
	case found:
		return nil
	case errors.Is(failures, unix.EACCES):
		return probe.Failf(probe.LocalDenied, "the routing table prohibits outgoing traffic (%w): "+
			"look for `prohibit` in `ip rule` and `ip route`", failures)
	}
	return probe.Failf(probe.LocalNoRoute, "no route to a public address (%w): "+
		"check the default route with `ip route`", failures)
}

// routeErrors holds the reason for each family without a route.
type routeErrors []error

func (r routeErrors) Unwrap() []error { return r }

func (r routeErrors) Error() string {
	words := make([]string, len(r))
	for i, err := range r {
		words[i] = err.Error()
	}
	return strings.Join(words, "; ")
}

var errNoSource = errors.New("there is a route, but no source address")

// router returns a lookup in the kernel's routing tables, which returns nil if there is a route to the address.
func router() (lookup func(netip.Addr) error, done func(), err error) {
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
		// A router may announce itself without a prefix. Then IPv6 has a default route but only link-local addresses.
		return errNoSource
	}, h.Close, nil
}
