package diagnose

import (
	"cmp"
	"net"
	"slices"
	"strings"

	"netwatchd/internal/causes"
	"netwatchd/internal/clientrules"
	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
)

// Every piece of advice that depends on a round is in this file; each cause has its own in internal/causes. Advice is
// what to do, in full sentences.

// Advice that needs no evidence.
const (
	adviceConnectionsBlocked = "Sign in to the network if it asks for that, or ask its operator which proxy or VPN it " +
		"requires, and what its rules for ports 80 and 443 are."
	adviceBaseURL = "Start the local proxy or server that the base URL points to, or remove the base URL from the agent's " +
		"configuration."
	adviceNoRouteToService = "Find the missing route: ip route get ADDRESS. A VPN that has ended may have removed it."
	adviceNoNameserver     = "Add a nameserver to /etc/resolv.conf: the file is missing, empty or unreadable."
	adviceUnpublished      = "Check /etc/hosts, and the options search and ndots in /etc/resolv.conf: one of them " +
		"makes programs use another address."
	adviceIssuer = "If your company inspects TLS, install its CA here and set its issuer in the configuration. If the " +
		"issuer is a well-known one, update ca-certificates."
	adviceUnknownName = "Connect the VPN, or make this host ask the nameserver that knows the name: run resolvectl status, " +
		"and compare /etc/resolv.conf with a host where it works."
	adviceExpiredLink = "Update ca-certificates on this host, so that it trusts the newer root. If the service is yours, remove " +
		"the expired certificate from the chain that it sends."
	adviceEndingCertificate = "Renew the certificate, and find out why it was not renewed by itself: clients refuse the " +
		"service once it has ended."
	adviceOutdatedTLS = "Nothing is down. Enable TLS 1.2 or later with an ECDHE cipher suite on the server: programs built with " +
		"current TLS libraries cannot connect to it."
	adviceClientCertificate = "Set tls.cert_file and tls.key_file of the probe to a certificate that the server accepts, or " +
		"point the probe at an address that needs none."
	adviceClientCertificateRefused = "Read the server's reason in the evidence, and issue a certificate that it accepts for " +
		"tls.cert_file: it may have expired, or have another issuer than the server trusts."
	adviceSignInRemoved = "Signing in again does not help. Show the error in the evidence to whoever runs the gateway, " +
		"proxy or TLS inspection of this network: it must pass on the Authorization header."
	adviceLocation = "Check which country your address appears to be in, and whether the service supports it: turn the " +
		"VPN off, or on. Signing in again does not help."
	adviceUnexpectedOutput = "Read the output in the evidence: either the model answers differently, or the expected " +
		"output is out of date."
	adviceTLSBlocked = "Look for what blocks port 443 or drops large packets, for example a VPN tunnel: try " +
		"ip link set dev NAME mtu 1280."
	adviceSlowPath = "Check the link first (Wi-Fi, VPN, a busy uplink). If it cannot be made faster, give the " +
		"probe a longer timeout."
	advicePacketLoss = "Check the link first (Wi-Fi, VPN, cable), then look for packet loss with mtr."
	adviceShortage   = "Find what holds the descriptors or the memory (ss -s, lsof -p PID, free -m) and end it, or " +
		"raise LimitNOFILE= or MemoryMax= of the unit."
	adviceNear = "Check the server at that address: it needs no internet connection. No control was reached either: this " +
		"host may be offline too."
	adviceTUNProxy = "Check the TUN proxy or VPN (Clash, sing-box, …): whether it runs, whether its upstream server answers, " +
		"and its rule for the service. Or turn it off."
	adviceSearchDomain = "Remove the domain from search in /etc/resolv.conf, or set options ndots:1 there."
	adviceOneAddress   = "Nothing to fix here if the service is run by others: some of its servers fail, and a retry may " +
		"reach another one. If it is yours, take the address in the evidence out of DNS until it works."
	adviceRewritingNames = "Use a nameserver that does not rewrite NXDOMAIN: with this one, mistyped names seem to exist."
	adviceSuffixed       = "This is how WSL's DNS tunnel answers while Windows has a DNS suffix: run wsl --shutdown on " +
		"Windows and set dnsTunneling=false in .wslconfig, or remove the suffix on Windows. Elsewhere, use another " +
		"nameserver."
	adviceClosedAsWanted = "Nothing is broken: allow network access for a run if its task needs it."
)

// wslTunnel is the address of WSL's DNS tunnel (microsoft/WSL, dnsTunneling).
const wslTunnel = "10.255.255.254"

// resolverAdvice is empty if the advice of the cause fits.
func resolverAdvice(r *probe.Result) string {
	host, _, _ := net.SplitHostPort(r.Server)
	switch {
	case fromHostsFile(r):
		return "Remove the name from /etc/hosts."
	case hasWarning(r, probe.WarnNotAsked):
		return "Set \"hosts: files dns\" in /etc/nsswitch.conf."
	case host == "127.0.0.53":
		return "Restart the stub resolver on this host: systemctl restart systemd-resolved; then run resolvectl status."
	case host == wslTunnel:
		return "This is WSL's DNS tunnel: run wsl --shutdown on Windows, or set dnsTunneling=false in .wslconfig."
	}
	return ""
}

func turnedAdvice(r *probe.Result) string {
	if r.FullName != "" {
		return adviceSearchDomain
	}
	return strayAdvice(r)
}

func strayAdvice(r *probe.Result) string {
	if fromHostsFile(r) {
		return resolverAdvice(r)
	}
	return "Use another nameserver, or wait until this one's cached address expires. If a VPN has just ended, " +
		"restart what it configured."
}

func issuerAdvice(r *probe.Result) string {
	if r.TLS != nil && r.TLS.ExpiredLink != "" {
		return adviceExpiredLink
	}
	return adviceIssuer
}

func clientCertificateAdvice(r *probe.Result) string {
	if hasWarning(r, probe.WarnClientCertificate) {
		return adviceClientCertificateRefused
	}
	return adviceClientCertificate
}

// edgeAdvice is empty if the advice of the cause fits.
func edgeAdvice(r *probe.Result) string {
	if r.Refusal != nil && r.Refusal.Location {
		return adviceLocation
	}
	return ""
}

func accountAdvice(r *probe.Result) string {
	switch r.Class {
	case probe.ExecUsageLimit:
		return "Check the plan's usage page: wait until the limit is reset, or raise it."
	case probe.ExecRateLimited:
		return "Wait a few minutes and run fewer agents at the same time."
	}
	return "Run codex login as the user the agent runs as."
}

// Advice for an agent that is installed and gets no answer, or one that other requests do not get. `codex doctor` would
// report nothing new.
const (
	adviceUnexpectedForAgent = "Wait and run the agent again. If it lasts, check the service's status page, update the " +
		"agent, and check the model and the base URL in its configuration."
	adviceRouting = "Wait, and check the service's status page: nothing on this host is wrong, and other requests to the " +
		"service are answered. An agent that is signed in with an API key does not ask routing discovery."
	adviceAgentNetwork = "Compare the proxy and CA settings of the agent (its environment and .env file) with those of " +
		"this host. If they are the same, the service may fail only the agent's requests: check its status page."
	adviceAskAgent     = "Run codex login status and codex doctor as the user the agent runs as, and see where they wait."
	adviceAgentTimeout = "Wait and run the agent again: the service may be slow to answer the agent's requests. If it " +
		"lasts, check the service's status page, then the proxy in the agent's environment."
)

// serviceForAgentAdvice is for a run of the agent that got no answer, although the installation works.
func serviceForAgentAdvice(r *probe.Result) string {
	if slices.Contains(r.Signals, probe.SignalRouting) {
		return adviceRouting
	}
	return "Nothing to fix here: the agent's installation works. Check the service's status page and wait, or switch to " +
		"another service."
}

// stubAdvice is for an installation whose run against a stub fails, too.
func stubAdvice(stub *probe.Result) string {
	if outcome.IsInstallationFault(stub.Class) {
		return agentAdvice(stub)
	}
	return causes.Agent.About().Advice
}

func agentAdvice(r *probe.Result) string {
	if r.Vantage == probe.FromSandbox && r.Kind != probe.KindExec {
		return "Run the configured sandbox command by hand: codex sandbox, its helper or bwrap may be missing."
	}
	switch r.Class {
	case probe.ExecNotFound:
		return "Install the agent, or set its path in the configuration."
	case probe.ExecConfigInvalid:
		return "Fix the setting at the location shown in the evidence."
	case probe.ExecHomeUnwritable:
		return "Make CODEX_HOME writable for the user the agent runs as. Files left by root (sudo codex) are the usual " +
			"reason."
	case probe.ExecModelRejected:
		return "Choose another model in config.toml."
	case probe.ExecTimedOut:
		if r.Kind == probe.KindStatus {
			return adviceAskAgent
		}
		return adviceAgentTimeout
	case probe.ExecKilled:
		return "Look for the out-of-memory killer in the journal, and check the limits of the unit."
	}
	if isAgentRequestFailure(r) {
		return adviceAgentNetwork
	}
	return causes.Agent.About().Advice
}

// strictClientAdvice is what to do about a nameserver whose answers a strict client does not forgive. The order of the
// nameservers and the options in resolv.conf do not help: musl asks all at once, and has none of single-request,
// no-aaaa and use-vc.
func strictClientAdvice(g *groupedRound, r *probe.Result) string {
	host, _, _ := net.SplitHostPort(r.Server)
	another := func(other *probe.Result) bool { return other.Server != r.Server }
	switch {
	case host == wslTunnel:
		return resolverAdvice(r)
	case strings.HasPrefix(r.AnswersTo, r.Target+"."):
		return adviceSuffixed
	case r.Class == probe.DNSNameNotResolved && g.nameserver(probe.FromHost, probe.ResolverAsksService, another) != nil:
		return "Remove the nameserver " + host + " from /etc/resolv.conf, or all others: " + g.Expect.Client.Name +
			" asks all of them at once and takes the first answer. Their order does not help."
	}
	return "Use another nameserver in /etc/resolv.conf, or make this one answer AAAA queries of names without IPv6 with " +
		"NOERROR and no records: " + g.Expect.Client.Name + " needs an answer to both A and AAAA. No option of " +
		"resolv.conf helps."
}

// contrastAdvice is resolverAdvice, unless another nameserver in the file resolves the name.
func contrastAdvice(g *groupedRound, r *probe.Result) string {
	move := moveAdvice(g, r)
	if move != "" && g.Expect.Client.Resolver == clientrules.Musl {
		return strictClientAdvice(g, r)
	}
	return cmp.Or(move, resolverAdvice(r))
}

// moveAdvice is for programs linked with glibc, if r, a lookup at the first nameserver, ends in NXDOMAIN and another
// nameserver in the file resolves the name. It is empty otherwise.
func moveAdvice(g *groupedRound, r *probe.Result) string {
	host, _, _ := net.SplitHostPort(r.Server)
	other := g.nameserver(probe.FromHost, probe.ResolverAsksService,
		func(other *probe.Result) bool { return other.OK() && other.Server != r.Server })
	if r.Class != probe.DNSNameNotResolved || other == nil || host == "" || resolverAdvice(r) != "" {
		return ""
	}
	better, _, _ := net.SplitHostPort(other.Server)
	return "Move the nameserver " + better + " before " + host + " in /etc/resolv.conf, or remove " + host + ": glibc " +
		"asks the first one, and takes its NXDOMAIN as final."
}
