package claudeconf

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// fetched returns the hosts of WebFetch(domain:HOST) rules, which open and close the sandbox too.
func fetched(permissions []string) (hosts []string) {
	for _, rule := range permissions {
		host, isFetch := strings.CutPrefix(rule, "WebFetch(domain:")
		if host, closed := strings.CutSuffix(host, ")"); isFetch && closed {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// Decides returns the rule that decides about a host and port, and whether it lets commands connect there. A denied
// host wins over an allowed one. Nil is the default for a host that no rule names: claude asks its user, and denies
// it in a run without one.
func (p Policy) Decides(host string, port int) (by *Rule, allowed bool) {
	match := func(r Rule) bool { return r.matches(host, port) }
	if i := slices.IndexFunc(p.Denied, match); i >= 0 {
		return &p.Denied[i], false
	}
	if i := slices.IndexFunc(p.Allowed, match); i >= 0 {
		return &p.Allowed[i], true
	}
	return nil, false
}

// matches follows matchesDomainPatternWithPort of sandbox-runtime 0.0.83: "*.example.com" does not match example.com.
func (r Rule) matches(host string, port int) bool {
	pattern, only := splitPort(strings.ToLower(r.Pattern))
	host = strings.ToLower(strings.Trim(host, "[]"))
	if only != 0 && only != port {
		return false
	}
	if base, isWild := strings.CutPrefix(pattern, "*."); isWild {
		_, err := netip.ParseAddr(host)
		return err != nil && strings.HasSuffix(host, "."+base)
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		other, err := netip.ParseAddr(pattern)
		return pattern == "*" || err == nil && other == addr
	}
	return pattern == "*" || host == pattern
}

// splitPort splits ":443" off a pattern. An IPv6 address has brackets.
func splitPort(pattern string) (host string, port int) {
	if inner, isAddress := strings.CutPrefix(pattern, "["); isAddress {
		host, rest, _ := strings.Cut(inner, "]")
		return host, portOf(strings.TrimPrefix(rest, ":"))
	}
	host, number, found := strings.Cut(pattern, ":")
	if port = portOf(number); found && port != 0 {
		return host, port
	}
	return pattern, 0
}

func portOf(text string) int {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || strings.HasPrefix(text, "0") {
		return 0
	}
	return int(port)
}

// Runtime returns the settings with which the program srt sets up the same sandbox, in its JSON. A rule "*", which
// claude accepts, and srt does not, stands for the hosts given.
//
// Commands may read every file and write below their working directory, because these probes test the network alone. A
// pattern that srt refuses is left out: claude ignores it too.
func (p Policy) Runtime(hosts []string) []byte {
	var s struct {
		Network struct {
			Allowed []string `json:"allowedDomains"`
			Denied  []string `json:"deniedDomains"`
			AllUnix bool     `json:"allowAllUnixSockets,omitempty"`
		} `json:"network"`
		Files struct {
			DenyRead   []string `json:"denyRead"`
			AllowWrite []string `json:"allowWrite"`
			DenyWrite  []string `json:"denyWrite"`
		} `json:"filesystem"`
		Weaker bool `json:"enableWeakerNestedSandbox,omitempty"`
	}
	s.Network.Allowed, s.Network.Denied = []string{}, []string{}
	s.Files.DenyRead, s.Files.AllowWrite, s.Files.DenyWrite = []string{}, []string{"."}, []string{}
	s.Network.AllUnix, s.Weaker = p.Unix, p.Weaker
	for _, r := range p.Allowed {
		switch host, _ := splitPort(r.Pattern); {
		case host == "*":
			s.Network.Allowed = append(s.Network.Allowed, hosts...)
		case isValid(host):
			s.Network.Allowed = append(s.Network.Allowed, r.Pattern)
		}
	}
	for _, r := range p.Denied {
		if host, _ := splitPort(r.Pattern); host == "*" || isValid(host) {
			s.Network.Denied = append(s.Network.Denied, r.Pattern)
		}
	}
	text, _ := json.MarshalIndent(s, "", "  ") // of these types it cannot fail
	return append(text, '\n')
}

// isValid follows isValidDomainPattern of sandbox-runtime 0.0.83, which refuses a whole file for one pattern that is
// not.
func isValid(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsValid()
	}
	if host == "localhost" {
		return true
	}
	base, isWild := strings.CutPrefix(host, "*.")
	if strings.ContainsAny(base, ":/*") || !strings.Contains(base, ".") || strings.HasPrefix(base, ".") ||
		strings.HasSuffix(base, ".") {
		return false
	}
	return !isWild || !strings.Contains(base, "..")
}
