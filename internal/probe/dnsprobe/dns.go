// Package dnsprobe looks names up, one at a time or by the thousand over shared sockets.
//
// message.go writes and reads DNS messages; it is the only file that knows both DNS libraries. exchange.go asks one
// nameserver, pool.go shares sockets among lookups, and system.go resolves as a client of this host would.
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
	"netwatchd/internal/probe/dnsprobe/dnswire"
)

// A Lookup looks up a name. It keeps no state between attempts and is safe for concurrent use.
type Lookup struct {
	Name        string
	Types       []string         // A, AAAA, TXT, …; none: A
	Nameservers []netip.AddrPort // queried in turn until one answers; none: as a client of this host would resolve
	Expect      Expect
	Client      *Client // its lookup of the same round is shared, if it is of the same name; may be nil

	common *common // see Prepared
}

// Expect is the one answer that counts as success; its zero value accepts any record of each type.
type Expect struct {
	Answers  []string // exactly these, in any order
	NXDomain bool     // the name must not exist: an answer means that NXDOMAIN is rewritten
}

// Probe queries every type at the same time.
func (d Lookup) Probe(ctx context.Context) (probe.Facts, error) {
	types, err := recordTypes(d.Types)
	if err != nil {
		return probe.Facts{Phase: probe.Resolve}, probe.Fail(probe.Internal, err)
	}
	start := time.Now()
	a := d.Client.outcomes(ctx, d.Nameservers, d.Name, types)
	if a == nil {
		a = queryTypes(ctx, d.Nameservers, d.Name, types)
	}
	return d.conclude(time.Since(start), a, a.texts())
}

// conclude returns the facts and the error of a lookup that took that long. Texts are its answers.
func (d Lookup) conclude(took time.Duration, a outcomes, texts []string) (probe.Facts, error) {
	facts := probe.Facts{Phase: probe.Resolve}
	facts.Phases[probe.Resolve] = probe.InSeconds(took)
	facts.Answers = texts
	decisive, verdict := d.judge(a)
	facts.Server, facts.RCode, facts.FullName = decisive.server, decisive.rcodeText(), decisive.fullName
	facts.Warnings = a.warnings(verdict == nil)
	return facts, verdict
}

func recordTypes(names []string) ([]uint16, error) {
	if len(names) == 0 {
		return []uint16{dns.TypeA}, nil
	}
	types := make([]uint16, len(names))
	for i, name := range names {
		var err error
		if types[i], err = RecordType(name); err != nil {
			return nil, err
		}
	}
	return types, nil
}

// RecordType returns the number of the record type with that name, in upper or lower case.
func RecordType(name string) (uint16, error) {
	if number, known := dns.StringToType[name]; known {
		return number, nil
	}
	if number, known := dns.StringToType[strings.ToUpper(name)]; known {
		return number, nil
	}
	return 0, fmt.Errorf("unknown record type %q: use A, AAAA, CNAME, TXT or another of the DNS", name)
}

// A PrefixLookup looks for the NAT64 prefixes of this network (RFC 7050): a resolver with DNS64 answers the AAAA query
// for a name that has IPv4 addresses alone. That there are none, as usual, is a success without answers.
type PrefixLookup struct {
	Nameservers []netip.AddrPort // as in [Lookup]
}

// PrefixName is the name to look up (RFC 7050, 8.1).
const PrefixName = "ipv4only.arpa"

// Probe implements [probe.Prober].
func (p PrefixLookup) Probe(ctx context.Context) (probe.Facts, error) {
	facts, err := Lookup{Name: PrefixName, Types: []string{"AAAA"}, Nameservers: p.Nameservers}.Probe(ctx)
	switch probe.Classify(probe.Resolve, err) {
	case probe.DNSNoData, probe.DNSNameNotResolved:
		return facts, nil
	}
	return facts, err
}

// An outcome is the end of the query for one type: err is nil if the reply holds a record.
type outcome struct {
	reply
	qtype    uint16
	err      error
	fullName string // whose records these are, if a search domain was appended to the name
}

func (o outcome) rcodeText() string {
	if !o.answered {
		return ""
	}
	return dnswire.RCodeName(o.rcode)
}

// outcomes are the ends of the queries of one lookup, in the order of the types.
type outcomes []outcome

// queryTypes queries the nameservers, or the system if there are none, for every type.
func queryTypes(ctx context.Context, servers []netip.AddrPort, name string, types []uint16) outcomes {
	if len(servers) == 0 {
		return resolveAsSystem(ctx, name, types)
	}
	a := make(outcomes, len(types))
	one := func(i int) {
		q := question{name, types[i]}
		var r reply
		_, err := probe.Guard(func() (_ probe.Facts, err error) { // the runner guards only its own goroutine
			if r, err = queryEach(ctx, servers, q); err == nil {
				err = r.emptyError(q)
			}
			return probe.Facts{}, err
		})
		a[i] = outcome{reply: r, qtype: types[i], err: err}
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

func (a outcomes) ofType(qtype uint16) (outcome, bool) {
	i := slices.IndexFunc(a, func(o outcome) bool { return o.qtype == qtype })
	if i < 0 {
		return outcome{}, false
	}
	return a[i], true
}

func (a outcomes) addrs() []netip.Addr {
	var addrs []netip.Addr
	for _, o := range a {
		addrs = append(addrs, o.addrs...)
	}
	return addrs
}

// sortedAddrs appends every address once to room, sorted, so that equal answers read the same.
func (a outcomes) sortedAddrs(room []netip.Addr) []netip.Addr {
	for _, o := range a {
		room = append(room, o.addrs...)
	}
	slices.SortFunc(room, netip.Addr.Compare)
	return slices.Compact(room)
}

// texts returns every answer once, the addresses sorted.
func (a outcomes) texts() []string {
	addrs := a.sortedAddrs(nil)
	texts := make([]string, 0, len(addrs))
	for _, addr := range addrs {
		texts = append(texts, addr.String())
	}
	for _, o := range a {
		slices.Sort(o.records)
		texts = append(texts, o.records...)
	}
	return texts
}

func (a outcomes) warnings(fine bool) []string {
	var warnings []string
	if slices.ContainsFunc(a, func(o outcome) bool { return o.conclusive() && o.failed > 0 }) {
		warnings = append(warnings, probe.WarnFirstFailed)
	}
	if slices.ContainsFunc(a, func(o outcome) bool { return o.err == nil && o.server == "" }) {
		warnings = append(warnings, probe.WarnHostsFile)
	}
	if slices.ContainsFunc(a, func(o outcome) bool { return errors.Is(o.err, errNotQueried) }) {
		warnings = append(warnings, probe.WarnNotAsked)
	}
	if six, ok := a.ofType(dns.TypeAAAA); ok && len(a) > 1 && fine && isNoData(six.err) {
		warnings = append(warnings, probe.WarnNoAAAA)
	}
	return warnings
}

// judge returns the first fault of the answers and the outcome that shows it, or the first outcome if there is none.
func (d Lookup) judge(a outcomes) (outcome, error) {
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
	if o, bogus := blockListed(d.Name, a); bogus != nil {
		return o, bogus
	}
	return judgeFamilies(d.Name, a)
}

func (d Lookup) judgeCanary(a outcomes) (outcome, error) {
	for _, o := range a {
		if o.err == nil {
			return o, probe.Failf(probe.DNSWrongAnswer, "%s must not exist, but %s answers %s: it rewrites NXDOMAIN",
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

func (d Lookup) judgeExact(a outcomes) (outcome, error) {
	got, want := a.texts(), canonical(d.Expect.Answers)
	if slices.Equal(slices.Sorted(slices.Values(got)), want) {
		return a[0], nil
	}
	for _, o := range a {
		if o.err != nil && len(got) == 0 {
			return o, o.err
		}
	}
	return a[0], probe.Failf(probe.DNSWrongAnswer, "%s: got %s, want %s", d.Name, strings.Join(got, ", "),
		strings.Join(want, ", "))
}

// canonical returns the answers sorted, addresses in their canonical form.
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

// judgeFamilies accepts a missing AAAA record if there is an A record: IPv4-only names are common. It rejects the
// reverse, because most networks could not reach an IPv6-only name.
func judgeFamilies(name string, a outcomes) (outcome, error) {
	four, asked4 := a.ofType(dns.TypeA)
	six, asked6 := a.ofType(dns.TypeAAAA)
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

// blockListed finds an address that cannot be a public service: block lists answer 0.0.0.0, :: or loopback.
func blockListed(name string, a outcomes) (outcome, error) {
	for _, o := range a {
		for _, addr := range o.addrs {
			if addr.IsUnspecified() || addr.Unmap().IsLoopback() && !isPrivateName(name) {
				return o, probe.Failf(probe.DNSWrongAnswer,
					"%s resolves to %v, as a block list or a hosts file answers%s", name, addr, o.reason())
			}
		}
	}
	return outcome{}, nil
}

// isPrivateName reports whether name is reserved for use within a host or a site (RFC 6761, 6762, 8375 and ICANN's
// .internal). For such a name, loopback may be the right answer.
func isPrivateName(name string) bool {
	name = "." + strings.ToLower(strings.TrimSuffix(name, "."))
	if strings.LastIndexByte(name, '.') == 0 { // a single label: localhost or the host's own name
		return true
	}
	return slices.ContainsFunc([]string{".localhost", ".test", ".example", ".local", ".home.arpa", ".internal"},
		func(end string) bool { return strings.HasSuffix(name, end) })
}

func isNoData(err error) bool {
	class, known := probe.KnownClass(err)
	return known && class == probe.DNSNoData
}
