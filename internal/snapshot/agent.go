package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"netwatchd/internal/agent"
	"netwatchd/internal/redact"
)

// An Agent is the Codex CLI as it is installed and configured here.
type Agent struct {
	Program
	Home          string   `json:"home"`
	Configuration string   `json:"configuration,omitempty"` // TOML, without secrets
	Fault         string   `json:"configuration_fault,omitempty"`
	Features      []string `json:"features,omitempty"` // those that are on
	SignIn        string   `json:"sign_in"`            // whether there is one; never what it is
}

func lookAtAgent(ctx context.Context, o Options) *Agent {
	a := &Agent{Program: Program{Name: "codex"}, Home: usersHome(o)}
	a.Configuration, a.Fault = configuration(filepath.Join(a.Home, "config.toml"))
	a.SignIn = signIn(filepath.Join(a.Home, "auth.json"))
	path, err := agent.FindCodex(o.Path)
	if err != nil {
		a.Program.Fault = redact.String(err.Error())
		return a
	}
	a.Path = path
	if version, err := agent.CodexVersion(ctx, path); err != nil {
		a.Program.Fault = redact.String(err.Error())
	} else {
		a.Version = version.String()
	}
	a.Features = features(ctx, path, a.Home, o.State)
	return a
}

func signIn(path string) string {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "none"
	case err != nil:
		return "cannot be looked at"
	}
	return fmt.Sprintf("there, mode %v, changed %s", info.Mode().Perm(), info.ModTime().UTC().Format("2006-01-02 15:04"))
}

// configLimit bounds the file that is read: one of a megabyte is none of a person's.
const configLimit = 256 << 10

// configuration is the file without its secrets, or why it cannot be shown. It is taken apart and written anew, since a
// secret need not look like one: what goes to a tool's environment, or is sent as a header, never shows.
func configuration(path string) (text, fault string) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", "there is none"
	} else if err != nil {
		return "", redact.String(err.Error())
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, configLimit))
	if err != nil {
		return "", redact.String(err.Error())
	}
	var all map[string]any
	if err := toml.Unmarshal(raw, &all); err != nil {
		return "", "it is not TOML: " + redact.String(err.Error())
	}
	if projects, ok := all["projects"].(map[string]any); ok {
		all["projects"] = fmt.Sprintf("%d, their names left out", len(projects))
	}
	clean, err := toml.Marshal(withoutSecrets("", all, false))
	if err != nil {
		return "", redact.String(err.Error())
	}
	return redact.String(string(clean)), ""
}

// private are the tables of which no value is shown, whatever its name.
var private = []string{"env", "set", "http_headers", "headers", "query_params", "otel"}

func withoutSecrets(name string, v any, hidden bool) any {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			v[key] = withoutSecrets(key, v[key], hidden || slices.Contains(private, name))
		}
	case []any:
		for i := range v {
			follows := i > 0 && isSecretFlag(v[i-1])
			v[i] = withoutSecrets(name, v[i], hidden || slices.Contains(private, name) || follows)
		}
	case string:
		if hidden && v != "" {
			return redact.Mark
		}
		return redact.Named(name, v)
	}
	return v
}

// isSecretFlag reports whether the argument after v is a secret: --api-key.
func isSecretFlag(v any) bool {
	flag, ok := v.(string)
	return ok && strings.HasPrefix(flag, "-") && redact.Secret(strings.TrimLeft(flag, "-"))
}

// features are those that are on for the user. codex is asked in a home of our own with the user's configuration linked into
// it: any run of it leaves files where it is at home.
func features(ctx context.Context, path, home, state string) []string {
	if state == "" {
		return nil
	}
	own := filepath.Join(state, "codex-look")
	link := filepath.Join(own, "config.toml")
	if os.MkdirAll(own, 0o700) != nil {
		return nil
	}
	if target, err := os.Readlink(link); err != nil || target != filepath.Join(home, "config.toml") {
		_ = os.Remove(link)
		if os.Symlink(filepath.Join(home, "config.toml"), link) != nil {
			return nil
		}
	}
	said, err := run(ctx, []string{"CODEX_HOME=" + own, "HOME=" + own, "PATH=" + os.Getenv("PATH")}, path, "features", "list")
	if err != nil {
		return nil // older versions do not have it
	}
	var on []string
	for line := range strings.Lines(said) {
		if words := strings.Fields(line); len(words) >= 3 && words[len(words)-1] == "true" {
			on = append(on, redact.String(words[0]))
		}
	}
	slices.Sort(on)
	return on
}
