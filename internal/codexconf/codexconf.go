// Package codexconf reads the files from which codex takes its settings, and merges them as codex does. The order was
// measured with 0.104.0 and 0.169.0, by what a command of the agent could do, and where codex sent its requests.
package codexconf

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"netwatchd/internal/redact"
	"netwatchd/internal/userfile"
)

// Setup is where codex's files are.
type Setup struct {
	Home   string // CODEX_HOME; empty: there is none
	System string // /etc/codex

	// What this version of codex does.
	RefusesProfile   bool // does not start with profile = "…" in config.toml
	ReadsPermissions bool // default_permissions
	HasProxy         bool // features.network_proxy
}

// A Configuration is the files that codex reads, the one that wins first.
type Configuration struct {
	Layers []Layer
	Notes  []string // files that cannot be read, and settings that codex refuses
	Listed bool     // [projects] has a trust_level for the directory or its repository
}

// A Layer is one file, or the profile that one selects.
type Layer struct {
	Source  string // the file, abbreviated
	Managed bool   // the administrator's, above all others
	Project string // the directory, if the file belongs to a project

	keys map[string]any
}

// Configuration reads the files for a codex that works in no project. managed_config.toml of the system wins over
// everything, also over the command line. Below it are the user's config.toml and the system's. A profile wins over all
// of them.
func (s Setup) Configuration() Configuration {
	c := s.Files()
	c.selectProfile(s)
	return c
}

// Files reads the files for a codex that works in no project, without the profile.
func (s Setup) Files() (c Configuration) {
	c.read(filepath.Join(s.System, "managed_config.toml"), "")
	c.read(filepath.Join(s.Home, "config.toml"), "")
	c.read(filepath.Join(s.System, "config.toml"), "")
	path := filepath.Join(s.Home, "managed_config.toml")
	if _, err := os.Lstat(path); err == nil && s.Home != "" { // Windows reads it there
		c.Notes = append(c.Notes, fmt.Sprintf("%s has no effect: on Linux codex reads %s", userfile.Short(path),
			filepath.Join(s.System, "managed_config.toml")))
	}
	return c
}

// In returns the configuration for a codex that works in dir: the files of a trusted project win over the user's, the
// innermost directory first. It applies the profile and reports only what is wrong with the project's files.
func (c Configuration) In(dir string, s Setup) Configuration {
	project := c.project(dir)
	at := slices.IndexFunc(c.Layers, func(l Layer) bool { return !l.Managed })
	if at < 0 {
		at = len(c.Layers)
	}
	project.Layers = slices.Insert(slices.Clone(c.Layers), at, project.Layers...)
	project.selectProfile(s)
	return project
}

// read adds the file at path as the weakest layer.
func (c *Configuration) read(path, project string) {
	if !filepath.IsAbs(path) {
		return // no home
	}
	keys, err := userfile.ReadTOML(path)
	c.Notes = append(c.Notes, userfile.Notes(path, err)...)
	if err == nil {
		managed := filepath.Base(path) == "managed_config.toml"
		c.Layers = append(c.Layers, Layer{Source: userfile.Short(path), keys: keys, Managed: managed, Project: project})
	}
}

// project returns the files of the project that dir belongs to, if codex trusts it: .codex/config.toml of dir and of
// the directories above it, up to that of the repository. Trust of dir itself and of its repository count, that of
// other directories above does not. A trusted repository wins over an untrusted directory in it.
func (c Configuration) project(dir string) (p Configuration) {
	root := repository(dir)
	own, whole := c.trust(dir), c.trust(root)
	p.Listed = own != "" || whole != ""
	if own != "trusted" && whole != "trusted" {
		return p
	}
	for at := dir; ; at = filepath.Dir(at) {
		p.read(filepath.Join(at, ".codex", "config.toml"), dir)
		if at == root || at == filepath.Dir(at) {
			return p
		}
	}
}

// trust returns the trust_level of a directory, or "".
func (c Configuration) trust(dir string) string {
	level, _ := c.Text("projects", dir, "trust_level")
	return level
}

// repository returns the directory with the repository that dir is in, else dir.
func repository(dir string) string {
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Lstat(filepath.Join(at, ".git")); err == nil {
			return at
		}
		if at == filepath.Dir(at) {
			return dir
		}
	}
}

// selectProfile applies profile = "NAME", which selects the table profiles.NAME.
func (c *Configuration) selectProfile(s Setup) {
	value, source := c.Get("profile")
	if value == nil {
		return
	}
	name, isText := value.(string)
	name = strings.TrimSpace(name)
	switch {
	case !isText:
		// [profile.work] is a common slip. codex then does not start (measured with 0.104.0 and 0.169.0).
		c.Notes = append(c.Notes, fmt.Sprintf("%s: profile is not a name, so codex does not start: a table of settings is "+
			"[profiles.NAME], with an s", source))
	case name == "":
	case s.RefusesProfile:
		c.Notes = append(c.Notes, fmt.Sprintf(
			"%s: codex no longer accepts profile = %q: remove it, and start codex with --profile", source, redact.String(name)))
	default:
		table, source := c.Get("profiles", name)
		if keys, ok := table.(map[string]any); ok {
			selected := map[string]any{
				"model": keys["model"], "model_provider": keys["model_provider"], "sandbox_mode": keys["sandbox_mode"],
			}
			c.Layers = slices.Insert(c.Layers, 0, Layer{Source: source + ", profiles." + name, keys: selected})
		}
	}
}

// Get returns the value at the keys and the file it is from. Tables of several files are merged.
func (c Configuration) Get(keys ...string) (value any, source string) {
	for _, l := range c.Layers {
		v := l.Get(keys...)
		switch {
		case v == nil:
		case value == nil:
			value, source = v, l.Source
		default:
			value = merged(value, v)
		}
	}
	return value, source
}

func (l Layer) Get(keys ...string) any {
	var v any = l.keys
	for _, key := range keys {
		table, _ := v.(map[string]any)
		v = table[key]
	}
	return v
}

// merged adds to a what only b has.
func merged(a, b any) any {
	upper, isTable := a.(map[string]any)
	lower, both := b.(map[string]any)
	if !isTable || !both {
		return a
	}
	all := maps.Clone(lower)
	for key, value := range upper {
		all[key] = merged(value, lower[key])
	}
	return all
}

func (c Configuration) Text(keys ...string) (text, source string) {
	value, source := c.Get(keys...)
	text, _ = value.(string)
	return strings.TrimSpace(text), source
}

// Decides returns the strongest layer that sets the keys. It reports false if none does.
func (c Configuration) Decides(keys ...string) (Layer, bool) {
	i := slices.IndexFunc(c.Layers, func(l Layer) bool { return l.Get(keys...) != nil })
	if i < 0 {
		return Layer{}, false
	}
	return c.Layers[i], true
}

// projectLimit bounds how many projects are examined. Some users have hundreds; the daemon does it twice a minute.
const projectLimit = 100

// Projects returns the directories that [projects] lists and that exist, in the order of their names. It leaves out
// those on a file server, unless home, the CODEX_HOME, is there too.
func (c Configuration) Projects(home string) (dirs []string) {
	table, _ := c.Get("projects")
	all, _ := table.(map[string]any)
	mounts := userfile.ReadMounts()
	for _, dir := range slices.Sorted(maps.Keys(all)) {
		if c.trust(dir) == "" || !filepath.IsAbs(dir) || len(dirs) == projectLimit || mounts.MayHang(dir, home) {
			continue
		}
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}
