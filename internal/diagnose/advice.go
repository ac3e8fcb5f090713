package diagnose

import (
	"net"
	"netwatchd/internal/probe"
)

// resolverAdvice is empty if the cause's own says all there is to say.
func resolverAdvice(r *probe.Result) string {
	host, _, _ := net.SplitHostPort(r.Server)
	switch {
	case fromHostsFile(r):
		return "Take the name out of /etc/hosts."
	case hasWarning(r, "dns_not_asked"):
		return "Write \"hosts: files dns\" into /etc/nsswitch.conf."
	case host == "127.0.0.53":
		return "Start the stub on this host again: systemctl restart systemd-resolved; then resolvectl status."
	case host == "10.255.255.254":
		return "It is WSL's DNS tunnel: wsl --shutdown from Windows, or dnsTunneling=false in .wslconfig."
	}
	return ""
}

func strayAdvice(r *probe.Result) string {
	if fromHostsFile(r) {
		return resolverAdvice(r)
	}
	return "Ask another nameserver, or wait until this one has forgotten the address; after a VPN has ended, restart what it configured."
}

func accountAdvice(r *probe.Result) string {
	switch r.Class {
	case probe.ExecUsageLimit:
		return "Look at the plan's usage page: wait until the limit is lifted, or raise it."
	case probe.ExecRateLimited:
		return "Wait some minutes and run less at once."
	}
	return "Run codex login as the user the agent runs as."
}

func agentAdvice(r *probe.Result) string {
	if r.Vantage == probe.FromSandbox && r.Kind != probe.KindExec {
		return "Run the sandbox's command of the configuration by hand: codex sandbox, its helper or bwrap may be missing."
	}
	switch r.Class {
	case probe.ExecNotFound:
		return "Install it, or give its path in the configuration."
	case probe.ExecConfigInvalid:
		return "Correct config.toml at the place the evidence names."
	case probe.ExecHomeUnwritable:
		return "Make CODEX_HOME writable for the user the agent runs as; files left by root (sudo codex) are the usual reason."
	case probe.ExecModelRejected:
		return "Choose another model in config.toml."
	case probe.ExecKilled:
		return "Look for the out-of-memory killer in the journal, and at the limits of the unit."
	}
	return Agent.About().Advice
}
