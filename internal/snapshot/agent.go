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

// An Agent describes the Codex CLI as installed and configured on this host.
type Agent struct {
	Program
	Home          string   `json:"home"`
	Configuration string   `json:"configuration,omitempty"` // TOML, without secrets
	Fault         string   `json:"configuration_fault,omitempty"`
	Features      []string `json:"features,omitempty"` // enabled features
	SignIn        string   `json:"sign_in"`            // whether there is one, never its content
}

func describeAgent(ctx context.Context, o Options) *Agent {
	a := &Agent{Program: Program{Name: "codex"}, Home: codexHome(o)}
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
		return "cannot be read"
	}
	return fmt.Sprintf("present, mode %v, changed %s",
		info.Mode().Perm(), info.ModTime().UTC().Format("2006-01-02 15:04"))
}

// configLimit limits how much of the file is read. No person writes a configuration of a megabyte.
const configLimit = 256 << 10

// configuration returns the file without secrets, or why it cannot be shown. It parses the file and writes it again,
// because a secret does not always look like one: values of a tool's environment and of headers are never shown.
func configuration(path string) (text, fault string) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", "no such file"
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
		return "", "not valid TOML: " + redact.String(err.Error())
	}
	if projects, ok := all["projects"].(map[string]any); ok {
		all["projects"] = fmt.Sprintf("%d, names omitted", len(projects))
	}
	clean, err := toml.Marshal(withoutSecrets("", all, false))
	if err != nil {
		return "", redact.String(err.Error())
	}
	return redact.String(string(clean)), ""
}

// private lists the tables whose values are never shown.
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

// isSecretFlag reports whether v is a flag like --api-key, so that the next argument is a secret.
func isSecretFlag(v any) bool {
	flag, ok := v.(string)
	return ok && strings.HasPrefix(flag, "-") && redact.Secret(strings.TrimLeft(flag, "-"))
}

// features returns the features that are enabled for the user. codex runs in a separate home with a link to the user's
// configuration, because every run leaves files in its home.
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
	env := []string{"CODEX_HOME=" + own, "HOME=" + own, "PATH=" + os.Getenv("PATH")}
	out, err := run(ctx, env, path, "features", "list")
	if err != nil {
		return nil // older versions lack the command
	}
	var on []string
	for line := range strings.Lines(out) {
		if words := strings.Fields(line); len(words) >= 3 && words[len(words)-1] == "true" {
			on = append(on, redact.String(words[0]))
		}
	}
	slices.Sort(on)
	return on
}
