package codex

import (
	"fmt"
	"slices"

	"netwatchd/internal/agent"
	"netwatchd/internal/codexconf"
)

// A sandboxPolicy is what codex's configuration allows its commands.
type sandboxPolicy struct {
	codexconf.Policy
	version agent.Version
}

// Each tried with a command of the agent.
var (
	readsPermissions = agent.Version{Minor: 128} // default_permissions; 0.104.0 ignores it
	hasNetworkProxy  = agent.Version{Minor: 142} // features.network_proxy; 0.128.0 ignores it
)

func (s codexSetup) policy() sandboxPolicy { return sandboxPolicy{s.conf().Policy(), s.version} }

// PolicyOf returns what the files in home (empty: the user's) allow the commands of a codex of that version.
func PolicyOf(version agent.Version, home string) codexconf.Policy {
	return Codex{Home: home}.setup(version).policy().Policy
}

func (p sandboxPolicy) forAgent() agent.Policy {
	return agent.Policy{Network: p.Network, Asked: p.Asked, Proxied: p.Proxied, File: p.File, Notes: p.Notes,
		Command: p.command(), RunCommand: p.runCommand()}
}

func (p sandboxPolicy) isBefore(v agent.Version) bool {
	return p.version != agent.Version{} && p.version.Compare(v) < 0
}

// command returns the command that runs its arguments as the agent runs its own commands.
//
// `codex sandbox` alone does not: 0.169.0 ignores sandbox_mode in its files and obeys it only on the command line,
// where managed_config.toml and requirements.toml then apply too. A permissions profile it obeys by itself. 0.104.0
// always blocks the network there, but with network_access it runs the agent's commands on the host's network without a
// filter (measured). Their network is then that of any other process.
func (p sandboxPolicy) command() []string {
	if p.Profile != "" && !p.isBefore(sandboxWithoutSystem) {
		return p.sandbox(p.ofProject("default_permissions", "permissions", "features.network_proxy"))
	}
	return p.commandWith(p.InForce)
}

// runCommand is like command, for a run of the agent itself: it can write its working directory, if there is a way to
// do so with the same network. Since 0.142 codex needs a home that it can write, and ends before it uses the network
// otherwise (measured).
func (p sandboxPolicy) runCommand() []string {
	if p.InForce == codexconf.DangerFullAccess || p.Proxied && p.Profile != "" {
		return p.command()
	}
	return p.commandWith(codexconf.WorkspaceWrite)
}

func (p sandboxPolicy) commandWith(mode string) []string {
	if p.isBefore(sandboxWithoutSystem) {
		if p.Network {
			return []string{"env"}
		}
		return p.sandbox(nil)
	}
	flags := settings("sandbox_mode=" + quoted(mode))
	if mode == codexconf.WorkspaceWrite { // a file may have network_access, which the mode that is in force ignores
		flags = append(flags, settings(fmt.Sprintf("sandbox_workspace_write.network_access=%t", p.Network))...)
	}
	return p.sandbox(slices.Concat(flags, p.ofProject("features.network_proxy")))
}

// sandboxWithoutSystem is the first version whose `codex sandbox` takes no operating system. Newer ones take "linux"
// as the command to run, older ones require it (tried: 0.104.0, 0.130.0, 0.133.0; 0.134.0, 0.135.0, 0.169.0).
var sandboxWithoutSystem = agent.Version{Minor: 134}

// sandbox returns the command of codex that runs its arguments in a sandbox.
func (p sandboxPolicy) sandbox(flags []string) []string {
	command := []string{"codex", "sandbox"}
	if p.isBefore(sandboxWithoutSystem) {
		command = append(command, "linux")
	}
	return append(append(command, flags...), "--")
}

// ofProject returns flags with those of the keys that a project's file sets.
func (p sandboxPolicy) ofProject(keys ...string) (flags []string) {
	for _, key := range keys {
		if value, ok := p.OfProject[key]; ok {
			flags = append(flags, settings(key+"="+inlineTOML(value))...)
		}
	}
	return flags
}
