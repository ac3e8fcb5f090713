package snapshot

import (
	"path/filepath"
	"strings"

	"netwatchd/internal/codexconf"
	"netwatchd/internal/redact"
)

// A Policy is what the agent's configuration allows the agent's commands.
type Policy struct {
	Mode    string `json:"sandbox_mode,omitempty"`        // "workspace-write"; empty: no file sets it
	Network bool   `json:"network_access"`                // whether commands may use the network
	Profile string `json:"permissions_profile,omitempty"` // that replaces both settings
	File    string `json:"file,omitempty"`                // that decides; empty: none does, it is the agent's default
	Change  Change `json:"change,omitzero"`               // what would allow the network; zero: it is allowed
}

// A Change is what to write to a file.
type Change struct {
	File  string   `json:"file"`
	Lines []string `json:"lines"`
	Run   string   `json:"run"` // the command that does the same for one run of the agent; empty: there is none
}

// describePolicy returns the policy for a bug report: the names of projects are private. own is the user's config.toml.
func describePolicy(of codexconf.Policy, own string) *Policy {
	p := &Policy{Mode: redact.String(of.Mode), Network: of.Network, Profile: redact.String(of.Profile), File: of.File}
	if of.Project != "" {
		p.File = filepath.Join("PROJECT", ".codex", "config.toml")
	}
	if p.Network {
		return p
	}
	if filepath.Base(p.File) == "requirements.toml" {
		p.Change = Change{File: p.File, Lines: []string{`allowed_sandbox_modes = ["read-only", "workspace-write"]`}}
		return p
	}
	p.Change = p.change(own)
	if of.Forced {
		p.Change.Run = ""
	}
	return p
}

const networkFlag = "-c sandbox_workspace_write.network_access=true"

// change returns the lines that would allow the network. Under read-only, network_access has no effect.
func (p *Policy) change(own string) Change {
	c := Change{File: own}
	if p.File != "" {
		c.File = p.File
	}
	if p.Profile != "" && !strings.HasPrefix(p.Profile, ":") { // those that codex brings along cannot be changed
		c.Lines = []string{"[permissions." + redact.String(p.Profile) + ".network]", "enabled = true"}
		return c
	}
	c.Run = "codex " + networkFlag
	if p.Mode != "workspace-write" {
		c.Lines = append(c.Lines, `sandbox_mode = "workspace-write"`)
		c.Run = "codex -s workspace-write " + networkFlag
	}
	c.Lines = append(c.Lines, "[sandbox_workspace_write]", "network_access = true")
	return c
}

func table(all map[string]any, name string) map[string]any {
	t, _ := all[name].(map[string]any)
	return t
}

// countProjects counts the projects by their trust level.
func countProjects(user map[string]any) *Projects {
	projects := table(user, "projects")
	if len(projects) == 0 {
		return nil
	}
	n := new(Projects)
	for name := range projects {
		switch level, _ := table(projects, name)["trust_level"].(string); level {
		case "trusted":
			n.Trusted++
		case "untrusted":
			n.Untrusted++
		default:
			n.Other++
		}
	}
	return n
}
