package plan

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"

	"netwatchd/internal/config"
	"netwatchd/internal/reports"
	"netwatchd/internal/sessions"
)

// Sessions returns where this user's agents keep their session files, each with the service that the agent uses.
func (p *Plan) Sessions() []reports.Source {
	home, err := os.UserHomeDir()
	if !p.config.Agents.Sessions || err != nil || home == "/" {
		return nil
	}
	var all []reports.Source
	add := func(agent, dir, service string) {
		all = append(all, reports.Source{Home: sessions.Home{Agent: agent, Dir: dir}, Service: service})
	}
	usual := cmp.Or(os.Getenv("CODEX_HOME"), filepath.Join(home, ".codex"))
	for _, s := range p.config.Services {
		if a := agentOf(s); a != nil && a.Name == "codex" {
			run, _ := agentProbe(s)
			add("codex", cmp.Or(run.Codex.Home, usual), s.Name)
		}
	}
	add("codex", usual, "")
	add("claude", cmp.Or(os.Getenv("CLAUDE_CONFIG_DIR"), filepath.Join(home, ".claude")),
		p.serviceOf("claude", "api.anthropic.com"))
	data := cmp.Or(os.Getenv("XDG_DATA_HOME"), filepath.Join(home, ".local/share"))
	add("opencode", filepath.Join(data, "opencode"), p.serviceOf("opencode", ""))
	return all
}

// serviceOf returns the service that has the name of an agent, or requests its host; empty: there is none.
func (p *Plan) serviceOf(agent, host string) string {
	for _, s := range p.config.Services {
		if s.Name == agent || host != "" && requests(s, host) {
			return s.Name
		}
	}
	return ""
}

func requests(s config.Service, host string) bool {
	for _, p := range s.Probes {
		if p.URL != nil && strings.EqualFold(p.URL.Hostname(), host) {
			return true
		}
	}
	return false
}
