package codex

import (
	"net/url"
	"time"

	"netwatchd/internal/agent"
	"netwatchd/internal/probe"
)

// Agent describes codex.
func Agent() agent.Agent {
	return agent.Agent{
		Name:     "codex",
		Find:     Find,
		Version:  Version,
		SignedIn: signedInCodex,
		Client:   codexClient, Launcher: "codex.js",
		Endpoint: func(s agent.Settings, v agent.Version) agent.Endpoint { return codexWith(s).Endpoint(v).Endpoint },

		Run: func(s agent.Settings, wrapper []string) probe.Prober {
			c := codexWith(s)
			c.Wrapper = wrapper
			return &c
		},
		Stub: func(s agent.Settings) probe.Prober { return codexStubRun{codexWith(s)} },
		// A run takes half a second on an idle machine, and 12 s with versions before 0.104, which first ask in vain for a
		// list of models.
		StubTimeout: 30 * time.Second,
		Status: func(s agent.Settings, timeout time.Duration) probe.Prober {
			return codexStatus{codexWith(s), timeout}
		},
		Policy: func(v agent.Version, home string, _ []*url.URL) agent.Policy {
			return Codex{Home: home}.setup(v).policy().forAgent()
		},
		Wraps:        true,
		HomeVariable: "CODEX_HOME",
		Variables:    program.Variables,
		RoutingPath:  routingPath,
		Service:      "chatgpt.com/backend-api/codex",
		Install:      "npm install -g @openai/codex",
		SignIn:       "codex login",
	}
}

func codexWith(s agent.Settings) Codex {
	return Codex{
		Path: s.Path, Home: s.Home, StateDir: s.StateDir,
		Model: s.Model, Provider: s.Provider, BaseURL: s.BaseURL, Prompt: s.Prompt, Expect: s.Expect,
	}
}
