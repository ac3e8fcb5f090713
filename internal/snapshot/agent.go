package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"netwatchd/internal/agent"
	"netwatchd/internal/agent/codex"
	"netwatchd/internal/redact"
	"netwatchd/internal/userfile"
)

// An Agent describes the Codex CLI as installed and configured on this host.
type Agent struct {
	Program
	Home          string    `json:"home"`
	Configuration string    `json:"configuration,omitempty"` // TOML, without secrets
	Fault         string    `json:"configuration_fault,omitempty"`
	Policy        *Policy   `json:"policy,omitempty"`   // nil: unknown
	Projects      *Projects `json:"projects,omitempty"` // nil: none is configured
	Features      []string  `json:"features,omitempty"` // enabled features
	Flags         []Flag    `json:"flags,omitempty"`    // all features
	SignIn        string    `json:"sign_in"`            // whether there is one, never its content
}

// Projects counts the configured projects by trust level. Their names are private.
type Projects struct {
	Trusted   int `json:"trusted"`
	Untrusted int `json:"untrusted"`
	Other     int `json:"other"`
}

// A Flag is a feature of the agent.
type Flag struct {
	Name  string `json:"name"`
	Stage string `json:"stage"` // "stable", "experimental", "under development", …
	On    bool   `json:"on"`
}

func describeAgent(ctx context.Context, o Options) *Agent {
	a := &Agent{Program: Program{Name: "codex"}, Home: codexHome(o)}
	var user map[string]any
	a.Configuration, user, a.Fault = configuration(filepath.Join(a.Home, "config.toml"))
	a.SignIn = signIn(filepath.Join(a.Home, "auth.json"))
	path, err := codex.Find(o.Path)
	var version agent.Version // unknown: taken as the newest
	if err == nil {
		a.Path = path
		version, err = codex.Version(ctx, path)
	}
	if a.Fault == "" || a.Fault == noSuchFile {
		a.Policy = describePolicy(codex.PolicyOf(version, a.Home), filepath.Join(a.Home, "config.toml"))
		a.Projects = countProjects(user)
	}
	if err != nil {
		a.Program.Fault = redact.String(err.Error())
	} else {
		a.Version = version.String()
	}
	if a.Path == "" {
		return a
	}
	a.Flags = flags(ctx, path, a.Home, o.State)
	for _, f := range a.Flags {
		if f.On {
			a.Features = append(a.Features, f.Name)
		}
	}
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

// configuration returns the file without secrets and as it is, or why it cannot be shown. It parses the file and writes
// it again, because a secret does not always look like one: values of a tool's environment and of headers are never
// shown.
func configuration(path string) (text string, raw map[string]any, fault string) {
	shown, err := userfile.ReadTOML(path)
	if err != nil {
		return "", nil, faultOf(err)
	}
	raw, _ = userfile.ReadTOML(path) // a second copy: hiding secrets changes the first
	if projects, ok := shown["projects"].(map[string]any); ok {
		shown["projects"] = fmt.Sprintf("%d, names omitted", len(projects))
	}
	clean, err := toml.Marshal(withoutSecrets("", shown, false))
	if err != nil {
		return "", raw, redact.String(err.Error())
	}
	return redact.String(string(clean)), raw, ""
}

const noSuchFile = "no such file"

func faultOf(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return noSuchFile
	}
	return err.Error()
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

// flags returns the features of the agent as the user has them. codex runs in a separate home with a link to the user's
// configuration, because every run leaves files in its home.
func flags(ctx context.Context, path, home, state string) []Flag {
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
	var all []Flag
	for line := range strings.Lines(out) { // name, stage of one or more words, true or false
		if words := strings.Fields(line); len(words) >= 3 {
			last := len(words) - 1
			stage := redact.String(strings.Join(words[1:last], " "))
			all = append(all, Flag{redact.String(words[0]), stage, words[last] == "true"})
		}
	}
	slices.SortFunc(all, func(a, b Flag) int { return strings.Compare(a.Name, b.Name) })
	return all
}
