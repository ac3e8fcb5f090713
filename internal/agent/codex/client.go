package codex

import (
	"netwatchd/internal/agent"
	"netwatchd/internal/clientrules"
)

// codexClient returns how a codex of this version reaches its service.
func codexClient(v agent.Version) clientrules.Client {
	c := clientrules.Codex()
	if setup := (codexSetup{version: v}); !setup.since(readsCAVariable) {
		c.Proxying, c.Trusting = clientrules.OldReqwestProxying, clientrules.OldCodexTrusting
	}
	return c
}
