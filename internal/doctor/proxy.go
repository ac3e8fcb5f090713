package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"strings"

	"netwatchd/internal/probe"
	"netwatchd/internal/redact"
)

// proxyNames are the variables that select a proxy, in upper or lower case.
var proxyNames = []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}

// Proxies returns the variables of an environment that select a proxy, by their names in upper case.
func Proxies(environ []string) map[string]string {
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

// proxies compares the daemon's proxy variables with the shell's. WSL's autoProxy and /etc/profile set proxies for
// shells but not for services, so an agent and the daemon may use different network paths.
func (e *examination) proxies(context.Context) []Finding {
	const check = "proxy"
	if e.daemon == nil {
		return nil
	}
	text, err := fs.ReadFile(e.Root, fmt.Sprintf("proc/%d/environ", e.daemon.pid))
	shell := Proxies(e.Environ)
	switch {
	case err != nil && len(shell) == 0 && e.daemonUsesNoProxy():
		return one(check, OK, "neither this shell nor the daemon's probes use a proxy")
	case err != nil: // another user's process, or one in a user namespace
		return one(check, Unknown, "this user cannot read the daemon's environment",
			run("sudo --preserve-env netwatchd doctor"))
	}
	daemon := Proxies(strings.Split(string(text), "\x00"))
	var differ, lines []string
	for _, name := range proxyNames {
		if shell[name] == daemon[name] {
			continue
		}
		differ = append(differ, fmt.Sprintf("%s is %s in this shell and %s in the daemon",
			name, shown(name, shell[name]), shown(name, daemon[name])))
		lines = append(lines, name+"="+redact.Named(name, shell[name]))
	}
	if len(differ) == 0 {
		message := "neither this shell nor the daemon uses a proxy"
		if len(shell) > 0 {
			message = "this shell and the daemon use the same proxy settings"
		}
		return one(check, OK, message)
	}
	return one(check, Advice,
		"an agent in this shell and the daemon use different proxy settings: "+strings.Join(differ, "; "),
		e.inDaemonsEnvironment("proxy.conf", lines)...)
}

// daemonUsesNoProxy reports whether the daemon's status shows http probes to a service, all without a proxy.
func (e *examination) daemonUsesNoProxy() bool {
	found := false
	if e.answer.status != nil {
		for _, s := range e.answer.status.Services {
			for _, r := range s.Results {
				if r.Kind != probe.KindHTTP || r.Role != probe.OfService || r.Vantage != probe.FromHost {
					continue
				}
				if found = true; r.Proxy != "" {
					return false
				}
			}
		}
	}
	return found
}

func shown(name, value string) string {
	if value == "" {
		return "not set"
	}
	return redact.Named(name, value)
}
