package agent

import (
	"slices"
	"strings"

	"netwatchd/internal/clientrules"
)

// codexClient returns how a codex of this version reaches its service.
func codexClient(v Version) clientrules.Client {
	c := clientrules.Codex()
	if setup := (codexSetup{version: v}); !setup.since(readsCAVariable) {
		c.Proxying, c.Trusting = clientrules.OldReqwestProxying, clientrules.OldCodexTrusting
	}
	return c
}

// reachVariables decide how a client reaches its service.
var reachVariables = []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD", "SSL_CERT_FILE",
	"SSL_CERT_DIR"}

// Environment returns the variables of proxies and certificates that a file of the agent sets, name=value, and that
// file. They replace those of the environment.
func (e Endpoint) Environment() (env []string, file string) {
	for _, entry := range e.env {
		name, _, _ := strings.Cut(entry, "=")
		if slices.Contains(reachVariables, strings.ToUpper(name)) {
			env = append(env, entry)
		}
	}
	if len(env) > 0 {
		file = e.envFile
	}
	return env, file
}
