// Package words has what a verdict says of single results: titles, notes and advice that need one result, or none. Each
// cause has a title and advice of its own in package causes; those that compare results are in package diagnose.
package words

import (
	"fmt"

	"netwatchd/internal/causes"
	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
)

// Titles and notes that need no evidence. A title is read after "codex: ", so it begins in lower case and has no full
// stop.
const (
	TitleNoRouteToService   = "this host has no route to the service, although it reaches other sites"
	TitleNothingOutside     = "this host is offline: neither the controls nor public resolvers answer"
	TitleConnectionsBlocked = "DNS works, but this network blocks every outbound connection"
	TitleNoNameserver       = "no nameserver is configured"
	TitlePortal             = "a captive portal or a proxy answers instead of the real sites"
	TitleTLSIntercepted     = "TLS is intercepted: an unrelated site also presents a wrong certificate"
	TitleSignInRemoved      = "the agent's sign-in does not arrive: something on the network path removes it"
	TitleUnexpectedName     = "the service's name resolves, but not as configured"
	TitleUnexpectedOutput   = "the agent's run succeeds, but its output is not the expected one"
	TitleEdgeBlocksAgent    = "the service's CDN blocks the agent's requests, but answers other requests from this host"
	TitlePolicyForAgent     = "a security policy on this host blocks only the agent's connections"
	TitleTLSBlocked         = "TLS to unrelated sites fails too, while plain HTTP works: the network path is at fault"
	TitlePacketLoss         = "packets are lost, on the network path to unrelated sites too"
	TitleShortage           = "cannot tell: this host has run out of descriptors, sockets or memory"
	TitleNothingTried       = "cannot tell: nothing was tried from this host"
	TitleRunInSandbox       = "the agent's run fails only inside its sandbox"
	TitleRunInSandboxToo    = "the agent's run inside the sandbox is denied network access too"
	TitleSandboxToo         = "the agent's sandbox is denied network access too, although it should be open"
	TitleFirstNameserver    = "the first nameserver fails, but names still resolve"
	TitleSometimes          = "not always reachable: some attempts of a round fail and others succeed"

	NoteClosedAsWanted = "the sandbox has no network, as configured"
	NoteRouting        = "the agent asks it before every turn"
	NoteClosed         = "the sandbox has no network"
)

func ServiceTitle(r *probe.Result) string {
	if outcome.IsRouting(r) {
		return "the agent's routing discovery is down: it " + outcome.Of(r)
	}
	return "the service " + outcome.Of(r)
}

func ServiceBehindProxyTitle(direct *probe.Result) string {
	return ServiceTitle(direct) + "; the proxy cannot reach it either"
}

func UnexpectedTitle(r *probe.Result) string {
	if r.Class == probe.HTTPUnexpectedHeader || r.Class == probe.HTTPUnexpectedBody || outcome.IsRouting(r) {
		return ServiceTitle(r)
	}
	return ServiceTitle(r) + ", not as configured"
}

// IntermittentTitle is for a probe of which that many of the latest attempts failed, r the last of them.
func IntermittentTitle(r *probe.Result, failed, of int) string {
	return fmt.Sprintf("%d of the last %d attempts of %s failed: %s", failed, of, r.Name, r.Class)
}

func ClientCertificateTitle(r *probe.Result) string {
	if r.Warned(probe.WarnClientCertificate) {
		return "the service is up, but refuses this probe's client certificate"
	}
	return "the service is up, but requires a client certificate"
}

func StreamTitle(r *probe.Result) string { return "HTTP works, but the stream " + outcome.Of(r) }

func UnknownNameTitle(r *probe.Result) string {
	return "no nameserver that this host asks knows " + outcome.HostOf(r) + ": is the VPN up?"
}

func UnpublishedAddressTitle(r *probe.Result) string {
	return "the service's name resolves here to " + r.Peer + ", which no nameserver returns"
}

func EdgeTitle(r *probe.Result) string {
	if r.Class == probe.HTTPRateLimited {
		return "the service's CDN rate-limits this IP address (429)"
	}
	if refusal := outcome.OfRefusal(r); refusal != "" {
		return "the service " + refusal
	}
	return causes.EdgeBlocked.About().Title + outcome.WithStatus("", " with status", r.Status)
}

// EdgeForAgentTitle is for a refusal of the agent's requests alone.
func EdgeForAgentTitle(r *probe.Result) string {
	if r.Refusal != nil && r.Refusal.Location {
		return EdgeTitle(r)
	}
	return TitleEdgeBlocksAgent
}

// IssuerNote names the issuer of the certificate that a request got: it shows TLS inspection that this host trusts.
func IssuerNote(r *probe.Result) string {
	if r == nil {
		return ""
	}
	return fmt.Sprintf("the service's certificate here is issued by %q", r.TLS.Issuer)
}

func UnexpectedForAgentTitle(r *probe.Result) string {
	return "the service answers the agent's request " + outcome.WithStatus("with an error", "with status", r.Status) +
		", and other requests as expected"
}

// StubTitle is for an installation whose run against a stub fails, too.
func StubTitle(stub *probe.Result) string {
	if outcome.IsInstallationFault(stub.Class) {
		return outcome.OfAgent(stub)
	}
	return "the agent's installation is broken: its run fails even against a stub of the service on this host"
}

// ResolverTitle says how lookup r failed at a nameserver, which resolver names.
func ResolverTitle(resolver string, r *probe.Result) string {
	how, known := outcome.OfClass(r.Class)
	switch {
	case r.Class == probe.DNSWrongAnswer && len(r.Answers) > 0:
		how = "returns " + r.Answers[0]
	case r.Class == probe.DNSFailed && r.RCode != "":
		how = "fails (" + r.RCode + ")"
	case known && r.Class.Layer() == "tcp":
		how += " over TCP"
	case !known || r.Class.Layer() != "dns":
		how = "does not work: " + r.Class.String()
	case r.Warned(probe.WarnNotAsked):
		return "this host queries no nameserver for the service's name"
	}
	if r.Warned(probe.WarnHostsFile) {
		return "/etc/hosts " + how
	}
	return resolver + " " + how
}
