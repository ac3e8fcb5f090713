package outcome

import "netwatchd/internal/probe"

// IsSameProbe reports whether r and other are attempts of one probe.
func IsSameProbe(r, other *probe.Result) bool { return r.Name == other.Name && r.Kind == other.Kind }

// IsSameAttempt reports whether other, a direct probe, used the same Addresses and network path as r after all: then
// it is one more attempt of the same probe.
func IsSameAttempt(r, other *probe.Result) bool {
	return IsSameProbe(r, other) && r.Proxy == "" && r.Phase > probe.Resolve && r.Class.Layer() != "local" &&
		Overlaps(Addresses(r), Addresses(other))
}

// IsSameEndpoint reports whether r is a stream that failed to connect to the endpoint that other connected to. Until
// they are connected nothing on the network path can tell them apart: chance decides, as with packet loss.
func IsSameEndpoint(r, other *probe.Result) bool {
	return r.Kind == probe.KindStream && r.Phase == probe.Connect && r.Class.Layer() == "tcp" &&
		other.Kind == probe.KindHTTP && Authority(r) == Authority(other)
}

// IsUnneededLookup reports whether r is a failed lookup of a name that other reached all the same: behind a proxy, or
// with the name in /etc/hosts, the nameserver is not needed. A wrong answer always counts, because the probe checks
// the answer itself.
func IsUnneededLookup(r, other *probe.Result) bool {
	return r.Kind == probe.KindDNS && r.Class != probe.DNSWrongAnswer && other.Kind == probe.KindHTTP &&
		HostOf(other) == r.Target
}

// IsOtherFamily reports whether r failed to connect over one address family where other succeeded over the other one.
func IsOtherFamily(r, other *probe.Result) bool {
	return r.Kind == probe.KindHTTP && other.Kind == probe.KindHTTP && r.Phase == probe.Connect &&
		r.Class != probe.LocalDenied &&
		FamilyOf(r) != 0 && FamilyOf(other) != 0 && FamilyOf(r) != FamilyOf(other) && HostOf(r) == HostOf(other)
}
