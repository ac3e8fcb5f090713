package snapshot

import (
	"fmt"
	"path/filepath"

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

// systemDir is where codex reads the settings of the whole system.
const systemDir = "/etc/codex"

// readPolicy reads the files that codex reads, from the weakest to the strongest: the system's, the user's, and the
// administrator's, which overrides even the command line.
func readPolicy(system, home string, user map[string]any) *Policy {
	p := new(Policy)
	own := filepath.Join(home, "config.toml")
	weakest, strongest := filepath.Join(system, "config.toml"), filepath.Join(system, "managed_config.toml")
	for _, layer := range []string{weakest, own, strongest} {
		all := user
		if layer != own {
			all, _ = readTOML(layer)
		}
		p.read(layer, all)
	}
	if p.Profile == "" && (p.Mode == "danger-full-access" || p.Mode == "read-only") {
		p.Network = p.Mode == "danger-full-access" // whatever [sandbox_workspace_write] has
	}
	if !p.Network {
		p.Change = p.change(own)
	}
	p.Mode, p.Profile = redact.String(p.Mode), redact.String(p.Profile)
	return p
}

// read applies one file.
func (p *Policy) read(file string, all map[string]any) {
	if name, ok := all["profile"].(string); ok { // [profiles.NAME] overrides the top level
		p.readMode(file, table(table(all, "profiles"), name))
	}
	if _, ok := table(table(all, "profiles"), fmt.Sprint(all["profile"]))["sandbox_mode"]; !ok {
		p.readMode(file, all)
	}
	if network, ok := table(all, "sandbox_workspace_write")["network_access"].(bool); ok {
		p.Network, p.File = network, file
	}
	if name, ok := all["default_permissions"].(string); ok {
		p.Profile, p.File = name, file
		p.Network, _ = table(table(table(all, "permissions"), name), "network")["enabled"].(bool)
	}
}

func (p *Policy) readMode(file string, all map[string]any) {
	if mode, ok := all["sandbox_mode"].(string); ok {
		p.Mode, p.File = mode, file
	}
}

func table(all map[string]any, name string) map[string]any {
	t, _ := all[name].(map[string]any)
	return t
}

const networkFlag = "-c sandbox_workspace_write.network_access=true"

// change returns the lines that would allow the network. Under read-only, network_access has no effect.
func (p *Policy) change(own string) Change {
	c := Change{File: own}
	if p.File != "" {
		c.File = p.File
	}
	if p.Profile != "" {
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
