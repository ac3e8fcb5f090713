package host

import (
	"context"
	"errors"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/dnsprobe"
	"netwatchd/internal/resolvconf"
)

// ResolvConf checks that resolv.conf(5) lists a nameserver. If none of the files does, it fails with
// [probe.DNSNoNameserver] and reports what is wrong with each file. Facts.Answers lists the nameservers. More of
// them than resolvers use are a warning.
// The files were read when the round began, so that all of it uses the same nameservers.
//
// Without a nameserver the C library queries 127.0.0.1, so names may still resolve on a host with a local resolver.
type ResolvConf struct{ resolvconf.Snapshot }

// Probe implements [probe.Prober].
func (r ResolvConf) Probe(context.Context) (facts probe.Facts, err error) {
	for _, server := range r.Nameservers {
		facts.Answers = append(facts.Answers, server.Addr().String())
	}
	if r.Ignored > 0 {
		facts.Warnings = append(facts.Warnings, probe.WarnServersIgnored)
	}
	if len(r.Files) == 0 || len(facts.Answers) > 0 {
		return facts, nil
	}
	return facts, dnsprobe.NoNameserver(errors.Join(r.Errors...))
}
