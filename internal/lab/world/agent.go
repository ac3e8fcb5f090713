package world

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/responses"
)

// An Agent is codex, installed for a user of the host and signed in to the service of this world. Without a version it
// is only the command that stands for its sandbox.
type Agent struct {
	w       *World
	version string
	dir     string // not under $TMPDIR, where codex's sandbox refuses to have a home
}

// install installs the configured agent until the current test ends.
func (w *World) install() {
	w.t.Helper()
	w.Agent = nil
	if w.config.Agent == "" && w.config.Sandbox == "" {
		return
	}
	dir, err := os.MkdirTemp("/var/tmp", "netwatchd-agent-")
	w.must(err)
	w.t.Cleanup(func() { os.RemoveAll(dir) })
	a := &Agent{w: w, version: w.config.Agent, dir: dir}
	w.Agent = a
	if w.config.Wrapper != "" {
		a.Wrap(w.config.Wrapper)
	}
	if a.version == "" {
		return
	}
	w.must(os.MkdirAll(a.home(), 0o755))
	w.must(os.Symlink(parts.Codex(w.t, a.version), a.launcher()))
	w.must(responses.SignIn(a.home()))
	w.ServiceStreams(Refuses) // codex would use a WebSocket for its turns, which the mock does not support
	w.Env = append(w.Env, "HOME="+filepath.Dir(a.home()), "CODEX_HOME="+a.home(),
		"CODEX_REFRESH_TOKEN_URL_OVERRIDE=https://"+ServiceName+"/oauth/token")
}

func (a *Agent) home() string     { return filepath.Join(a.dir, "home", ".codex") }
func (a *Agent) launcher() string { return filepath.Join(a.dir, "codex") }
func (a *Agent) wrapper() string  { return filepath.Join(a.dir, "wrap") }
func (a *Agent) signIn() string   { return filepath.Join(a.home(), "auth.json") }

// storage is netwatchd's storage directory.
func (a *Agent) storage() string { return filepath.Join(a.dir, "storage") }

// SandboxTimeout bounds a sandbox probe here, including the start of the sandbox.
const SandboxTimeout = 2500 * time.Millisecond

// config is the agent's part of the service's configuration. Agent and sandbox probe run often, so that a scene takes
// seconds.
func (a *Agent) config() string {
	if a == nil {
		return ""
	}
	text := ""
	if a.version != "" {
		// Without runs that have codex's own provider: with the retries of that one they outlast a scene.
		every := 5 * a.w.config.Interval // a run of a second takes five where other tests keep the machine busy
		text = fmt.Sprintf("      - {name: exec, kind: exec, preset: codex, interval: %v, timeout: %v, codex: {path: %q, home: %q, "+
			"builtin_interval: 0s}, status: {interval: %[1]v, timeout: %[2]v}}\n",
			every, every-time.Second, a.launcher(), a.home())
	}
	if a.w.config.Sandbox != "" {
		command := ""
		if a.w.config.Wrapper != "" {
			command = fmt.Sprintf(", command: [%q]", a.wrapper())
		}
		want := "want: " + a.w.config.Sandbox + ", "
		if a.w.config.Sandbox == Unsaid {
			want = ""
		}
		text += fmt.Sprintf("    sandbox: {%sinterval: %v, timeout: %v%s}\n", want, SandboxTimeout+pause, SandboxTimeout, command)
	}
	return text
}

// Sandbox is the command that runs the rest of its arguments as the agent runs its commands.
func (a *Agent) Sandbox() []string { return parts.CodexSandbox(a.w.t, a.version) }

// Configure writes the user's config.toml.
func (a *Agent) Configure(toml string) {
	a.replace(filepath.Join(a.home(), "config.toml"), toml, 0o644)
}

// ConfigureOurs writes the config.toml of netwatchd's own runs.
func (a *Agent) ConfigureOurs(toml string) {
	a.replace(filepath.Join(a.storage(), "codex-home", "config.toml"), toml, 0o644)
}

// Wrap changes the sandbox command: a shell line that runs "$@".
func (a *Agent) Wrap(line string) { a.replace(a.wrapper(), "#!/bin/sh\n"+line+"\n", 0o755) }

// Unwrap removes the sandbox command.
func (a *Agent) Unwrap() { a.hide(a.wrapper()) }

// Uninstall removes codex.
func (a *Agent) Uninstall() { a.hide(a.launcher()) }

// SignOut removes the sign-in.
func (a *Agent) SignOut() { a.hide(a.signIn()) }

// ProtectSignIn makes the sign-in read-only.
func (a *Agent) ProtectSignIn() {
	a.w.t.Helper()
	a.w.t.Cleanup(func() { os.Chmod(a.signIn(), 0o600) })
	a.w.must(os.Chmod(a.signIn(), 0o400))
}

// hide removes a file until the test ends.
func (a *Agent) hide(path string) {
	a.w.t.Helper()
	a.w.t.Cleanup(func() { os.Rename(path+".hidden", path) })
	a.w.must(os.Rename(path, path+".hidden"))
}

// replace replaces a file until the test ends. It renames, because the old file may be running.
func (a *Agent) replace(path, text string, mode os.FileMode) {
	a.w.t.Helper()
	a.w.must(os.MkdirAll(filepath.Dir(path), 0o700))
	if _, err := os.Lstat(path); err == nil {
		a.hide(path)
	} else {
		a.w.t.Cleanup(func() { os.Remove(path) })
	}
	a.w.must(os.WriteFile(path+".next", []byte(text), mode))
	a.w.must(os.Rename(path+".next", path))
}

// RefuseSignIn makes the service reject the sign-in and its renewal.
func (w *World) RefuseSignIn() {
	w.EndTurns(responses.Unauthorized)
	w.t.Cleanup(func() { w.Mock.RefusesRenewal.Store(false) })
	w.Mock.RefusesRenewal.Store(true)
}

// RefuseRouting makes the service fail what codex requests before every turn, and nothing else.
func (w *World) RefuseRouting() {
	w.t.Cleanup(func() { w.Mock.RefusesRouting.Store(false) })
	w.Mock.RefusesRouting.Store(true)
}

// EndTurns changes how the service answers the agent's turns, and nothing else.
func (w *World) EndTurns(how responses.Behaviour) {
	w.t.Cleanup(func() { w.Mock.Behave(responses.OK) })
	w.Mock.Behave(how)
}
