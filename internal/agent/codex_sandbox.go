package agent

import (
	"fmt"
	"netwatchd/internal/codexconf"
	"netwatchd/internal/redact"
	"netwatchd/internal/userfile"
	"path/filepath"
	"slices"
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

	version Version
	mode    string // that is in force; empty if a profile is
	// Settings of a project's file: the sandbox is not started in the project.
	profile, proxy []string
}

const (
	readOnly         = "read-only"
	workspaceWrite   = "workspace-write"
	dangerFullAccess = "danger-full-access" // no sandbox at all
)

// Each tried with a command of the agent.
var (
	readsPermissions = Version{Minor: 128} // default_permissions; 0.104.0 ignores it
	hasNetworkProxy  = Version{Minor: 142} // features.network_proxy; 0.128.0 ignores it
)

// policy returns what the configuration allows the agent's commands. What it allows depends on the directory, and
// nobody knows where the agent will work: the directory is one of those that [projects] lists, the one with the most
// access to the network. If it lists none that exists, it is a directory that codex does not know.
func (s codexSetup) policy() Policy {
	files := s.conf().Files()
	limits, notes := s.requirements()
	notes = slices.Concat(files.Notes, notes)
	best := Policy{}
	for i, dir := range files.Projects(s.home) {
		c := files.In(dir, s.conf())
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
	if best.mode == "" && best.Profile == "" {
		c := s.conf().Configuration()
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

func (s codexSetup) requirements() (limits, []string) {
	path := filepath.Join(s.system, "requirements.toml")
	keys, err := userfile.ReadTOML(path)
	l := limits{source: path, network: keys["experimental_network"]}
	l.modes, _ = keys["allowed_sandbox_modes"].([]any)
	return l, userfile.Notes(path, err)
}

func (s codexSetup) policyOf(c codexconf.Configuration, l limits) Policy {
	p := Policy{version: s.version}
	if name, by, ok := s.permissionsProfile(c); ok {
		p.Profile = name
		p.decidedBy(by)
		p.Network = profileAllowsNetwork(c, name)
		p.Asked = p.Network
		if by.Project != "" {
			p.profile = append(p.profile, "default_permissions="+quoted(name))
		}
	} else {
		p.byMode(c)
	}
	if p.Profile != "" && isOfProject(c, "permissions") {
		all, _ := c.Get("permissions")
		p.profile = append(p.profile, "permissions="+inlineTOML(all))
	}
	if s.since(hasNetworkProxy) && p.mode != dangerFullAccess && hasProxy(c) {
		p.Proxied = p.Network
		if isOfProject(c, "features", "network_proxy") {
			p.proxy = settings("features.network_proxy=true")
		}
	}
	p.limitTo(l)
	p.noteUselessDomains(c)
	return p
}

// permissionsProfile returns the permissions profile that is in force, and the file that selects it. The strongest file
// that has sandbox_mode or default_permissions decides which of the two counts; in one file default_permissions does.
func (s codexSetup) permissionsProfile(c codexconf.Configuration) (name string, by codexconf.Layer, ok bool) {
	if !s.since(readsPermissions) {
		return "", codexconf.Layer{}, false
	}
	for _, l := range c.Layers {
		if name, ok := l.Get("default_permissions").(string); ok {
			return name, l, true
		}
		if l.Get("sandbox_mode") != nil {
			break
		}
	}
	return "", codexconf.Layer{}, false
}

// extendsLimit bounds how far a profile's parents are followed: a user may write a circle, which codex refuses.
const extendsLimit = 16

func profileAllowsNetwork(c codexconf.Configuration, name string) bool {
	for range extendsLimit {
		if name == ":"+dangerFullAccess {
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
func (p *Policy) byMode(c codexconf.Configuration) {
	p.Mode, _ = c.Text("sandbox_mode")
	p.mode = p.Mode
	if p.mode == "" {
		p.mode = readOnly
		if c.Listed {
			p.mode = workspaceWrite
		}
	}
	value, _ := c.Get("sandbox_workspace_write", "network_access")
	access := value == true
	p.Network = p.mode == dangerFullAccess || p.mode == workspaceWrite && access
	p.Asked = p.Network || p.Mode == "" && access
	by, ok := c.Decides("sandbox_mode")
	if p.Mode == "" || p.Mode == workspaceWrite {
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

func (p *Policy) decidedBy(l codexconf.Layer) {
	p.File, p.Project, p.Forced = l.Source, l.Project, l.Managed
}

// hasProxy reports whether features.network_proxy is on, in either of its forms.
func hasProxy(c codexconf.Configuration) bool {
	value, _ := c.Get("features", "network_proxy")
	if table, ok := value.(map[string]any); ok {
		value = table["enabled"]
	}
	return value == true
}

// isOfProject reports whether a project's file sets the keys.
func isOfProject(c codexconf.Configuration, keys ...string) bool {
	by, _ := c.Decides(keys...)
	return by.Project != ""
}

// limitTo applies requirements.toml. A mode that is not allowed becomes read-only. experimental_network forces the
// proxy on all commands; 0.104.0 then lets no command out.
func (p *Policy) limitTo(l limits) {
	if l.modes != nil && p.mode != "" && !slices.Contains(l.modes, any(p.mode)) {
		p.mode, p.Network, p.Asked, p.Proxied = readOnly, false, false, false
		p.decidedBy(codexconf.Layer{Source: l.source, Managed: true})
	}
	switch table, set := l.network.(map[string]any); {
	case !set:
	case p.isBefore(hasNetworkProxy):
		p.Network, p.Asked = false, false
		p.decidedBy(codexconf.Layer{Source: l.source, Managed: true})
	case table["enabled"] == true && p.mode != dangerFullAccess:
		p.Network, p.Proxied = true, true
		p.decidedBy(codexconf.Layer{Source: l.source, Managed: true})
	}
}

func (p *Policy) noteUselessDomains(c codexconf.Configuration) {
	if domains, by := c.Get("permissions", p.Profile, "network", "domains"); domains != nil && p.Network && !p.Proxied {
		p.Notes = append(p.Notes, fmt.Sprintf("%s: permissions.%s.network.domains has no effect without "+
			"features.network_proxy = true: commands of codex reach every host", by, p.Profile))
	}
}

func (p Policy) isBefore(v Version) bool { return p.version != Version{} && p.version.Compare(v) < 0 }

// Command returns the command that runs its arguments as the agent runs its own commands.
//
// `codex sandbox` alone does not: 0.169.0 ignores sandbox_mode in its files and obeys it only on the command line,
// where managed_config.toml and requirements.toml then apply too. A permissions profile it obeys by itself. 0.104.0
// always blocks the network there, but with network_access it runs the agent's commands on the host's network without a
// filter (measured). Their network is then that of any other process.
func (p Policy) Command() []string {
	if p.Profile != "" && !p.isBefore(sandboxWithoutSystem) {
		return p.sandbox(slices.Concat(settings(p.profile...), p.proxy))
	}
	return p.commandWith(p.mode)
}

// RunCommand is like Command, for a run of the agent itself: it can write its working directory, if there is a way to
// do so with the same network. Since 0.142 codex needs a home that it can write, and ends before it uses the network
// otherwise (measured).
func (p Policy) RunCommand() []string {
	if p.mode == dangerFullAccess || p.Proxied && p.Profile != "" {
		return p.Command()
	}
	return p.commandWith(workspaceWrite)
}

func (p Policy) commandWith(mode string) []string {
	if p.isBefore(sandboxWithoutSystem) {
		if p.Network {
			return []string{"env"}
		}
		return p.sandbox(nil)
	}
	flags := settings("sandbox_mode=" + quoted(mode))
	if mode == workspaceWrite { // a file may have network_access, which the mode that is in force ignores
		flags = append(flags, settings(fmt.Sprintf("sandbox_workspace_write.network_access=%t", p.Network))...)
	}
	return p.sandbox(slices.Concat(flags, p.proxy))
}

// sandboxWithoutSystem is the first version whose `codex sandbox` takes no operating system. Newer ones take "linux"
// as the command to run, older ones require it (tried: 0.104.0, 0.130.0, 0.133.0; 0.134.0, 0.135.0, 0.169.0).
var sandboxWithoutSystem = Version{Minor: 134}

// sandbox returns the command of codex that runs its arguments in a sandbox.
func (p Policy) sandbox(flags []string) []string {
	command := []string{"codex", "sandbox"}
	if p.isBefore(sandboxWithoutSystem) {
		command = append(command, "linux")
	}
	return append(append(command, flags...), "--")
}
