package host

import (
	"slices"
	"strings"
)

// The signals of which a reader elsewhere may want to speak by name; [Signals] has them all.
const (
	OnlyLoopback         = "only_loopback"
	EnvNetworkDisabled   = "env_network_disabled"
	EnvProxyActive       = "env_proxy_active"
	EnvCodexCI           = "env_codex_ci"
	AncestorCodexSandbox = "ancestor_codex_sandbox"
	AncestorCodex        = "ancestor_codex"
	AncestorBwrap        = "ancestor_bwrap"
	OwnNetns             = "own_netns"
	SeccompFilter        = "seccomp_filter"
	NoNewPrivs           = "no_new_privs"
)

// A sign is a signal beside the socket test. None decides; those of Codex name the maker of what the socket test found.
type sign struct {
	name  string
	codex bool
	words string // for people; only the signs of Codex are ever spoken
}

var signs = []sign{
	{name: OnlyLoopback},
	{EnvNetworkDisabled, true, "CODEX_SANDBOX_NETWORK_DISABLED=1"},
	{EnvProxyActive, true, "CODEX_NETWORK_PROXY_ACTIVE=1"},
	{EnvCodexCI, true, "CODEX_CI=1"},
	{AncestorCodexSandbox, true, "started by codex-linux-sandbox"},
	{AncestorCodex, true, "started by codex"},
	{name: AncestorBwrap},
	{name: OwnNetns},
	{name: SeccompFilter},
	{name: NoNewPrivs},
}

// Signals is the closed list of what a look at this process may see: the values of Detection.Signals and of the `signal`
// label. docs/signals.md says what each means.
func Signals() []string {
	var all []string
	for _, family := range families {
		for _, refusal := range refusals {
			all = append(all, signalOf(family.name, refusal.name))
		}
	}
	for _, s := range signs {
		all = append(all, s.name)
	}
	return all
}

// signalOf names what a socket test saw: "socket_inet_eperm".
func signalOf(family, errno string) string { return "socket_" + family + "_" + errno }

// Detection says whether this process is denied the network, by whom, and what shows it.
type Detection struct {
	Denied  bool     `json:"denied"`
	Maker   string   `json:"maker,omitempty"` // "the Codex sandbox", "a sandbox", "the service unit"
	Signals []string `json:"signals"`         // everything seen, decisive or not, in the order of [Signals]
	Why     string   `json:"why,omitempty"`   // for people
}

// The makers that can be told apart.
const (
	codexSandbox = "the Codex sandbox"
	otherSandbox     = "a sandbox"
	serviceUnit  = "the service unit"
)

// judge says what the signals mean. Only what the kernel answers to socket(2) decides, or the signature of Codex's managed
// proxy: a variable may be inherited by what left the sandbox, a filter be there with the network allowed, a namespace be
// empty for another reason.
func judge(signals []string) Detection {
	s := Detection{Signals: signals}
	saw := func(name string) bool { return slices.Contains(signals, name) }
	switch {
	case saw("socket_inet_eperm"), saw("socket_inet_eacces"):
		s.deny("socket(AF_INET) is not permitted")
	// codex 0.169 with its managed proxy: IP sockets open, but lead only to the proxy on loopback.
	case saw("socket_unix_eperm") && saw(OnlyLoopback):
		s.deny("socket(AF_UNIX) is not permitted and lo is the only interface")
	// systemd's RestrictAddressFamilies= answers EAFNOSUPPORT. It is no agent's sandbox, but the network is denied all the same.
	case saw("socket_inet_eafnosupport"):
		s.Denied, s.Maker = true, serviceUnit
		s.Why = "socket(AF_INET) is not supported for this process: RestrictAddressFamilies= of its systemd unit; " +
			"allow AF_INET AF_INET6 AF_NETLINK AF_UNIX there"
	}
	return s
}

func (s *Detection) deny(because string) {
	s.Denied, s.Maker = true, otherSandbox
	words := []string{because}
	for _, sign := range signs {
		if sign.codex && slices.Contains(s.Signals, sign.name) {
			s.Maker = codexSandbox
			words = append(words, sign.words)
		}
	}
	s.Why = strings.Join(words, "; ") + ": " + s.Maker
}
