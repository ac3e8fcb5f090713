package agent

import (
	"os"
	"path/filepath"

	"github.com/pelletier/go-toml/v2"

	"netwatchd/internal/probe/execprobe"
)

// sandboxSettings is what a user's config.toml says of the network in the sandbox.
type sandboxSettings struct {
	Mode    string // "read-only", "workspace-write", "danger-full-access"; empty: not said
	Network bool   // workspace-write lets commands use the network
}

// Open reports whether commands of the agent may use the network.
func (s sandboxSettings) Open() bool {
	return s.Mode == "danger-full-access" || s.Network && s.Mode != "read-only"
}

// readSandboxSettings reads them from the config.toml of home; empty: $CODEX_HOME, then ~/.codex. What cannot be read says
// nothing: codex itself complains of it when it is run.
func readSandboxSettings(home string) sandboxSettings {
	home, err := Codex{Home: home}.usersHome()
	if err != nil {
		return sandboxSettings{}
	}
	text, err := os.ReadFile(filepath.Join(home, "config.toml"))
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
	if toml.Unmarshal(text, &file) != nil || file.Permissions != "" { // `codex sandbox` goes by these itself
		return sandboxSettings{}
	}
	return sandboxSettings{
		Mode:    execprobe.FirstNonBlank(file.Profiles[file.Profile].Mode, file.Mode),
		Network: file.Workspace.Network,
	}
}

// agentSandbox is how that version runs a command as the agent's own commands are run with these settings: put the command
// after it.
//
// `codex sandbox` alone is no such thing: 0.169.0 passes over sandbox_mode in config.toml and heeds it on the command line
// only, and 0.104.0 always cuts the network, although it runs the agent's commands on the host's network, without a filter,
// once network_access is set (measured). The network is then that of any other process.
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
		mode = "workspace-write" // the one that heeds network_access, and what a trusted project has
	}
	last := len(command) - 1
	command = append(command[:last:last], settings("sandbox_mode="+quoted(mode))...)
	if s.Open() {
		command = append(command, settings("sandbox_workspace_write.network_access=true")...)
	}
	return append(command, "--")
}
