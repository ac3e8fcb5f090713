package causes

// titles has the title of each cause, for verdicts that have no more exact one, for alerts and for the manual.
var titles = [...]string{
	Starting:         "not judged yet: the first round is still running",
	Suspended:        "not judged: this host has just resumed from suspend",
	SelfSandboxed:    "cannot tell from here: netwatchd itself runs in a sandbox without network",
	LocalPolicy:      "a firewall or security policy on this host blocks the connection",
	HostOffline:      "this host is offline",
	Proxy:            "the configured proxy does not work",
	Resolver:         "DNS does not work on this host",
	Interception:     "traffic is intercepted: a captive portal, TLS inspection or a resolver that rewrites answers",
	Clock:            "this host's clock is wrong, so certificates look expired or not yet valid",
	Path:             "the network path to the service is broken, and the service may be healthy",
	EdgeBlocked:      "the service's CDN blocks this IP address",
	Upstream:         "the service is down",
	UnexpectedAnswer: "the service answers, but not as configured",
	Stream:           "HTTP works, but streams do not",
	Account:          "the agent's account is rejected",
	Agent:            "the agent's installation is broken",
	Sandbox:          "reachable from this host, but not from the agent's sandbox",
	SandboxOpen:      "the agent's sandbox has network access, although it should be closed",
	ResolverDegraded: "a nameserver fails, but names still resolve",
	IPv6:             "IPv6 is broken, IPv4 works",
	IPv4:             "IPv4 is broken, IPv6 works",
	Degraded:         "slow, or not always reachable",
	Healthy:          "reachable",
	Inconclusive:     "cannot tell whose fault it is",
}

// advice has the advice of each cause, for findings that have no more exact one.
var advice = [...]string{
	Starting:      "Wait for the first round to end.",
	Suspended:     "Wait a moment: the network is coming back.",
	SelfSandboxed: "Run this outside the sandbox, or run netwatchd status on the host to see what the daemon reports.",
	LocalPolicy: "Find the rule that blocks the connection: check nft list ruleset, IPAddressDeny= of the unit, and the " +
		"log of SELinux or AppArmor.",
	HostOffline: "Check the cable, the Wi-Fi or the VPN, then the gateway: run ip route and ping the gateway.",
	Proxy: "Check the proxy and its address in HTTPS_PROXY or ALL_PROXY, or remove it from the environment or the " +
		"configuration.",
	Resolver: "Check /etc/resolv.conf and try another nameserver: dig @1.1.1.1 NAME.",
	Interception: "First find out which it is: open any http:// page in a browser and read the issuer in the evidence. " +
		"If it is the network's own sign-in page, sign in there. If your company inspects TLS, install its CA. Until you " +
		"know, enter no password.",
	Clock: "Set the clock: timedatectl set-ntp true. On WSL also run hwclock -s after a suspend.",
	Path: "Compare ip route get ADDRESS for the service and for another site, and look for a VPN, a firewall or an MTU that " +
		"is too large on the path.",
	EdgeBlocked:      "Wait, send fewer requests, or use another IP address: turn the VPN off, or on.",
	Upstream:         "Nothing to fix here: check the service's status page and wait, or switch to another service.",
	UnexpectedAnswer: "Compare the answer with the probe's expect:. If the service has changed, update expect:.",
	Stream: "Try from another network. If the stream works there, look for a proxy or an idle timeout on this " +
		"network path.",
	Account: "Run codex login, or check the plan's usage page and wait until the limit is reset.",
	Agent: "Run codex --version and codex doctor by hand, as the user shown in the evidence, and fix what they " +
		"report.",
	Sandbox: "Nothing is broken outside: allow network access for this run or for the sandbox, " +
		"if the task needs it.",
	SandboxOpen:      "Stop untrusted runs, then check sandbox_mode and network_access in the agent's configuration.",
	ResolverDegraded: "Replace or remove the nameserver in /etc/resolv.conf: every lookup that tries it first is slow.",
	IPv6:             "Fix IPv6 or turn it off: programs that try it first wait for it.",
	IPv4:             "Check the IPv4 route and NAT: programs that try IPv4 first wait for it.",
	Degraded:         "Nothing yet. If it lasts, look for packet loss with mtr.",
	Healthy:          "Nothing to do.",
	Inconclusive: "Run netwatchd check -v and read the error of each failed attempt. If controls or direct resolvers " +
		"are never reached, configure others.",
}
