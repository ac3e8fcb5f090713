package scenes

import (
	"crypto/tls"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/world"
)

// demandsTLS replaces the service by one that demands this of a TLS client.
func demandsTLS(change func(*tls.Config)) func(*world.World) {
	return func(w *world.World) { w.ServiceOverTLS(change) }
}

// namesTheSecond are the words for a fault of one address.
var namesTheSecond = []string{"one of the service's 2 addresses, " + world.SecondIPv4}

// asksForCertificate are the words for a server that demands a client certificate.
var asksForCertificate = []string{"requires a client certificate", "tls.cert_file"}

// ours is a service that is run by whoever runs netwatchd.
var ours = world.Config{Owner: "us"}

// What one of the service's servers, its certificate, its demands and its refusals lead to, and its name where the
// public DNS was never told.
var demands = []Scene{
	{Name: "one of the service's two addresses refuses connections", Inject: func(w *world.World) { w.SecondServer(nil) },
		Cause: "degraded", Class: "tcp.refused", Says: namesTheSecond},
	{Name: "one of the service's two addresses accepts and never answers",
		Inject: func(w *world.World) { w.SecondServer(world.AcceptOnly) },
		Cause:  "degraded", Class: "tls.timed_out", Says: namesTheSecond},
	{Name: "one of the service's two addresses answers 503", Inject: func(w *world.World) {
		w.SecondServer(w.OverTLS("service", nil, "503 Service Unavailable"))
	}, Cause: "degraded", Class: "http.server_error", Says: namesTheSecond},
	{Name: "one of the service's two addresses has a certificate for another name", Inject: func(w *world.World) {
		w.SecondServer(w.OverTLS("portal", nil, "200 OK"))
	}, Cause: "degraded", Class: "tls.cert.name_invalid", Says: namesTheSecond},

	{Name: "the service requires a client certificate", Inject: demandsTLS(func(c *tls.Config) {
		c.ClientAuth = tls.RequireAnyClientCert
	}), Cause: "unexpected_answer", Class: "tls.client_certificate", Says: asksForCertificate},
	{Name: "the service requires a client certificate, over TLS 1.2", Inject: demandsTLS(func(c *tls.Config) {
		c.ClientAuth, c.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12
	}), Cause: "unexpected_answer", Class: "tls.client_certificate", Says: asksForCertificate},
	{Name: "the service offers TLS 1.1 only", Inject: demandsTLS(func(c *tls.Config) {
		c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	}), Cause: "degraded", Class: "ok", Says: []string{"TLS 1.1"}},
	{Name: "the service offers TLS 1.0 only", Inject: demandsTLS(func(c *tls.Config) {
		c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
	}), Cause: "degraded", Class: "ok", Says: []string{"TLS 1.0"}},

	{Name: "our certificate ends in two days", Config: ours,
		Inject: func(w *world.World) { w.ServiceCertificate(parts.SoonOver) },
		Cause:  "degraded", Class: "ok", Says: []string{"certificate ends in 1 d", "Renew"}},
	{Name: "a vendor's certificate ends in two days", Config: world.Config{Owner: "vendor"},
		Inject: func(w *world.World) { w.ServiceCertificate(parts.SoonOver) }, Cause: "healthy"},

	{Name: "403 for this country", Inject: func(w *world.World) {
		w.ServiceAnswersJSON(403, `{"error":{"code":"unsupported_country_region_territory","message":"Country not supported"}}`)
	}, Cause: "edge_blocked", Class: "http.edge_blocked", Says: []string{"country or region", "turn the VPN off"}},
	{Name: "403 with another JSON error", Inject: func(w *world.World) {
		w.ServiceAnswersJSON(403, `{"error":{"code":"ip_not_authorized","message":"Your IP address is not allowed"}}`)
	}, Cause: "edge_blocked", Class: "http.edge_blocked", Says: []string{"ip_not_authorized"}},
	{Name: "451", Inject: answers(451), Cause: "edge_blocked", Class: "http.edge_blocked"},

	{Name: "the VPN whose nameserver knows the service disconnects", Before: (*world.World).JoinVPN,
		Inject: func(w *world.World) { w.Nameservers(world.SecondResolver) },
		Cause:  "resolver", Class: "dns.name_not_resolved", Says: []string{"is the VPN up?"},
		ByHand: ByHand{Cause: "upstream"}}, // a single check does not know where the name was before
	{Name: "no resolver knows our service's name", Config: ours,
		Inject: func(w *world.World) { w.AllResolversAnswer(parts.Missing) },
		Cause:  "resolver", Class: "dns.name_not_resolved", Says: []string{"is the VPN up?"}},
	{Name: "the resolver answers A queries with a TXT record",
		Inject: func(w *world.World) { w.ScriptResolver(world.TextForA) },
		Cause:  "resolver_degraded", Class: "dns.no_data", Says: []string{"no IPv4 address", "over IPv6"}},
	{Name: "the resolver answers with the records of another name",
		Inject: func(w *world.World) { w.ScriptResolver(world.OfAnotherName) },
		Cause:  "resolver", Class: "dns.no_data"},
}
