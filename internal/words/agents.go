package words

import (
	"fmt"

	"netwatchd/internal/causes"
	"netwatchd/internal/probe"
)

// An agent is what advice calls the parts of one agent.
type agent struct {
	name   string
	signIn string // the command that signs in
	ask    string // the commands that report on its sign-in and its connection
	doctor string // the command that checks the installation
	home   string // the directory that it must be able to write
	model  string // where its model is chosen
}

var agents = []agent{
	{"codex", "codex login", "codex login status and codex doctor", "codex doctor", "CODEX_HOME", "config.toml"},
	{"claude", "claude auth login", "claude auth status and claude doctor", "claude doctor", "~/.claude or CLAUDE_CONFIG_DIR",
		"the probe's claude.model"},
	{"gemini", "gemini", "gemini", "gemini -p hello", "~/.gemini or GEMINI_CLI_HOME", "the probe's gemini.model"},
	{"opencode", "opencode auth login", "opencode auth list", "opencode run hello", "~/.local/share/opencode",
		"opencode.json or the probe's opencode.model"},
	{"copilot", "copilot login", "copilot", "copilot", "~/.copilot or COPILOT_HOME", "COPILOT_MODEL"},
}

// agentOf returns the agent of a run or of its status. Any other attempt is codex's.
func agentOf(r *probe.Result) agent {
	for _, a := range agents {
		if a.name == r.Target {
			return a
		}
	}
	return agents[0]
}

// advice is what to do about an installation that does not work.
func (a agent) advice() string {
	if a == agents[0] {
		return causes.Agent.About().Advice
	}
	return fmt.Sprintf("Run %s --version and %s by hand, as the user shown in the evidence, and fix what they report.",
		a.name, a.doctor)
}
