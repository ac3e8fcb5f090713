// Package dnsprobe looks names up, one at a time or by the thousand over shared sockets.
//
// message.go writes and reads DNS messages; it is the only file that knows both DNS libraries. exchange.go asks one nameserver,
// pool.go shares sockets among lookups, and system.go resolves as a client of this host would.
package dnsprobe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"netwatchd/internal/probe"
)

// A Lookup looks a name up. It keeps nothing between attempts: it is safe for concurrent use and costs only its fields.
type Lookup struct {
	Name        string
	Types       []string         // A, AAAA, TXT, …; none: A
	Nameservers []netip.AddrPort // asked in turn until one answers; none: the system's, as a client would
	Expect      Expect
}

// Expect is the one answer that counts as success; its zero value is content with any record of each type.
type Expect struct {
	Answers  []string // exactly these, in any order
	NXDomain bool     // the name must not exist: whoever makes up an answer rewrites
}

// Warnings of a lookup.
const (
	warnNoAAAA      = "dns_no_aaaa"                 // the name has IPv4 addresses only
	warnAFailed     = "dns_a_failed"                // the other family's addresses had to do
	warnAAAAFailed  = "dns_aaaa_failed"             // likewise
	warnFirstFailed = "dns_first_nameserver_failed" // works, but each lookup waits for a dead nameserver first
	warnHostsFile   = "dns_hosts_file"              // no nameserver was asked: /etc/hosts has the name
	warnNotAsked    = "dns_not_asked"               // no nameserver was asked, and /etc/hosts has it not: nsswitch.conf
)

// Probe asks for every type at once, each by itself.
func (d Lookup) Probe(ctx context.Context) (probe.Facts, error) {
	types, err := recordTypes(d.Types)
	if err != nil {
		return probe.Facts{Phase: probe.Resolve}, probe.Fail(probe.Internal, err)
	}
	start := time.Now()
	return d.conclude(start, resolve(ctx, d.Nameservers, d.Name, types))
}

// conclude says what came of a lookup that began at start.
func (d Lookup) conclude(start time.Time, a asked) (probe.Facts, error) {
	facts := probe.Facts{Phase: probe.Resolve}
	facts.Phases[probe.Resolve] = probe.InSeconds(time.Since(start))
	facts.Answers = a.texts()
	decisive, verdict := d.judge(a)
	facts.Server, facts.RCode = decisive.server, decisive.rcodeText()
	facts.Warnings = a.warnings(verdict == nil)
	return facts, verdict
}

func recordTypes(names []string) ([]uint16, error) {
	if len(names) == 0 {
		return []uint16{dns.TypeA}, nil
	}
	types := make([]uint16, len(names))
	for i, name := range names {
		qtype, known := dns.StringToType[name]
		if !known {
			qtype, known = dns.StringToType[strings.ToUpper(name)]
		}
		if !known {
			return nil, fmt.Errorf("unknown record type %q: use A, AAAA, CNAME, TXT or another of the DNS", name)
		}
		types[i] = qtype
	}
	return types, nil
}

// An outcome is how the question for one type ended: err is nil if the reply holds a record.
type outcome struct {
	reply
	qtype uint16
	err   error
}

func (o outcome) rcodeText() string {
	if !o.answered {
		return ""
	}
	return rcodeName(o.rcode)
}

// asked is how the questions of one lookup ended, in the order of the types.
type asked []outcome

// resolve asks the nameservers, or the system if there are none, for every type.
func resolve(ctx context.Context, servers []netip.AddrPort, name string, types []uint16) asked {
	if len(servers) == 0 {
		return resolveAsSystem(ctx, name, types)
	}
	a := make(asked, len(types))
	one := func(i int) {
		q := question{name, types[i]}
		r, err := ask(ctx, servers, q)
		if err == nil {
			err = r.failure(q)
		}
		a[i] = outcome{r, types[i], err}
	}
	if len(types) == 1 {
		one(0)
		return a
	}
	var others sync.WaitGroup
	for i := range types[1:] {
		others.Go(func() { one(i + 1) })
	}
	one(0)
	others.Wait()
	return a
}

func (a asked) of(qtype uint16) (outcome, bool) {
	i := slices.IndexFunc(a, func(o outcome) bool { return o.qtype == qtype })
	if i < 0 {
		return outcome{}, false
	}
	return a[i], true
}

func (a asked) addrs() []netip.Addr {
	var addrs []netip.Addr
	for _, o := range a {
		addrs = append(addrs, o.addrs...)
	}
	return addrs
}

// texts are all answers, once each, the addresses in order, so that two attempts with the same answer read the same.
func (a asked) texts() []string {
	addrs := a.addrs()
	slices.SortFunc(addrs, netip.Addr.Compare)
	texts := make([]string, 0, len(addrs))
	for _, addr := range slices.Compact(addrs) {
		texts = append(texts, addr.String())
	}
	for _, o := range a {
		slices.Sort(o.records)
		texts = append(texts, o.records...)
	}
	return texts
}

func (a asked) warnings(fine bool) []string {
	var warnings []string
	if slices.ContainsFunc(a, func(o outcome) bool { return o.conclusive() && o.failed > 0 }) {
		warnings = append(warnings, warnFirstFailed)
	}
	if slices.ContainsFunc(a, func(o outcome) bool { return o.err == nil && o.server == "" }) {
		warnings = append(warnings, warnHostsFile)
	}
	if slices.ContainsFunc(a, func(o outcome) bool { return errors.Is(o.err, errNotAsked) }) {
		warnings = append(warnings, warnNotAsked)
	}
	if six, ok := a.of(dns.TypeAAAA); ok && len(a) > 1 && fine && isNoData(six.err) {
		warnings = append(warnings, warnNoAAAA)
	}
	return warnings
}

// judge returns the first thing wrong with the answers and the outcome that shows it, or the first outcome if all is well.
func (d Lookup) judge(a asked) (outcome, error) {
	if d.Expect.NXDomain {
		return d.judgeCanary(a)
	}
	for _, o := range a {
		if o.err != nil && !isNoData(o.err) {
			return o, o.err
		}
	}
	if len(d.Expect.Answers) > 0 {
		return d.judgeExact(a)
	}
	if o, bogus := bogus(d.Name, a); bogus != nil {
		return o, bogus
	}
	return judgeFamilies(d.Name, a)
}

func (d Lookup) judgeCanary(a asked) (outcome, error) {
	for _, o := range a {
		if o.err == nil {
			return o, probe.Failf(probe.DNSWrongAnswer, "%s must not exist, yet %s answers %s: names that do not exist are rewritten",
				d.Name, o.server, strings.Join(a.texts(), ", "))
		}
	}
	for _, o := range a {
		if !o.answered || o.rcode != dns.RcodeNameError {
			return o, o.err
		}
	}
	return a[0], nil
}

func (d Lookup) judgeExact(a asked) (outcome, error) {
	got, want := a.texts(), canonical(d.Expect.Answers)
	if slices.Equal(slices.Sorted(slices.Values(got)), want) {
		return a[0], nil
	}
	for _, o := range a {
		if o.err != nil && len(got) == 0 {
			return o, o.err
		}
	}
	return a[0], probe.Failf(probe.DNSWrongAnswer, "%s: got %s, want %s", d.Name, strings.Join(got, ", "), strings.Join(want, ", "))
}

// canonical writes addresses in their one canonical form, and sorts.
func canonical(answers []string) []string {
	texts := make([]string, len(answers))
	for i, answer := range answers {
		texts[i] = answer
		if addr, err := netip.ParseAddr(answer); err == nil {
			texts[i] = addr.String()
		}
	}
	slices.Sort(texts)
	return slices.Compact(texts)
}

// judgeFamilies forgives a missing AAAA if there is an A: hosts of one family are common. The reverse is not: most
// networks could not reach such a name.
func judgeFamilies(name string, a asked) (outcome, error) {
	four, asked4 := a.of(dns.TypeA)
	six, asked6 := a.of(dns.TypeAAAA)
	for _, o := range a {
		switch {
		case o.err == nil:
		case o.qtype == dns.TypeAAAA && asked4 && four.err == nil:
		case o.qtype == dns.TypeA && asked6 && six.err == nil:
			return o, probe.Failf(probe.DNSNoData, "%s has AAAA but no A record: hosts without IPv6 cannot reach it", name)
		default:
			return o, o.err
		}
	}
	return a[0], nil
}

// bogus finds an address that cannot be a public service: block-lists answer 0.0.0.0, :: or loopback.
func bogus(name string, a asked) (outcome, error) {
	for _, o := range a {
		for _, addr := range o.addrs {
			if addr.IsUnspecified() || addr.Unmap().IsLoopback() && !private(name) {
				return o, probe.Failf(probe.DNSWrongAnswer, "%s cannot be at %v: a block-list or a hosts file answers so%s", name, addr, o.because())
			}
		}
	}
	return outcome{}, nil
}

// private reports whether name is set aside for use within a host or a site (RFC 6761, 6762, 8375 and ICANN's .internal),
// where loopback may be the right answer.
func private(name string) bool {
	name = "." + strings.ToLower(strings.TrimSuffix(name, "."))
	if strings.LastIndexByte(name, '.') == 0 { // one label: localhost, or the host's own name
		return true
	}
	return slices.ContainsFunc([]string{".localhost", ".test", ".example", ".local", ".home.arpa", ".internal"},
		func(end string) bool { return strings.HasSuffix(name, end) })
}

func isNoData(err error) bool {
	class, known := probe.KnownClass(err)
	return known && class == probe.DNSNoData
}
