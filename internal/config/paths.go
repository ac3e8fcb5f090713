package config

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
)

// paths are the default locations of the daemon's files.
type paths struct {
	files      []string // configuration files; the first that exists is read
	state, run string
	web        string // web configuration passed by systemd as a credential; empty: none
}

// StatusFiles lists where a daemon may keep a status file that this user can read: the configured path and, if that is
// the default, also those of the system's daemon, of the instance of netwatchd@.service that runs as this user (for
// root: every instance), and of the user's own daemon if this process has no XDG_RUNTIME_DIR.
func (c *Config) StatusFiles() []string {
	me := &user.User{}
	if found, err := user.Current(); err == nil {
		me = found
	}
	return statusFiles(c.StatusFile, hostPaths(), me)
}

func statusFiles(configured string, at paths, me *user.User) []string {
	if configured != filepath.Join(at.run, "status.json") {
		return []string{configured}
	}
	all := []string{configured, systemRun + "/status.json"}
	if me.Uid == "0" {
		instances, _ := filepath.Glob(systemRun + "@*/status.json") // fails only on a malformed pattern
		all = append(all, instances...)
	} else {
		own := filepath.Join("/run/user", me.Uid, "netwatchd/status.json")
		all = append(all, own, systemRun+"@"+me.Username+"/status.json")
	}
	slices.Sort(all)
	return slices.Compact(all)
}

const systemRun = "/run/netwatchd"

const systemFile = "/etc/netwatchd/config.yaml"

func hostPaths() paths {
	if os.Geteuid() == 0 {
		return paths{files: []string{systemFile}, state: "/var/lib/netwatchd", run: systemRun}.inUnit(os.Getenv)
	}
	home, _ := os.UserHomeDir() // without a home, paths are below / and not writable: opening the store reports that
	return userPaths(os.Getenv, home).inUnit(os.Getenv)
}

// webCredential is the credential that may hold a web configuration: LoadCredential= in systemd.exec(5).
const webCredential = "netwatchd.web.yml"

// inUnit returns at with the directories and the credential that systemd provides if this process runs in a unit:
// StateDirectory=, RuntimeDirectory= (the first of several) and LoadCredential= in systemd.exec(5).
func (at paths) inUnit(getenv func(string) string) paths {
	if state, _, _ := strings.Cut(getenv("STATE_DIRECTORY"), ":"); state != "" {
		at.state = state
	}
	if run, _, _ := strings.Cut(getenv("RUNTIME_DIRECTORY"), ":"); run != "" {
		at.run = run
	}
	if credentials := getenv("CREDENTIALS_DIRECTORY"); credentials != "" {
		web := filepath.Join(credentials, webCredential)
		if _, err := os.Stat(web); err == nil {
			at.web = web
		}
	}
	return at
}

// userPaths follows the XDG base directory specification. Without a runtime directory (no session, no lingering) the
// status file is next to the store: anyone could create a file of that name in /tmp.
func userPaths(getenv func(string) string, home string) paths {
	absolute := func(variable, otherwise string) string {
		if dir := getenv(variable); filepath.IsAbs(dir) {
			return dir
		}
		return otherwise
	}
	state := filepath.Join(absolute("XDG_STATE_HOME", filepath.Join("/", home, ".local/state")), "netwatchd")
	config := filepath.Join(absolute("XDG_CONFIG_HOME", filepath.Join("/", home, ".config")), "netwatchd/config.yaml")
	run := cmp.Or(absolute("XDG_RUNTIME_DIR", ""), filepath.Dir(state))
	return paths{files: []string{systemFile, config}, state: state, run: filepath.Join(run, "netwatchd")}
}

// find returns the first file that exists, even if it cannot be read: skipping it would run a configuration that
// nobody chose.
func (at paths) find() string {
	for _, file := range at.files {
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			return file
		}
	}
	return ""
}

// resolved makes path independent of the working directory: it is relative to the file that names it, or to the home
// directory if it starts with ~/.
func resolved(path, file string) string {
	if path == "" {
		return ""
	}
	if rest, tilde := strings.CutPrefix(path, "~/"); tilde {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	if filepath.IsAbs(path) || file == "" {
		return filepath.Clean(path)
	}
	return filepath.Join(filepath.Dir(file), path)
}
