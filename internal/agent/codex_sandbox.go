package agent

import (
	"path/filepath"

	"netwatchd/internal/probe/execprobe"
)

// sandboxSettings are the settings in a user's config.toml that decide about the network in the sandbox.
type sandboxSettings struct {
	Mode    string // "read-only", "workspace-write", "danger-full-access"; empty: not set
	Network bool   // workspace-write lets commands use the network
}

// Open reports whether commands of the agent may use the network.
func (s sandboxSettings) Open() bool {
	return s.Mode == "danger-full-access" || s.Network && s.Mode != "read-only"
}

// readSandboxSettings reads the config.toml in home; empty: $CODEX_HOME, then ~/.codex. A file that cannot be read
// sets nothing: codex itself reports it when it runs.
func readSandboxSettings(home string) sandboxSettings {
	home, err := Codex{Home: home}.usersHome()
	if err != nil {
		return sandboxSettings{}
	}
	text, err := readUserFile(filepath.Join(home, "config.toml"))
	if err != nil {
		return sandboxSettings{}
	}
	type settings struct {
		Mode      string `toml:"sandbox_mode"`
		Workspace struct {
			Network bool `toml:"network_access"`
		} `toml:"sandbox_workspace_write"`
	}
	var file struct {
		settings
		Profile     string              `toml:"profile"`
		Profiles    map[string]settings `toml:"profiles"`
		Permissions string              `toml:"default_permissions"`
	}
	if decodeTOML(text, &file) != nil || file.Permissions != "" { // `codex sandbox` applies these itself
		return sandboxSettings{}
	}
	return sandboxSettings{
		Mode:    execprobe.FirstNonBlank(file.Profiles[file.Profile].Mode, file.Mode),
		Network: file.Workspace.Network,
	}
}

// agentSandbox returns the command that runs its arguments as this version, with these settings, runs the agent's
// commands.
//
// `codex sandbox` alone does not: 0.169.0 ignores sandbox_mode in config.toml and obeys it only on the command line.
// 0.104.0 always blocks the network there, but with network_access it runs the agent's commands on the host's network
// without a filter (measured). Their network is then that of any other process.
func agentSandbox(v Version, s sandboxSettings) []string {
	command := sandboxCommand(v)
	switch old := v.Compare(sandboxWithoutSystem) < 0; {
	case old && s.Open():
		return []string{"env"}
	case old || s == sandboxSettings{}:
		return command
	}
	mode := s.Mode
	if mode == "" {
		mode = "workspace-write" // the only mode with network_access, and the mode of a trusted project
	}
	last := len(command) - 1
	command = append(command[:last:last], settings("sandbox_mode="+quoted(mode))...)
	if s.Open() {
		command = append(command, settings("sandbox_workspace_write.network_access=true")...)
	}
	return append(command, "--")
}
