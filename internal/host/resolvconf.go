package host

import (
	"context"
	"errors"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/dnsprobe"
	"netwatchd/internal/resolvconf"
)

// ResolvConf checks that resolv.conf(5) lists a nameserver. If none of the files does, it fails with
// [probe.DNSNoNameserver] and reports what is wrong with each file. Facts.Answers lists the nameservers.
//
// Without a nameserver the C library queries 127.0.0.1, so names may still resolve on a host with a local resolver.
type ResolvConf struct{ Files []string }

// Probe reads the files.
func (r ResolvConf) Probe(context.Context) (facts probe.Facts, err error) {
	var faults []error
	for _, file := range r.Files {
		found, err := resolvconf.Nameservers(file)
		for _, server := range found {
			facts.Answers = append(facts.Answers, server.Addr().String())
		}
		if err != nil {
			faults = append(faults, err)
		}
	}
	if len(r.Files) == 0 || len(facts.Answers) > 0 {
		return facts, nil
	}
	return facts, dnsprobe.NoNameserver(errors.Join(faults...))
}
