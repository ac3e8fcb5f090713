package outcome

import (
	"fmt"
	"strconv"
	"time"

	"netwatchd/internal/humanize"
	"netwatchd/internal/probe"
)

// Titles that are about how one attempt ended. A title is read after "codex: ".

func ClockTitle(skew time.Duration) string {
	if skew < 0 { // the others are behind
		return "this host's clock is " + humanize.Span(skew.Abs()) + " ahead, so valid certificates look expired"
	}
	return "this host's clock is " + humanize.Span(skew) + " behind, so valid certificates look not yet valid"
}

func LateTitle(r *probe.Result, limit time.Duration) string {
	return fmt.Sprintf("slow: %s took %s, over the limit of %s", r.Name, humanize.Latency(r.Elapsed.Duration()),
		humanize.Latency(limit))
}

func SlowPathTitle(r *probe.Result) string {
	return "the connection is too slow for the probe's timeout: the TCP connect alone took " +
		humanize.Latency(r.Phases[probe.Connect].Duration())
}

func SignInTitle(r *probe.Result) string {
	return "traffic is intercepted: the network asks for a sign-in (" + strconv.Itoa(r.Status) + ")"
}

func NameGoneTitle(r *probe.Result) string {
	if r.Class == probe.DNSServfail {
		return "no resolver can resolve the service's name " + HostOf(r) + ", while other names resolve"
	}
	return "the service's name " + HostOf(r) + " does not exist, according to every resolver"
}

func OutdatedTLSTitle(r *probe.Result) string {
	offers := "the service offers only outdated TLS"
	if r.TLS == nil || r.TLS.Cipher == "" {
		return offers
	}
	return fmt.Sprintf("%s (%s, %s), which current clients refuse", offers, r.TLS.Version, r.TLS.Cipher)
}

func EndingCertificateTitle(r *probe.Result) string {
	end := r.TLS.End()
	return fmt.Sprintf("the service's certificate ends in %s, on %s", humanize.Span(end.Sub(r.Start)),
		end.UTC().Format(time.DateOnly))
}
