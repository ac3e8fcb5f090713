package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"strings"

	"netwatchd/internal/probe"
	"netwatchd/internal/redact"
)

// proxyNames are what decides by which way requests leave, in either spelling.
var proxyNames = []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}

func proxiesOf(environ []string) map[string]string {
	all := make(map[string]string)
	for _, name := range proxyNames {
		value := lookup(environ, name)
		if value == "" {
			value = lookup(environ, strings.ToLower(name))
		}
		if value != "" {
			all[name] = value
		}
	}
	return all
}

// proxies holds the daemon's environment against the shell's: WSL's autoProxy, and /etc/profile, give proxies to shells and
// not to services, so that an agent and the daemon leave by different ways.
func (e *examination) proxies(context.Context) []Finding {
	const check = "proxy"
	if e.daemon == nil {
		return nil
	}
	text, err := fs.ReadFile(e.Root, fmt.Sprintf("proc/%d/environ", e.daemon.pid))
	shell := proxiesOf(e.Environ)
	switch {
	case err != nil && len(shell) == 0 && e.straight():
		return []Finding{{check, OK, "neither this shell nor the daemon's requests use one", nil}}
	case err != nil: // another user's, or one of a unit with users of its own
		return []Finding{{check, Unknown, "the daemon's environment cannot be seen by this user", []Change{run("sudo --preserve-env netwatchd doctor")}}}
	}
	daemon := proxiesOf(strings.Split(string(text), "\x00"))
	var differ, lines []string
	for _, name := range proxyNames {
		if shell[name] == daemon[name] {
			continue
		}
		differ = append(differ, fmt.Sprintf("%s is %s here and %s there", name, shown(name, shell[name]), shown(name, daemon[name])))
		lines = append(lines, fmt.Sprintf("Environment=%s=%s", name, redact.Named(name, shell[name])))
	}
	if len(differ) == 0 {
		says := "neither this shell nor the daemon has one"
		if len(shell) > 0 {
			says = "this shell and the daemon have the same"
		}
		return []Finding{{check, OK, says, nil}}
	}
	return []Finding{{check, Advice, "an agent of this shell and the daemon leave by different ways: " + strings.Join(differ, "; "),
		e.own.dropIn("proxy.conf", append([]string{"[Service]"}, lines...)...)}}
}

// straight reports whether the daemon's requests to its services are seen to go by no proxy.
func (e *examination) straight() bool {
	seen := false
	if e.answer.status != nil {
		for _, s := range e.answer.status.Services {
			for _, r := range s.Results {
				if r.Kind != probe.KindHTTP || r.Role != probe.OfService || r.Vantage != probe.FromHost {
					continue
				}
				if seen = true; r.Proxy != "" {
					return false
				}
			}
		}
	}
	return seen
}

func shown(name, value string) string {
	if value == "" {
		return "not set"
	}
	return redact.Named(name, value)
}
