package words

import (
	"net"
	"slices"

	"netwatchd/internal/outcome"
	"netwatchd/internal/probe"
)

// Advice that needs no evidence: what to do, in full sentences.
const (
	AdviceConnectionsBlocked = "Sign in to the network if it asks for that, or ask its operator which proxy or VPN it " +
		"requires, and what its rules for ports 80 and 443 are."
	AdviceBaseURL = "Start the local proxy or server that the base URL points to, or remove the base URL from the agent's " +
		"configuration."
	AdviceNoRouteToService = "Find the missing route: ip route get ADDRESS. A VPN that has ended may have removed it."
	AdviceNoNameserver     = "Add a nameserver to /etc/resolv.conf: the file is missing, empty or unreadable."
	AdviceUnpublished      = "Check /etc/hosts, and the options search and ndots in /etc/resolv.conf: one of them " +
		"makes programs use another address."
	AdviceIssuer = "If your company inspects TLS, install its CA here and set its issuer in the configuration. If the " +
		"issuer is a well-known one, update ca-certificates."
	AdviceUnknownName = "Connect the VPN, or make this host ask the nameserver that knows the name: run resolvectl status, " +
		"and compare /etc/resolv.conf with a host where it works."
	AdviceExpiredLink = "Update ca-certificates on this host, so that it trusts the newer root. If the service is yours, remove " +
		"the expired certificate from the chain that it sends."
	AdviceEndingCertificate = "Renew the certificate, and find out why it was not renewed by itself: clients refuse the " +
		"service once it has ended."
	AdviceOutdatedTLS = "Nothing is down. Enable TLS 1.2 or later with an ECDHE cipher suite on the server: programs built with " +
		"current TLS libraries cannot connect to it."
	AdviceClientCertificate = "Set tls.cert_file and tls.key_file of the probe to a certificate that the server accepts, or " +
		"point the probe at an address that needs none."
	AdviceClientCertificateRefused = "Read the server's reason in the evidence, and issue a certificate that it accepts for " +
		"tls.cert_file: it may have expired, or have another issuer than the server trusts."
	AdviceSignInRemoved = "Signing in again does not help. Show the error in the evidence to whoever runs the gateway, " +
		"proxy or TLS inspection of this network: it must pass on the Authorization header."
	AdviceLocation = "Check which country your address appears to be in, and whether the service supports it: turn the " +
		"VPN off, or on. Signing in again does not help."
	AdviceUnexpectedOutput = "Read the output in the evidence: either the model answers differently, or the expected " +
		"output is out of date."
	AdviceTLSBlocked = "Look for what blocks port 443 or drops large packets, for example a VPN tunnel: try " +
		"ip link set dev NAME mtu 1280."
	AdviceSlowPath = "Check the link first (Wi-Fi, VPN, a busy uplink). If it cannot be made faster, give the " +
		"probe a longer timeout."
	AdvicePacketLoss = "Check the link first (Wi-Fi, VPN, cable), then look for packet loss with mtr."
	AdviceShortage   = "Find what holds the descriptors or the memory (ss -s, lsof -p PID, free -m) and end it, or " +
		"raise LimitNOFILE= or MemoryMax= of the unit."
	AdviceNear = "Check the server at that address: it needs no internet connection. No control was reached either: this " +
		"host may be offline too."
	AdviceTUNProxy = "Check the TUN proxy or VPN (Clash, sing-box, …): whether it runs, whether its upstream server answers, " +
		"and its rule for the service. Or turn it off."
	AdviceSearchDomain = "Remove the domain from search in /etc/resolv.conf, or set options ndots:1 there."
	AdviceOneAddress   = "Nothing to fix here if the service is run by others: some of its servers fail, and a retry may " +
		"reach another one. If it is yours, take the address in the evidence out of DNS until it works."
	AdviceIntermittent = "A retry works: let the agent retry. If the service is yours, look for the one of its servers, or of the " +
		"machines before them, that fails: its log has the times in the evidence."
	AdviceRewritingNames = "Use a nameserver that does not rewrite NXDOMAIN: with this one, mistyped names seem to exist."
	AdviceSuffixed       = "This is how WSL's DNS tunnel answers while Windows has a DNS suffix: run wsl --shutdown on " +
		"Windows and set dnsTunneling=false in .wslconfig, or remove the suffix on Windows. Elsewhere, use another " +
		"nameserver."
	AdviceClosedAsWanted = "Nothing is broken: allow network access for a run if its task needs it."
)

// WSLTunnel is the address of WSL's DNS tunnel (microsoft/WSL, dnsTunneling).
const WSLTunnel = "10.255.255.254"

// Advice for an agent that is installed and gets no answer, or one that other requests do not get. `codex doctor` would
// report nothing new.
const (
	AdviceUnexpectedForAgent = "Wait and run the agent again. If it lasts, check the service's status page, update the " +
		"agent, and check the model and the base URL in its configuration."
	AdviceRouting = "Wait, and check the service's status page: nothing on this host is wrong, and other requests to the " +
		"service are answered. An agent that is signed in with an API key does not ask routing discovery."
	AdviceAgentNetwork = "Compare the proxy and CA settings of the agent (its environment and .env file) with those of " +
		"this host. If they are the same, the service may fail only the agent's requests: check its status page."
	AdviceAgentTimeout = "Wait and run the agent again: the service may be slow to answer the agent's requests. If it " +
		"lasts, check the service's status page, then the proxy in the agent's environment."
)

// ResolverAdvice is empty if the advice of the cause fits.
func ResolverAdvice(r *probe.Result) string {
	host, _, _ := net.SplitHostPort(r.Server)
	switch {
	case r.Warned(probe.WarnHostsFile):
		return "Remove the name from /etc/hosts."
	case r.Warned(probe.WarnNotAsked):
		return "Set \"hosts: files dns\" in /etc/nsswitch.conf."
	case host == "127.0.0.53":
		return "Restart the stub resolver on this host: systemctl restart systemd-resolved; then run resolvectl status."
	case host == WSLTunnel:
		return "This is WSL's DNS tunnel: run wsl --shutdown on Windows, or set dnsTunneling=false in .wslconfig."
	}
	return ""
}

func TurnedAdvice(r *probe.Result) string {
	if r.FullName != "" {
		return AdviceSearchDomain
	}
	return StrayAdvice(r)
}

func StrayAdvice(r *probe.Result) string {
	if r.Warned(probe.WarnHostsFile) {
		return ResolverAdvice(r)
	}
	return "Use another nameserver, or wait until this one's cached address expires. If a VPN has just ended, " +
		"restart what it configured."
}

func IssuerAdvice(r *probe.Result) string {
	if r.TLS != nil && r.TLS.ExpiredLink != "" {
		return AdviceExpiredLink
	}
	return AdviceIssuer
}

func ClientCertificateAdvice(r *probe.Result) string {
	if r.Warned(probe.WarnClientCertificate) {
		return AdviceClientCertificateRefused
	}
	return AdviceClientCertificate
}

// EdgeAdvice is empty if the advice of the cause fits.
func EdgeAdvice(r *probe.Result) string {
	if r.Refusal != nil && r.Refusal.Location {
		return AdviceLocation
	}
	return ""
}

func AccountAdvice(r *probe.Result) string {
	switch r.Class {
	case probe.ExecUsageLimit:
		return "Check the plan's usage page: wait until the limit is reset, or raise it."
	case probe.ExecRateLimited:
		return "Wait a few minutes and run fewer agents at the same time."
	}
	return "Run " + agentOf(r).signIn + " as the user the agent runs as."
}

// ServiceForAgentAdvice is for a run of the agent that got no answer, although the installation works.
func ServiceForAgentAdvice(r *probe.Result) string {
	if slices.Contains(r.Signals, probe.SignalRouting) {
		return AdviceRouting
	}
	return "Nothing to fix here: the agent's installation works. Check the service's status page and wait, or switch to " +
		"another service."
}

// StubAdvice is for an installation whose run against a stub fails, too.
func StubAdvice(run, stub *probe.Result) string {
	if outcome.IsInstallationFault(stub.Class) {
		ofAgent := *stub
		ofAgent.Target = run.Target // that of stub is for people
		return AgentAdvice(&ofAgent)
	}
	return agentOf(run).advice()
}

func AgentAdvice(r *probe.Result) string {
	if r.Vantage == probe.FromSandbox && r.Kind != probe.KindExec {
		return "Run the sandbox command by hand, as netwatchd config show prints it: its helper or bwrap may be missing."
	}
	switch r.Class {
	case probe.ExecNotFound:
		return "Install the agent, or set its path in the configuration."
	case probe.ExecConfigInvalid:
		return "Fix the setting at the location shown in the evidence."
	case probe.ExecHomeUnwritable:
		return "Make " + agentOf(r).home + " writable for the user the agent runs as. Files left by root (sudo " +
			agentOf(r).name + ") are the usual reason."
	case probe.ExecModelRejected:
		return "Choose another model in " + agentOf(r).model + "."
	case probe.ExecTimedOut:
		if r.Kind == probe.KindStatus {
			return "Run " + agentOf(r).ask + " as the user the agent runs as, and see where they wait."
		}
		return AdviceAgentTimeout
	case probe.ExecKilled:
		return "Look for the out-of-memory killer in the journal, and check the limits of the unit."
	}
	if outcome.IsAgentRequestFailure(r) {
		return AdviceAgentNetwork
	}
	return agentOf(r).advice()
}
