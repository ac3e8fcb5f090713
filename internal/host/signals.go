package host

import (
	"slices"
	"strings"
)

// Signals that other packages refer to by name. [Signals] lists all of them.
const (
	OnlyLoopback         = "only_loopback"
	EnvNetworkDisabled   = "env_network_disabled"
	EnvProxyActive       = "env_proxy_active"
	EnvCodexCI           = "env_codex_ci"
	EnvPermissionProfile = "env_permission_profile"
	EnvSandboxRuntime    = "env_sandbox_runtime"
	AncestorCodexSandbox = "ancestor_codex_sandbox"
	AncestorCodex        = "ancestor_codex"
	AncestorBwrap        = "ancestor_bwrap"
	OwnNetns             = "own_netns"
	SeccompFilter        = "seccomp_filter"
	NoNewPrivs           = "no_new_privs"
)

// A hint is a signal other than the socket test. No hint decides whether the network is denied. A hint of an agent
// tells whose sandbox the socket test found.
type hint struct {
	name  string
	maker string // empty: it tells nobody's
	text  string // for people; only the hints of a maker are ever shown
}

var hints = []hint{
	{name: OnlyLoopback},
	{EnvNetworkDisabled, codexSandbox, "CODEX_SANDBOX_NETWORK_DISABLED=1"},
	{EnvProxyActive, codexSandbox, "CODEX_NETWORK_PROXY_ACTIVE=1"},
	{EnvCodexCI, codexSandbox, "CODEX_CI=1"},
	{EnvPermissionProfile, codexSandbox, "CODEX_PERMISSION_PROFILE is set"},
	{EnvSandboxRuntime, claudeSandbox, "SANDBOX_RUNTIME=1"},
	{AncestorCodexSandbox, codexSandbox, "started by codex-linux-sandbox"},
	{AncestorCodex, codexSandbox, "started by codex"},
	{name: AncestorBwrap},
	{name: OwnNetns},
	{name: SeccompFilter},
	{name: NoNewPrivs},
}

// Signals returns the closed list of signals: the values of Detection.Signals and of the `signal` label.
// docs/signals.md explains each.
func Signals() []string {
	var all []string
	for _, family := range families {
		for _, refusal := range refusals {
			all = append(all, signalOf(family.name, refusal.name))
		}
	}
	for _, h := range hints {
		all = append(all, h.name)
	}
	return all
}

// signalOf returns the signal of a failed socket test: "socket_inet_eperm".
func signalOf(family, errno string) string { return "socket_" + family + "_" + errno }

// Detection tells whether this process is denied the network, by what, and which signals show it.
type Detection struct {
	Denied  bool     `json:"denied"`
	Maker   string   `json:"maker,omitempty"` // "the Codex sandbox", "a sandbox", "the service unit"
	Signals []string `json:"signals"`         // all signals found, decisive or not, in the order of [Signals]
	Why     string   `json:"why,omitempty"`   // for people
}

// HasProxy reports whether the sandbox has a proxy of its own, which may let a service through.
func (d Detection) HasProxy() bool {
	return slices.Contains(d.Signals, EnvProxyActive) ||
		slices.Contains(d.Signals, EnvSandboxRuntime) && slices.Contains(d.Signals, OnlyLoopback)
}

// The values of Detection.Maker.
const (
	codexSandbox  = "the Codex sandbox"
	claudeSandbox = "the sandbox of Claude Code (sandbox-runtime)"
	otherSandbox  = "a sandbox"
	serviceUnit   = "the service unit"
)

// judge decides whether the network is denied. Only the kernel's answer to socket(2) decides, or the signature of a
// sandbox whose only exit is its own proxy: a process outside the sandbox may have inherited a variable, a filter may
// allow the network, and a namespace may be empty for another reason.
func judge(signals []string) Detection {
	s := Detection{Signals: signals}
	saw := func(name string) bool { return slices.Contains(signals, name) }
	switch {
	case saw("socket_inet_eperm"), saw("socket_inet_eacces"):
		s.deny("socket(AF_INET) is not permitted")
	// codex 0.169 with its managed proxy, and sandbox-runtime: IP sockets open, but reach only the proxy on loopback.
	case saw("socket_unix_eperm") && saw(OnlyLoopback):
		s.deny("socket(AF_UNIX) is not permitted and lo is the only interface")
	// systemd's RestrictAddressFamilies= returns EAFNOSUPPORT. That is not an agent's sandbox, but it denies the network
	// too.
	case saw("socket_inet_eafnosupport"):
		s.Denied, s.Maker = true, serviceUnit
		s.Why = "socket(AF_INET) is blocked by RestrictAddressFamilies= in the systemd unit: " +
			"allow AF_INET AF_INET6 AF_NETLINK AF_UNIX there"
	}
	return s
}

func (s *Detection) deny(reason string) {
	s.Denied, s.Maker = true, otherSandbox
	reasons := []string{reason}
	for _, h := range hints {
		if h.maker != "" && slices.Contains(s.Signals, h.name) {
			s.Maker = h.maker
			reasons = append(reasons, h.text)
		}
	}
	s.Why = strings.Join(reasons, "; ") + ": " + s.Maker
}
