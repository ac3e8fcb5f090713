package watch

import (
	"net/netip"
	"slices"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
)

// A name may have several addresses, and one attempt uses one of them: the first that connects. Confirming rounds
// therefore make the attempt at each of them, side by side, so that one broken address is not mistaken for the service,
// nor hidden by the others. Regular rounds do so only while an address fails, so that a healthy service gets no
// additional requests.

// An attemptEnd is how the latest attempt of a probe ended.
type attemptEnd struct {
	start     time.Time
	class     probe.Class
	troubled  bool         // an address or a family did not connect, and another one was used
	proxied   bool         // by a proxy
	addresses []netip.Addr // of the name, if the attempt connected to one of them itself
}

func endOf(r probe.Result) attemptEnd {
	return attemptEnd{start: r.Start, class: r.Class, troubled: r.OK() && hasAddressTrouble(r), proxied: r.Proxy != "",
		addresses: addressesOf(r)}
}

// hasAddressTrouble reports whether r connected only after another address had failed or had not answered in time.
func hasAddressTrouble(r probe.Result) bool {
	return slices.ContainsFunc(r.Warnings, func(name string) bool {
		switch name {
		case probe.WarnIPv4Failed, probe.WarnIPv4Slow, probe.WarnIPv6Failed, probe.WarnIPv6Slow,
			probe.WarnAddressFailed, probe.WarnAddressSlow:
			return true
		}
		return false
	})
}

// addressesOf returns the addresses that r could connect to. There are none if it failed to resolve the name, if a
// proxy made the connection, or if it is a stream that was dropped while it was held: a round holds none.
func addressesOf(r probe.Result) []netip.Addr {
	request := r.Kind == probe.KindHTTP || r.Kind == probe.KindStream && !failedWhileHeld(r)
	if !request || r.Role != probe.OfService || r.Vantage != probe.FromHost || r.Proxy != "" || r.Phase <= probe.Resolve {
		return nil
	}
	return outcome.Addresses(&r)
}

// addressLimit bounds the addresses of one name that are probed in a round: four of each family. A large CDN returns
// up to eight of a family; a broken one shows among four with the next answers at the latest, because servers rotate
// them.
const addressLimit = 8

// roundAddressLimit bounds the attempts at single addresses in one round, over all probes of the service: two probes
// with eight addresses each. It keeps the burst of a confirming round below fifty connections.
const roundAddressLimit = 16

// atEachAddress returns the attempts to make at each address of the service's names. Latest returns how each probe
// ended last. A probe that succeeds needs none if its name has a single address. A stream that succeeds needs none
// either: it is the longest probe, and its address is tried by HTTP too. A lookup of NAT64 prefixes is added if one of
// the addresses is an IPv6 address.
func (s *Service) atEachAddress(latest func(Task) (attemptEnd, bool)) []*probe.Probe {
	var all []*probe.Probe
	six := false
	for _, t := range s.Tasks {
		if t.AtAddress == nil {
			continue
		}
		last, known := latest(t)
		if !known || last.class == probe.OK && (len(last.addresses) == 1 || t.Kind == probe.KindStream) {
			continue
		}
		for _, addr := range familiesInTurn(last.addresses, addressLimit) {
			if len(all) < roundAddressLimit {
				all = append(all, t.AtAddress(addr))
				six = six || addr.Is6()
			}
		}
	}
	if six && s.PrefixProbe != nil {
		all = append(all, s.PrefixProbe)
	}
	return all
}

// familiesInTurn returns up to limit of the addresses, in their order, IPv6 and IPv4 by turns.
func familiesInTurn(addrs []netip.Addr, limit int) []netip.Addr {
	var families [2][]netip.Addr
	for _, a := range addrs {
		family := 0
		if a.Is4() {
			family = 1
		}
		families[family] = append(families[family], a)
	}
	var turns []netip.Addr
	for i := range max(len(families[0]), len(families[1])) {
		for _, family := range families {
			if i < len(family) && len(turns) < limit {
				turns = append(turns, family[i])
			}
		}
	}
	return turns
}

// addressProbes returns the attempts at single addresses for a round of s.
func (s *service) addressProbes(confirming bool) []*probe.Probe {
	if !confirming && !s.addressFails {
		return nil
	}
	return s.atEachAddress(func(t Task) (attemptEnd, bool) {
		last, known := s.latest[probeKey{t.Name, t.Vantage}]
		return last, known
	})
}

// observeAddresses notes from the results of a round whether an address fails.
func (s *service) observeAddresses(results []probe.Result) {
	asked, fails := false, false
	for _, r := range results {
		if r.Role == probe.ServiceAddress {
			asked = true
			fails = fails || !r.OK() && r.Class.Layer() != "local"
		}
	}
	if asked {
		s.addressFails = fails
		if s.addressRounds++; !fails {
			s.addressesFine, s.addressRounds = time.Now(), 0
		}
	}
}

// isAddressAnswer reports whether v is about a wrong answer at one address. What answers once as it should not may be
// any of the servers behind any address: the next round shows whether it is that one.
func isAddressAnswer(v diagnose.Verdict) bool {
	return v.Cause == causes.Degraded && len(v.Evidence) > 0 && v.Evidence[0].Role == probe.ServiceAddress &&
		v.Evidence[0].Phase >= probe.Request
}

// addressQuiet is how long a success with address trouble starts no confirming round after one in which all addresses
// answered: on a network where IPv6 takes 250 ms longer than IPv4 every attempt has that warning.
const addressQuiet = 10 * time.Minute

// isSuspicious reports whether an attempt that ended as now, after before, calls for a confirming round.
func (s *service) isSuspicious(before, now attemptEnd) bool {
	if before.class != now.class {
		return true
	}
	return now.troubled && !before.troubled && (s.addressesFine.IsZero() || time.Since(s.addressesFine) > addressQuiet)
}

// reachedAddresses returns what the service's name resolved to, if r succeeded.
func reachedAddresses(r probe.Result) []netip.Addr {
	if !r.OK() || r.Role != probe.OfService || r.Vantage != probe.FromHost {
		return nil
	}
	return outcome.Addresses(&r)
}
