package host

import (
	"context"
	"errors"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/dnsprobe"
	"netwatchd/internal/resolvconf"
)

// ResolvConf asks whether resolv.conf(5) names a nameserver. It fails as [probe.DNSNoNameserver] if none of the files does,
// and says what is wrong with each; the nameservers are in Facts.Answers.
//
// The C library then asks 127.0.0.1, so that on a host with a resolver of its own names may still resolve.
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
