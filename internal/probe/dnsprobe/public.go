package dnsprobe

import (
	"context"
	"strings"

	"github.com/miekg/dns"

	"netwatchd/internal/probe"
)

// A PublicLookup looks a name up at a public nameserver. If the name does not exist there, it finds out whether that
// proves anything: a name under a zone that the public DNS does not have may exist on the nameservers of a company or a
// VPN. Then the facts have the warning [probe.WarnNotPublic].
type PublicLookup struct{ Lookup }

// Probe makes the lookup and, after NXDOMAIN, one more query.
func (p *PublicLookup) Probe(ctx context.Context) (probe.Facts, error) {
	facts, err := p.Lookup.Probe(ctx)
	if probe.Classify(probe.Resolve, err) == probe.DNSNameNotResolved && p.isNotPublic(ctx) {
		facts.Warnings = append(facts.Warnings, probe.WarnNotPublic)
	}
	return facts, err
}

// isNotPublic reports whether the name's parent does not exist either: api.corp-internal.net while corp-internal.net
// has no public delegation. A parent of one label is not queried for: the names that are never delegated are known,
// and example.com below com is a domain that has expired.
func (p *PublicLookup) isNotPublic(ctx context.Context) bool {
	if isNeverDelegated(p.Name) {
		return true
	}
	_, parent, _ := strings.Cut(strings.TrimSuffix(p.Name, "."), ".")
	if !strings.Contains(parent, ".") {
		return false
	}
	r, err := queryEach(ctx, p.Nameservers, question{parent, dns.TypeSOA})
	return err == nil && r.answered && r.rcode == dns.RcodeNameError
}

// isNeverDelegated reports whether name is in a domain that the public DNS will never have: those of isPrivateName, and
// those that sites use by themselves (RFC 6762, appendix G; ICANN keeps corp, home and mail back for their sake).
func isNeverDelegated(name string) bool {
	if isPrivateName(name) {
		return true
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	switch name[strings.LastIndexByte(name, '.')+1:] {
	case "corp", "home", "mail", "lan", "intranet", "private", "localdomain":
		return true
	}
	return false
}
