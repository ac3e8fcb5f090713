package causes

import "time"

// About is what is known of a cause before anything is measured. A verdict's own title and advice may be more exact,
// because they know the evidence.
type About struct {
	Title    string // what is wrong, to be read after "codex: "
	Means    string // when the cause is named, for the manual
	Advice   string // what to do
	Owner    Owner
	Usable   bool          // whether the service can be used all the same
	Severity Severity      // unless the configuration sets another
	Hold     time.Duration // how long the cause must hold before it is announced
	Hides    []Cause       // the causes that it explains: while it holds they are neither findings nor announced
}

// Owner is who can fix a cause.
type Owner uint8

const (
	OwnerNobody  Owner = iota // nothing to fix, or the cause is not known
	OwnerHost                 // this host, the network it is in, or the network path to the service
	OwnerService              // the service
	OwnerAgent                // the agent: its account, its installation, its sandbox
)

func (o Owner) String() string {
	return [...]string{OwnerNobody: "nobody", OwnerHost: "host", OwnerService: "service", OwnerAgent: "agent"}[o]
}

// About returns what is known of c before anything is measured. Treat it as read-only.
func (c Cause) About() About {
	if int(c) >= len(catalog) {
		c = Inconclusive
	}
	about := catalog[c]
	about.Title, about.Advice = titles[c], advice[c]
	return about
}

// Owner returns who can fix c.
func (c Cause) Owner() Owner { return c.About().Owner }

// Usable reports whether the service can be used under c: it is healthy, or works with reservations.
func (c Cause) Usable() bool { return c.About().Usable }

// Fault reports whether c says that something is broken. It is false where the service is usable, and where nothing is
// known: while netwatchd starts, after a suspend, and for [Inconclusive].
func (c Cause) Fault() bool { return !c.Usable() && c.Owner() != OwnerNobody }

// OfHost reports whether c is a fault of this host, which may stop other services too.
func (c Cause) OfHost() bool { return SelfSandboxed <= c && c <= Clock }

// OfNetwork reports whether c lies between this host and the service, so that it explains whatever the agent reports.
func (c Cause) OfNetwork() bool {
	return c.Fault() && c.Owner() != OwnerAgent && c != Stream
}

// explainedByHost returns the causes that a fault of this host explains: from that cause on, all of this host and of
// the service, because what cannot leave the host shows nothing about the service. An open sandbox is never among
// them: that is a matter of security, not of reachability. Nor are the account and the agent's installation, which
// are named only on signs that need no network.
func explainedByHost(from Cause) []Cause {
	var hidden []Cause
	for c := from; c <= Stream; c++ {
		hidden = append(hidden, c)
	}
	return append(hidden, ResolverDegraded, IPv6, IPv4, Degraded, Inconclusive)
}

func everythingAfter(c Cause) []Cause {
	var hidden []Cause
	for after := c + 1; after < Healthy; after++ {
		hidden = append(hidden, after)
	}
	return append(hidden, Inconclusive)
}

// catalog has what is known of each cause, without its title and advice (words.go).
var catalog = [...]About{
	Starting: {
		Means: "netwatchd has just started, and its first full round of attempts is still running.",
	},
	Suspended: {
		Means: "The host was suspended a moment ago. Its network, clock and DNS come back one by one, so failures in " +
			"these seconds are not judged.",
	},
	SelfSandboxed: {
		Means: "The kernel refuses netwatchd a socket, or only a sandbox's own proxy is reachable. Failures here show " +
			"nothing about the service, so nothing else is judged.",
		Owner:    OwnerHost,
		Severity: Info,
		Hold:     0, // a fact about this process: it cannot change while the process runs
		Hides:    everythingAfter(SelfSandboxed),
	},
	LocalPolicy: {
		Means: "The kernel reported \"operation not permitted\" or \"permission denied\" although the process may open " +
			"sockets, or connection attempts never leave this host. Typical reasons: an OUTPUT rule of a firewall, SELinux, " +
			"AppArmor, the address filter of a systemd unit. It is not the agent's sandbox.",
		Owner:    OwnerHost,
		Severity: Ticket,
		Hold:     time.Minute, // loading a new rule set empties and refills the tables for some seconds
		Hides:    explainedByHost(HostOffline),
	},
	HostOffline: {
		Means: "No interface is up, there is no default route, or nothing outside answers: no control, no public " +
			"resolver, not the service. Also named when DNS works but every outbound connection is blocked.",
		Owner:    OwnerHost,
		Severity: Ticket,
		Hold:     5 * time.Minute, // a laptop changing networks or a router restarting is back within about three minutes
		Hides:    explainedByHost(Proxy),
	},
	Proxy: {
		Means: "A proxy is configured, but it is down, unreachable, requires a sign-in or does not forward requests, " +
			"or only those to the service, which is reached without it. Also named when a variable is not the URL of a " +
			"proxy, or sends requests to this host itself through one.",
		Owner:    OwnerHost,
		Severity: Ticket,
		Hold:     2 * time.Minute, // a proxy that reloads its rules is gone for some tens of seconds
		Hides:    explainedByHost(Resolver),
	},
	Resolver: {
		Means: "The configured nameservers cannot resolve the service's name, while other nameservers can, or controls " +
			"answer by address. Also named for a missing resolv.conf, a block list's 0.0.0.0, answers without the one " +
			"address family that works, and a wrong address for the service (from /etc/hosts, or left behind by a VPN).",
		Owner:    OwnerHost,
		Severity: Ticket,
		Hold:     2 * time.Minute, // a router's resolver that restarts, or WSL rewriting resolv.conf, takes up to a minute
		Hides:    explainedByHost(Interception),
	},
	Interception: {
		Means: "Controls return answers that are not theirs, the service's certificate has an untrusted or unexpected " +
			"issuer, or the service's name resolves to the address that made-up names get too. Also named when the service " +
			"received no sign-in from an agent that has one: something on the network path removes it. If the agent alone " +
			"trusts the issuer, by a variable of its own, nothing is wrong.",
		Owner:    OwnerHost,
		Severity: Ticket,
		Hold:     2 * time.Minute, // signing in to a captive portal takes a person about a minute
		Hides:    explainedByHost(Clock),
	},
	Clock: {
		Means: "The service's certificate is rejected for its dates, but it is valid by the Date headers of the " +
			"controls, and this host's clock differs from those by an hour or more.",
		Owner:    OwnerHost,
		Severity: Ticket,
		// timesyncd queries again within 32 s of coming back and has set the clock after a few answers
		Hold:  3 * time.Minute,
		Hides: []Cause{Upstream, UnexpectedAnswer, Stream, Degraded, Inconclusive},
	},
	Path: {
		Means: "The network path to the service is broken, while others work and the service may be healthy: its address " +
			"leaves through another interface than the controls' (a tunnel) and nothing comes back, a NAT64 translator does " +
			"not forward, a firewall on the path rejects the connection, or large packets are lost.",
		Owner:    OwnerHost,
		Severity: Ticket,
		Hold:     5 * time.Minute, // routes converge within about three minutes, and a VPN that reconnects within one
		Hides:    explainedByHost(EdgeBlocked),
	},
	EdgeBlocked: {
		Means: "The service's edge answers with a challenge, 403 or 429, or the service refuses requests from this " +
			"country: it is up but blocks or rate-limits this IP address.",
		Owner:    OwnerService,
		Severity: Ticket,
		Hold:     10 * time.Minute, // rate limits are counted over minutes; most are lifted before a person could act
		Hides:    []Cause{UnexpectedAnswer, Stream, Degraded},
	},
	Upstream: {
		Means: "The service does not answer, or fails, while controls answer in the same round. Its name resolves, or every " +
			"resolver, a public one among them, reports that it does not exist. Also: only the agent's requests get no " +
			"answer, and its run against a stub on this host succeeds.",
		Owner:    OwnerService,
		Severity: Page,
		// a deployment or a CDN moving its traffic shows as one or two minutes of refused connections and 5xx; a person
		// woken for those finds nothing
		Hold:  3 * time.Minute,
		Hides: []Cause{Stream, Degraded},
	},
	UnexpectedAnswer: {
		Means: "The service is up and it is the real one, but its status, headers, body or DNS answers, or the agent's " +
			"output, are not as configured. Services change: the configuration may be out of date.",
		Owner:    OwnerService,
		Severity: Ticket,
		// a rolling deployment returns old and new answers while it lasts; expectations are updated in working hours
		Hold:  15 * time.Minute,
		Hides: []Cause{Stream},
	},
	Stream: {
		Means: "Plain requests are answered, but upgrades are refused, or held connections are dropped or stall. Typical " +
			"reasons: a proxy, a load balancer or a NAT with a short timeout, or the service itself.",
		Owner:    OwnerService,
		Severity: Page,
		// the stream probe runs every five minutes by default: anything shorter would announce a single attempt
		Hold:  10 * time.Minute,
		Hides: []Cause{Degraded},
	},
	Account: {
		Means: "The agent is signed out, its token is rejected, or its usage or rate limit is reached. The network and " +
			"the service are fine.",
		Owner:    OwnerAgent,
		Severity: Ticket,
		Hold:     5 * time.Minute, // a token refreshed by another session is rejected once, then accepted
	},
	Agent: {
		Means: "The service is fine from this host, but the agent cannot be started, has an invalid configuration, " +
			"cannot write its home directory, cannot reach the network, does not trust a certificate that this host " +
			"trusts (CODEX_CA_CERTIFICATE, SSL_CERT_FILE), or its sandbox cannot be set up.",
		Owner:    OwnerAgent,
		Severity: Ticket,
		Hold:     10 * time.Minute, // an upgrade by npm leaves no executable for a minute or two
	},
	Sandbox: {
		Means: "The service is reachable from this host but not from the agent's sandbox, although the configuration " +
			"wants it reachable there, or a run of the agent failed inside the sandbox.",
		Owner:    OwnerAgent,
		Severity: Ticket,
		// The probe is repeated before this is named at all. It is shorter than the hold of any page, because this
		// alert silences pages if the host is healthy.
		Hold: 2 * time.Minute,
	},
	SandboxOpen: {
		Means: "An attempt made inside the agent's sandbox reached the network, although the configuration wants the " +
			"sandbox closed.",
		Owner:    OwnerAgent,
		Severity: Ticket,
		Hold:     0, // a success is never an accident of the network, and every minute counts
	},
	ResolverDegraded: {
		Means: "Some of the configured nameservers fail, or return addresses for names that do not exist, but the " +
			"service's name still resolves, or the service is reached without it.",
		Owner:    OwnerHost,
		Usable:   true,
		Severity: Info,
		Hold:     15 * time.Minute, // nothing is lost meanwhile: worth a line only if it lasts
	},
	IPv6: {
		Means:    "Connections over IPv6 fail, while connections over IPv4 reach the service.",
		Owner:    OwnerHost,
		Usable:   true,
		Severity: Info,
		Hold:     15 * time.Minute, // as above
	},
	IPv4: {
		Means:    "Connections over IPv4 fail, while connections over IPv6 reach the service.",
		Owner:    OwnerHost,
		Usable:   true,
		Severity: Info,
		Hold:     15 * time.Minute, // as above
	},
	Degraded: {
		Means: "The service takes longer to answer than the configured limit, or attempts of a probe fail and succeed by " +
			"turns: at least three separate failures among twenty attempts, until sixty in a row succeed. Beside a healthy verdict: settings of the agent that work by luck, such as HTTPS_PROXY and " +
			"https_proxy that differ.",
		Usable:   true,
		Severity: Info,
		Hold:     15 * time.Minute, // a busy link or a busy service recovers by itself more often than not
	},
	Healthy: {
		Means: "Everything that ran ended as expected. A sandbox without network is healthy too, if the configuration " +
			"wants it closed.",
		Usable: true,
	},
	Inconclusive: {
		Means: "Something fails, or nothing was tried, and what would tell the causes apart is missing. The verdict " +
			"names the missing vantage or control.",
		Severity: Info,
		Hold:     15 * time.Minute, // the confirming round settles most of these within seconds
	},
}
