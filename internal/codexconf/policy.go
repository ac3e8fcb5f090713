package codexconf

import (
	"fmt"
	"path/filepath"
	"slices"

	"netwatchd/internal/redact"
	"netwatchd/internal/userfile"
)

// A Policy is what an agent's configuration allows the commands that the agent runs.
type Policy struct {
	Mode    string // sandbox_mode, as a file sets it: "workspace-write"; empty: none does
	Profile string // the permissions profile that replaces it; empty: none
	Network bool   // commands can use the network
	Asked   bool   // the configuration asks for the network, whether that has an effect or not
	Proxied bool   // the network is only the agent's own proxy, which forwards what its rules allow
	File    string // that decides, abbreviated; empty: none does, it is the agent's default
	Project string // the directory of the project that has this file; empty: no project does
	Forced  bool   // it is an administrator's, which wins over the command line
	Notes   []string

	InForce string // the mode that is in force; empty if a profile is
	// Settings of a project's file that decide, for a sandbox that is started elsewhere.
	OfProject map[string]any
}

// The values of sandbox_mode.
const (
	ReadOnly         = "read-only"
	WorkspaceWrite   = "workspace-write"
	DangerFullAccess = "danger-full-access" // no sandbox at all
)

// Policy returns what the configuration allows the agent's commands. What it allows depends on the directory, and
// nobody knows where the agent will work: the directory is one of those that [projects] lists, the one with the most
// access to the network. If it lists none that exists, it is a directory that codex does not know.
func (s Setup) Policy() Policy {
	files := s.Files()
	limits, notes := s.requirements()
	notes = slices.Concat(files.Notes, notes)
	best := Policy{}
	for i, dir := range files.Projects(s.Home) {
		c := files.In(dir, s)
		p := s.policyOf(c, limits)
		if i == 0 || rank(p) > rank(best) {
			best = p
		}
		for _, note := range c.Notes {
			if !slices.Contains(notes, note) {
				notes = append(notes, note)
			}
		}
	}
	if best.InForce == "" && best.Profile == "" {
		c := s.Configuration()
		best = s.policyOf(c, limits)
		notes = slices.Concat(c.Notes, notes[len(files.Notes):])
	}
	best.Notes = append(notes, best.Notes...)
	for i, note := range best.Notes { // names of projects and profiles may hold anything
		best.Notes[i] = redact.Line(note, noteLimit)
	}
	best.File = redact.Line(best.File, noteLimit)
	return best
}

// noteLimit is enough for a sentence and the longest path that people have, in bytes.
const noteLimit = 400

// rank orders policies by how much of the network they allow.
func rank(p Policy) int {
	switch {
	case p.Network && !p.Proxied:
		return 2
	case p.Network:
		return 1
	}
	return 0
}

// limits are what an administrator requires, whatever the configuration says.
type limits struct {
	source  string
	modes   []any // that are allowed; nil: all
	network any   // the table experimental_network; nil: none
}

func (s Setup) requirements() (limits, []string) {
	path := filepath.Join(s.System, "requirements.toml")
	keys, err := userfile.ReadTOML(path)
	l := limits{source: path, network: keys["experimental_network"]}
	l.modes, _ = keys["allowed_sandbox_modes"].([]any)
	return l, userfile.Notes(path, err)
}

func (s Setup) policyOf(c Configuration, l limits) Policy {
	p := Policy{OfProject: make(map[string]any)}
	if name, by, ok := s.permissionsProfile(c); ok {
		p.Profile = name
		p.decidedBy(by)
		p.Network = profileAllowsNetwork(c, name)
		p.Asked = p.Network
		if by.Project != "" {
			p.OfProject["default_permissions"] = name
		}
	} else {
		p.byMode(c)
	}
	if p.Profile != "" && isOfProject(c, "permissions") {
		all, _ := c.Get("permissions")
		p.OfProject["permissions"] = all
	}
	if s.HasProxy && p.InForce != DangerFullAccess && hasProxy(c) {
		p.Proxied = p.Network
		if isOfProject(c, "features", "network_proxy") {
			p.OfProject["features.network_proxy"] = true
		}
	}
	p.limitTo(l, s)
	p.noteUselessDomains(c)
	return p
}

// permissionsProfile returns the permissions profile that is in force, and the file that selects it. The strongest file
// that has sandbox_mode or default_permissions decides which of the two counts; in one file default_permissions does.
func (s Setup) permissionsProfile(c Configuration) (name string, by Layer, ok bool) {
	if !s.ReadsPermissions {
		return "", Layer{}, false
	}
	for _, l := range c.Layers {
		if name, ok := l.Get("default_permissions").(string); ok {
			return name, l, true
		}
		if l.Get("sandbox_mode") != nil {
			break
		}
	}
	return "", Layer{}, false
}

// extendsLimit bounds how far a profile's parents are followed: a user may write a circle, which codex refuses.
const extendsLimit = 16

func profileAllowsNetwork(c Configuration, name string) bool {
	for range extendsLimit {
		if name == ":"+DangerFullAccess {
			return true
		}
		if enabled, _ := c.Get("permissions", name, "network", "enabled"); enabled != nil {
			return enabled == true
		}
		name, _ = c.Text("permissions", name, "extends")
	}
	return false
}

// byMode follows sandbox_mode and network_access. Without a mode it is workspace-write in a directory that [projects]
// lists, trusted or not, and read-only elsewhere, where network_access has no effect.
func (p *Policy) byMode(c Configuration) {
	p.Mode, _ = c.Text("sandbox_mode")
	p.InForce = p.Mode
	if p.InForce == "" {
		p.InForce = ReadOnly
		if c.Listed {
			p.InForce = WorkspaceWrite
		}
	}
	value, _ := c.Get("sandbox_workspace_write", "network_access")
	access := value == true
	p.Network = p.InForce == DangerFullAccess || p.InForce == WorkspaceWrite && access
	p.Asked = p.Network || p.Mode == "" && access
	by, ok := c.Decides("sandbox_mode")
	if p.Mode == "" || p.Mode == WorkspaceWrite {
		if network, set := c.Decides("sandbox_workspace_write", "network_access"); set {
			by, ok = network, true
		}
	}
	if ok {
		p.decidedBy(by)
	}
	if p.Asked && !p.Network {
		p.Notes = append(p.Notes, fmt.Sprintf("%s: network_access = true has no effect: add sandbox_mode = "+
			`"workspace-write", or start codex in the project and trust it`, p.File))
	}
}

func (p *Policy) decidedBy(l Layer) {
	p.File, p.Project, p.Forced = l.Source, l.Project, l.Managed
}

// hasProxy reports whether features.network_proxy is on, in either of its forms.
func hasProxy(c Configuration) bool {
	value, _ := c.Get("features", "network_proxy")
	if table, ok := value.(map[string]any); ok {
		value = table["enabled"]
	}
	return value == true
}

// isOfProject reports whether a project's file sets the keys.
func isOfProject(c Configuration, keys ...string) bool {
	by, _ := c.Decides(keys...)
	return by.Project != ""
}

// limitTo applies requirements.toml. A mode that is not allowed becomes read-only. experimental_network forces the
// proxy on all commands; 0.104.0 then lets no command out.
func (p *Policy) limitTo(l limits, s Setup) {
	if l.modes != nil && p.InForce != "" && !slices.Contains(l.modes, any(p.InForce)) {
		p.InForce, p.Network, p.Asked, p.Proxied = ReadOnly, false, false, false
		p.decidedBy(Layer{Source: l.source, Managed: true})
	}
	switch table, set := l.network.(map[string]any); {
	case !set:
	case !s.HasProxy:
		p.Network, p.Asked = false, false
		p.decidedBy(Layer{Source: l.source, Managed: true})
	case table["enabled"] == true && p.InForce != DangerFullAccess:
		p.Network, p.Proxied = true, true
		p.decidedBy(Layer{Source: l.source, Managed: true})
	}
}

func (p *Policy) noteUselessDomains(c Configuration) {
	if domains, by := c.Get("permissions", p.Profile, "network", "domains"); domains != nil && p.Network && !p.Proxied {
		p.Notes = append(p.Notes, fmt.Sprintf("%s: permissions.%s.network.domains has no effect without "+
			"features.network_proxy = true: commands of codex reach every host", by, p.Profile))
	}
}
