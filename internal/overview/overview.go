// Package overview sums up the verdicts on several services.
package overview

import (
	"fmt"
	"slices"
	"strings"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/humanize"
	"netwatchd/internal/probe"
)

// A Service is a service with its verdict.
type Service struct {
	*diagnose.Verdict
	Results []probe.Result // of its latest round; empty: none was kept
}

// A HostFault is one fault of this host that several services suffer from.
type HostFault struct {
	Cause    causes.Cause `json:"cause"`
	Title    string       `json:"title"`    // that of the first service
	Services []string     `json:"services"` // two or more
}

// An Overview is the verdicts on all services as one.
type Overview struct {
	HostFaults []HostFault

	works, unknown, outside []string
	open, broken            []group
	all                     int
}

// A group is services with one fault.
type group struct {
	title    string
	services []string
}

// Of sums up services, in the order in which they are to be named.
func Of(services []Service) Overview {
	o := Overview{HostFaults: hostFaults(services), all: len(services)}
	for _, s := range services {
		o.add(s)
	}
	return o
}

func (o *Overview) add(s Service) {
	alone := group{Title(s.Verdict), []string{s.Service}}
	switch f := o.HostFault(s.Service); {
	case s.Cause == causes.SelfSandboxed, !s.Cause.Usable() && !s.Cause.Fault():
		o.unknown = append(o.unknown, s.Service)
	case s.Cause.Usable():
		o.works = append(o.works, s.Service)
	case s.Cause == causes.Sandbox:
		o.outside = append(o.outside, s.Service)
	case s.Cause == causes.SandboxOpen:
		o.open = append(o.open, alone)
	case f == nil:
		o.broken = append(o.broken, alone)
	case f.Services[0] == s.Service:
		o.broken = append(o.broken, group{f.Title, f.Services})
	}
}

// HostFault returns the fault of this host that service shares with others; nil if there is none.
func (o Overview) HostFault(service string) *HostFault {
	for i, f := range o.HostFaults {
		if slices.Contains(f.Services, service) {
			return &o.HostFaults[i]
		}
	}
	return nil
}

// SharedWith returns the other services that suffer from the fault of service.
func (o Overview) SharedWith(service string) []string {
	f := o.HostFault(service)
	if f == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(f.Services), func(name string) bool { return name == service })
}

// SameAs returns the service whose verdict tells of the fault of service too; empty if that is service itself.
func (o Overview) SameAs(service string) string {
	if f := o.HostFault(service); f != nil && f.Services[0] != service {
		return f.Services[0]
	}
	return ""
}

// faultsNamed keeps the sentence to a few lines: the list of services has all.
const faultsNamed = 3

// String says in one sentence without a full stop which services work and which do not: "claude works; codex does not:
// the service is down". It is empty without services.
func (o Overview) String() string {
	if o.all > 1 && len(o.works) == o.all {
		return allWork(o.works)
	}
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if len(o.works) > 0 {
		add("%s %s", Names(o.works), verb(o.works, "works", "work"))
	}
	negative := verb
	if len(parts) == 0 {
		negative = func(names []string, one, many string) string { return verb(names, one, many) + " work" }
	}
	rest := 0
	for i, f := range o.broken {
		if i >= faultsNamed {
			rest += len(f.services)
			continue
		}
		add("%s %s: %s", Names(f.services), negative(f.services, "does not", "do not"), f.title)
	}
	if rest > 0 {
		add("%s not", more(rest))
	}
	if len(o.outside) > 0 {
		add("%s %s only outside the sandbox", Names(o.outside), verb(o.outside, "works", "work"))
	}
	for _, f := range o.open {
		add("%s works, but %s", f.services[0], f.title)
	}
	if len(o.unknown) > 0 {
		add("it is not known whether %s %s", Names(o.unknown), verb(o.unknown, "works", "work"))
	}
	return strings.Join(parts, "; ")
}

func more(services int) string {
	if services == 1 {
		return "1 more service does"
	}
	return fmt.Sprintf("%d more services do", services)
}

func allWork(names []string) string {
	if len(names) > namesListed {
		return fmt.Sprintf("all %d services work", len(names))
	}
	return Names(names) + " work"
}

func verb(names []string, one, many string) string {
	if len(names) == 1 {
		return one
	}
	return many
}

// namesListed is how many services a sentence names: more are counted.
const namesListed = 3

// Names lists services in a sentence: "codex", "claude, codex and gemini", "12 services".
func Names(all []string) string {
	switch n := len(all); {
	case n > namesListed:
		return humanize.Count(n, "service")
	case n > 1:
		return strings.Join(all[:n-1], ", ") + " and " + all[n-1]
	}
	return strings.Join(all, "")
}

// Title is the title of a verdict without its service.
func Title(v *diagnose.Verdict) string { return strings.TrimPrefix(v.Title, v.Service+": ") }
