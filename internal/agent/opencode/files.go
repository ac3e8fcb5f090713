package opencode

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"netwatchd/internal/agent"
	"netwatchd/internal/clientrules"
	"netwatchd/internal/userfile"
)

// setup is what decides how an opencode behaves: its files and its environment. A directory is empty if there is none.
type setup struct {
	agent.Settings

	home                string // for ~ in the files
	config, data, state string // opencode's own directories below those of the XDG Base Directory Specification
	managed             string // the administrator's
	env                 []string
}

// managedDir has the settings that an administrator makes. They win over all others.
const managedDir = "/etc/opencode"

func setupOf(s agent.Settings) setup {
	made := setup{Settings: s, managed: managedDir, env: os.Environ(), home: s.Home}
	if made.home == "" {
		if home, err := os.UserHomeDir(); err == nil && home != "/" {
			made.home = home
		}
	}
	if made.home == "" {
		return made
	}
	dir := func(variable, usual string) string {
		if base := os.Getenv(variable); s.Home == "" && filepath.IsAbs(base) {
			return filepath.Join(base, "opencode")
		}
		return filepath.Join(made.home, usual, "opencode")
	}
	made.config = dir("XDG_CONFIG_HOME", ".config")
	made.data = dir("XDG_DATA_HOME", ".local/share")
	made.state = dir("XDG_STATE_HOME", ".local/state")
	return made
}

// variable returns a variable of the environment, without spaces around it.
func (s setup) variable(name string) string {
	value, _ := clientrules.EnvironmentOf(s.env)(name)
	return strings.TrimSpace(value)
}

func (s setup) auth() string { return filepath.Join(s.data, "auth.json") }

// settings is what the settings files say together.
type settings struct {
	all      map[string]any    // merged, for a run: it may hold keys
	from     map[string]string // the file that sets a provider's address, by the provider
	Model    string            `json:"model"` // provider/model
	Enabled  []string          `json:"enabled_providers"`
	Disabled []string          `json:"disabled_providers"`

	Providers map[string]struct {
		API     string   `json:"api"`
		Env     []string `json:"env"` // variables that may have the key
		Options struct {
			BaseURL string `json:"baseURL"`
			Key     string `json:"apiKey"`
		} `json:"options"`
	} `json:"provider"`
}

// readSettings merges the settings files as opencode 1.18.33 does. The files of a project are not read: a daemon is in
// none.
func (s setup) readSettings(e *agent.Endpoint) settings {
	merged := settings{all: make(map[string]any), from: make(map[string]string)}
	for _, path := range s.settingsFiles() {
		text, err := userfile.Read(path)
		if err == nil {
			err = merged.add(text, filepath.Dir(path), userfile.Short(path), s)
		}
		e.Note(path, err)
	}
	if text := s.variable("OPENCODE_CONFIG_CONTENT"); text != "" {
		if err := merged.add([]byte(text), "/", "OPENCODE_CONFIG_CONTENT", s); err != nil {
			e.Notes = append(e.Notes, "OPENCODE_CONFIG_CONTENT "+err.Error())
		}
	}
	// What has another type than expected is left out: opencode refuses the file, and says where.
	text, err := json.Marshal(merged.all)
	if err == nil {
		_ = json.Unmarshal(text, &merged)
	}
	return merged
}

func (s setup) settingsFiles() (paths []string) {
	inDir := func(dir string, names ...string) {
		for _, name := range names {
			if dir != "" {
				paths = append(paths, filepath.Join(dir, name))
			}
		}
	}
	inDir(s.config, "config.json", "opencode.json", "opencode.jsonc")
	if path := s.variable("OPENCODE_CONFIG"); filepath.IsAbs(path) {
		paths = append(paths, path)
	}
	if s.home != "" {
		inDir(filepath.Join(s.home, ".opencode"), "opencode.json", "opencode.jsonc")
	}
	inDir(s.variable("OPENCODE_CONFIG_DIR"), "opencode.json", "opencode.jsonc")
	inDir(s.managed, "opencode.json", "opencode.jsonc")
	return paths
}

// add merges a file in dir into the settings. Source names it for people.
func (m *settings) add(text []byte, dir, source string, s setup) error {
	var file map[string]any
	if json.Unmarshal(userfile.WithoutComments(text), &file) != nil {
		return errors.New("is not valid JSON")
	}
	file = s.resolve(file, dir).(map[string]any)
	providers, _ := file["provider"].(map[string]any)
	for id, one := range providers {
		provider, _ := one.(map[string]any)
		options, _ := provider["options"].(map[string]any)
		if provider["api"] != nil || options["baseURL"] != nil {
			m.from[id] = source
		}
	}
	merge(m.all, file)
	return nil
}

// merge copies from into to: an object is merged with the one that is there, anything else replaces it.
func merge(to, from map[string]any) {
	for key, value := range from {
		old, both := to[key].(map[string]any)
		if value, ok := value.(map[string]any); ok && both {
			merge(old, value)
			continue
		}
		to[key] = value
	}
}

// reference is what opencode replaces in a settings file: {env:NAME} and {file:PATH}.
var reference = regexp.MustCompile(`\{(env|file):([^}]+)\}`)

// resolve replaces the references in all strings below value. A file's path is relative to dir. A variable that is not
// set, and a file that cannot be read, are empty.
func (s setup) resolve(value any, dir string) any {
	switch value := value.(type) {
	case string:
		return reference.ReplaceAllStringFunc(value, func(found string) string {
			parts := reference.FindStringSubmatch(found)
			if parts[1] == "env" {
				return s.variable(parts[2])
			}
			path := parts[2]
			if rest, ok := strings.CutPrefix(path, "~/"); ok {
				path = filepath.Join(s.home, rest)
			} else if !filepath.IsAbs(path) {
				path = filepath.Join(dir, path)
			}
			text, _ := userfile.Read(path)
			return strings.TrimSpace(string(text))
		})
	case map[string]any:
		for key := range value {
			value[key] = s.resolve(value[key], dir)
		}
	case []any:
		for i := range value {
			value[i] = s.resolve(value[i], dir)
		}
	}
	return value
}

// A credential is what is read of an entry in auth.json.
type credential struct {
	Type    string `json:"type"` // "api", "oauth", "wellknown"
	Key     string `json:"key"`
	Access  string `json:"access"`
	Refresh string `json:"refresh"`
	Expires int64  `json:"expires"` // oauth: Unix time in milliseconds
}

func (c credential) isUsable() bool { return c.Key != "" || c.Access != "" || c.Refresh != "" }

// credentials reads the sign-ins by provider. opencode reads a variable in place of the file, if it is set.
func (s setup) credentials(e *agent.Endpoint) map[string]credential {
	var all map[string]credential
	if text := s.variable("OPENCODE_AUTH_CONTENT"); text != "" && json.Unmarshal([]byte(text), &all) == nil {
		return all
	}
	if s.data == "" {
		return nil
	}
	text, err := userfile.Read(s.auth())
	if err == nil && json.Unmarshal(text, &all) != nil {
		err = errors.New("is not valid JSON")
	}
	e.Note(s.auth(), err)
	return all
}

// recentModels returns the models that the user chose last, newest first: opencode takes the first one that it can use
// if the settings name no model.
func (s setup) recentModels() (models []string) {
	if s.state == "" {
		return nil
	}
	var file struct {
		Recent []struct {
			Provider string `json:"providerID"`
			Model    string `json:"modelID"`
		} `json:"recent"`
	}
	text, err := userfile.Read(filepath.Join(s.state, "model.json"))
	if err != nil || json.Unmarshal(text, &file) != nil {
		return nil
	}
	for _, recent := range file.Recent {
		models = append(models, recent.Provider+"/"+recent.Model)
	}
	return models
}
