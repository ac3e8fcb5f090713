package plan

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"netwatchd/internal/agent"
	"netwatchd/internal/config"
	"netwatchd/internal/host"
	"netwatchd/internal/probe"
	"netwatchd/internal/userfile"
)

// withSettings returns the policy's command, with its settings in a file.
func (w wrapper) withSettings(p agent.Policy, command func(agent.Policy) []string) ([]string, error) {
	argv := slices.Clone(command(p))
	if len(argv) == 0 {
		return nil, probe.Failf(probe.ExecNotFound, "%s has no sandbox to start: check the notes of netwatchd config show",
			w.agent.Name)
	}
	i := slices.Index(argv, agent.SettingsFile)
	if i < 0 {
		return argv, nil
	}
	file, err := w.writeSettings(p.Settings)
	argv[i] = file
	return argv, err
}

// writeSettings writes the settings for the service's sandbox. A user who runs `netwatchd check` may not be able to
// write the daemon's storage, and then uses a cache directory.
func (w wrapper) writeSettings(text []byte) (file string, err error) {
	dirs := []string{w.state}
	if cache, err := os.UserCacheDir(); err == nil {
		dirs = append(dirs, filepath.Join(cache, "netwatchd"))
	}
	for _, dir := range dirs {
		if file, err = filepath.Abs(filepath.Join(dir, w.agent.Name+"-sandbox", w.settingsName())); err != nil {
			continue
		}
		if old, readErr := userfile.Read(file); readErr == nil && bytes.Equal(old, text) {
			return file, nil
		}
		if err = userfile.Replace(file, text); err == nil {
			return file, nil
		}
	}
	return "", probe.Failf(probe.Internal, "writing the settings of %s's sandbox: %w", w.agent.Name, err)
}

// grant returns how to let this process, which runs in the sandbox of the service's agent, reach the service; empty: it
// runs in another sandbox, or that is not known.
func grant(s config.Service) string {
	if !slices.Contains(selfSandboxed().Signals, host.EnvSandboxRuntime) {
		return ""
	}
	return s.Sandbox.Grant
}

// selfSandboxed tells whether this process may use the network. That never changes while it runs.
var selfSandboxed = sync.OnceValue(host.DetectSandbox)

// settingsName is a file name for the service, whose own name may hold any character.
func (w wrapper) settingsName() string {
	sum := fnv.New32a()
	sum.Write([]byte(w.service))
	return fmt.Sprintf("%08x.json", sum.Sum32())
}
