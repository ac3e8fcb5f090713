package diagnose

import "time"

// About is what is known of a cause beforehand. A verdict's own title and advice may be more exact: they know the evidence.
type About struct {
	Title    string   // what is wrong, to be read after "codex: "
	Means    string   // when it is named, for the manual
	Advice   string   // what to do, in one sentence
	Severity Severity // unless the configuration says otherwise
	Hold     time.Duration
	Hides    []Cause
}

// About tells what is known of c beforehand. Hold is how long c must have held before anyone is told. Hides are the
// causes that c explains: while it holds they are neither findings of their own nor announced. Treat it as read-only.
func (c Cause) About() About {
	if int(c) < len(abouts) {
		return abouts[c]
	}
	return abouts[Inconclusive]
}

// explainedByHost are the causes a fault of this host explains, from which on: what cannot leave the host says nothing
// of the service. An open sandbox is never among them: that is a matter of safety, not of reachability. Nor are the
// account and the agent's installation, which are only named on signs that need no network.
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

var abouts = [...]About{
	Starting: {
		Title:  "not judged yet: the first round is not over",
		Means:  "netwatchd has just started and its first full round of attempts is not over.",
		Advice: "Wait for the first round to end.",
	},
	Suspended: {
		Title: "not judged: this host has just resumed",
		Means: "The host was asleep a moment ago. Its network, its clock and its names come back one by one, so that " +
			"failures of these seconds are not held against anyone.",
		Advice: "Wait a moment: the network is coming back.",
	},
	SelfSandboxed: {
		Title: "cannot be judged from here: netwatchd itself runs where the network is denied",
		Means: "The kernel refuses netwatchd a socket, or only a sandbox's own proxy is there. Whatever fails here says " +
			"nothing of the service; nothing else is judged.",
		Advice:   "Run this outside the sandbox, or ask the daemon on the host with netwatchd status.",
		Severity: Info,
		Hold:     0, // a fact about this very process: it can neither flap nor heal while it runs
		Hides:    everythingAfter(SelfSandboxed),
	},
	LocalPolicy: {
		Title: "this host's own firewall or security policy refuses the connection",
		Means: "The kernel answered \"operation not permitted\" or \"permission denied\" although sockets as such are " +
			"allowed, or what asks to connect does not leave this host: a firewall's OUTPUT rule, SELinux, AppArmor, a unit's " +
			"address filter. It is not the agent's sandbox.",
		Advice:   "Look for the rule that refuses it: nft list ruleset, IPAddressDeny= of the unit, the security module's log.",
		Severity: Ticket,
		Hold:     time.Minute, // loading a new rule set empties and refills the tables for some seconds
		Hides:    explainedByHost(HostOffline),
	},
	HostOffline: {
		Title: "this host is offline",
		Means: "No interface is up, there is no default route, or nothing outside answers: no control, no public " +
			"resolver, not the service; or the network lets lookups pass and no connection, to whomever.",
		Advice:   "Check the cable, the Wi-Fi or the VPN, and then the gateway: ip route; ping the gateway.",
		Severity: Ticket,
		Hold:     5 * time.Minute, // a laptop changing networks or a router restarting is back within about three minutes
		Hides:    explainedByHost(Proxy),
	},
	Proxy: {
		Title: "the configured proxy does not work",
		Means: "Traffic goes through a proxy, and that one is dead, unreachable, wants credentials, or will not pass " +
			"the request on.",
		Advice:   "Check the proxy and its address in HTTPS_PROXY or ALL_PROXY, or take it out of the configuration.",
		Severity: Ticket,
		Hold:     2 * time.Minute, // a proxy that reloads its rules is gone for some tens of seconds
		Hides:    explainedByHost(Resolver),
	},
	Resolver: {
		Title: "names do not resolve here",
		Means: "The service's name fails on the nameservers this host is configured with, while other nameservers " +
			"resolve it or controls answer by address. A missing resolv.conf, a block list's 0.0.0.0, answers without " +
			"the one address family that works, and an address at which the service is not (of /etc/hosts, of a VPN that " +
			"is gone) belong here too.",
		Advice:   "Look at /etc/resolv.conf and try another nameserver: dig @1.1.1.1 NAME.",
		Severity: Ticket,
		Hold:     2 * time.Minute, // a router's resolver that restarts, or WSL rewriting resolv.conf, takes up to a minute
		Hides:    explainedByHost(Interception),
	},
	Interception: {
		Title: "someone answers in the place of others",
		Means: "Controls give answers that are not theirs, the service's certificate comes from an issuer that is not " +
			"trusted or not the expected one, or its name got the answer that every made-up name gets: a captive portal, " +
			"TLS inspection, a rewriting resolver.",
		Advice:   "Open any http:// page in a browser and sign in to the network if it asks; if your company inspects TLS, install its CA.",
		Severity: Ticket,
		Hold:     2 * time.Minute, // signing in to a captive portal takes a person about a minute
		Hides:    explainedByHost(Clock),
	},
	Clock: {
		Title: "this host's clock is wrong, so certificates look out of date",
		Means: "The service's certificate is refused for its dates, and by the Date headers of the controls this " +
			"host's clock is far off while the certificate is in date.",
		Advice:   "Set the clock: timedatectl set-ntp true; in WSL also hwclock -s after the host slept.",
		Severity: Ticket,
		// timesyncd asks again within 32 s of coming back and has set the clock after a few answers
		Hold:  3 * time.Minute,
		Hides: []Cause{Upstream, UnexpectedAnswer, Stream, Degraded, Inconclusive},
	},
	EdgeBlocked: {
		Title: "its CDN refuses this address",
		Means: "The service's edge answers with a challenge, 403 or 429: it is up, and it does not want this address " +
			"or that many requests.",
		Advice:   "Wait, ask less often, or leave by another address: switch the VPN off, or on.",
		Severity: Ticket,
		Hold:     10 * time.Minute, // rate limits are counted over minutes; most are lifted before a person could act
		Hides:    []Cause{UnexpectedAnswer, Stream, Degraded},
	},
	Upstream: {
		Title: "the service is down",
		Means: "Controls are reached in the same round and the service's name resolves (or every resolver, a public one " +
			"among them, says that it is gone), but the service cannot be reached or fails.",
		Advice:   "Nothing to repair here: look at the service's status page and wait, or switch to another one.",
		Severity: Page,
		// a deployment or a CDN moving its traffic shows as one or two minutes of refused connections and 5xx; a person
		// woken for those finds nothing
		Hold:  3 * time.Minute,
		Hides: []Cause{Stream, Degraded},
	},
	UnexpectedAnswer: {
		Title: "the service answers, but not as configured",
		Means: "It is up and it is itself, but status, headers, body, DNS answers or the agent's output are not the " +
			"expected ones. Services change; the expectation may be out of date.",
		Advice:   "Compare the answer with the probe's expect: in the configuration, and update whichever is wrong.",
		Severity: Ticket,
		Hold:     15 * time.Minute, // a rolling deployment answers two ways while it lasts; expectations are mended in working hours
		Hides:    []Cause{Stream},
	},
	Stream: {
		Title: "HTTP works, but streams do not",
		Means: "Plain requests are answered; upgrades are refused, or connections are cut or stall while they are held: " +
			"a proxy, a load balancer or a NAT with a short memory, or the service itself.",
		Advice:   "Try from another network to tell the path from the service; look for proxies and idle timeouts in between.",
		Severity: Page,
		// the stream probe runs every five minutes by default: anything shorter would announce a single attempt
		Hold:  10 * time.Minute,
		Hides: []Cause{Degraded},
	},
	Account: {
		Title: "the agent's account is refused",
		Means: "The agent is signed out, its token is refused, or its usage or rate limit is reached. The network and " +
			"the service are fine.",
		Advice:   "Run codex login, or look at the plan's usage page and wait for the limit to be lifted.",
		Severity: Ticket,
		Hold:     5 * time.Minute, // a token refreshed by another session is refused once, then accepted
	},
	Agent: {
		Title: "the agent's own installation is broken",
		Means: "The service is fine from this host, but the agent cannot be started, has a broken configuration, cannot " +
			"write its home, cannot find its way out, or its sandbox cannot be set up.",
		Advice:   "Run codex --version and codex doctor by hand, as the user of the evidence, and mend what they report.",
		Severity: Ticket,
		Hold:     10 * time.Minute, // an upgrade by npm leaves no executable for a minute or two
	},
	Sandbox: {
		Title: "unreachable from the sandbox only",
		Means: "The service is fine from this host and denied from the agent's sandbox although the configuration wants " +
			"it reachable there, or an agent's run failed inside the sandbox.",
		Advice:   "Nothing is broken outside: allow network access for this run or for the sandbox, if the task needs it.",
		Severity: Ticket,
		// It has been tried again before this is said at all. Less than any page is held: where the host is fine its alert
		// silences them.
		Hold: 2 * time.Minute,
	},
	SandboxOpen: {
		Title:    "the agent's sandbox reaches the network, though it should be closed",
		Means:    "An attempt made inside the agent's sandbox got through although the configuration wants the sandbox closed.",
		Advice:   "Stop untrusted runs, then check sandbox_mode and network_access in the agent's configuration.",
		Severity: Ticket,
		Hold:     0, // getting through is no accident of the network, and each minute open counts
	},
	ResolverDegraded: {
		Title: "one of the nameservers does not work; names still resolve",
		Means: "Some of the configured nameservers fail, or answer for names that do not exist, while the service's name " +
			"is resolved all the same.",
		Advice:   "Replace or remove the nameserver in /etc/resolv.conf: each lookup that meets it first is slow.",
		Severity: Info,
		Hold:     15 * time.Minute, // nothing is lost meanwhile: worth a line only if it stays
	},
	IPv6: {
		Title:    "IPv6 is broken, IPv4 works",
		Means:    "Connections over IPv6 fail while those over IPv4 reach the service.",
		Advice:   "Repair IPv6 or switch it off: programs that try it first wait for it.",
		Severity: Info,
		Hold:     15 * time.Minute, // as above
	},
	IPv4: {
		Title:    "IPv4 is broken, IPv6 works",
		Means:    "Connections over IPv4 fail while those over IPv6 reach the service.",
		Advice:   "Look at the IPv4 route and NAT: programs that try it first wait for it.",
		Severity: Info,
		Hold:     15 * time.Minute, // as above
	},
	Degraded: {
		Title:    "slow, or not always reachable",
		Means:    "The service answers later than the configured bound, or some of the attempts of one moment fail and others succeed.",
		Advice:   "Nothing yet, unless it stays: then look for loss on the way with mtr.",
		Severity: Info,
		Hold:     15 * time.Minute, // a busy link or a busy service recovers by itself more often than not
	},
	Healthy: {
		Title:  "reachable",
		Means:  "Everything that ran ended as expected, the sandbox included: a sandbox that is closed and wanted closed is healthy.",
		Advice: "Nothing to do.",
	},
	Inconclusive: {
		Title: "cannot tell whose fault it is",
		Means: "Something fails, or nothing was tried, and what would tell the causes apart is missing: the verdict " +
			"says which vantage or control.",
		Advice:   "Run netwatchd check for a full round; if controls or direct resolvers are never reached, configure others.",
		Severity: Info,
		Hold:     15 * time.Minute, // the confirming round settles most of these within seconds
	},
}
