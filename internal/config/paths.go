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

// places are where the daemon keeps things.
type places struct {
	files      []string // configuration files, the first that exists is read
	state, run string
	web        string // the web configuration that systemd hands over; empty: none
}

// StatusFiles are where a daemon may keep its status for this user to read: where this configuration says, and if that is
// the usual place, where the system's daemon keeps it, the instance of netwatchd@.service that runs as this user (for root:
// every instance), and the user's own when this process lacks XDG_RUNTIME_DIR.
func (c *Config) StatusFiles() []string {
	me := &user.User{}
	if found, err := user.Current(); err == nil {
		me = found
	}
	return statusFiles(c.StatusFile, hostPlaces(), me)
}

func statusFiles(configured string, at places, me *user.User) []string {
	if configured != filepath.Join(at.run, "status.json") {
		return []string{configured}
	}
	all := []string{configured, systemRun + "/status.json"}
	if me.Uid == "0" {
		instances, _ := filepath.Glob(systemRun + "@*/status.json") // the pattern is well formed
		all = append(all, instances...)
	} else {
		all = append(all, filepath.Join("/run/user", me.Uid, "netwatchd/status.json"), systemRun+"@"+me.Username+"/status.json")
	}
	slices.Sort(all)
	return slices.Compact(all)
}

const systemRun = "/run/netwatchd"

const systemFile = "/etc/netwatchd/config.yaml"

func hostPlaces() places {
	if os.Geteuid() == 0 {
		return places{files: []string{systemFile}, state: "/var/lib/netwatchd", run: systemRun}.inUnit(os.Getenv)
	}
	home, _ := os.UserHomeDir() // without one, what follows is relative to the root and cannot be written: the store says so
	return userPlaces(os.Getenv, home).inUnit(os.Getenv)
}

// webCredential is the name under which a unit may be handed a web configuration: LoadCredential= in systemd.exec(5).
const webCredential = "netwatchd.web.yml"

// inUnit is at with what systemd has made for the unit that this process belongs to, if it does: StateDirectory=,
// RuntimeDirectory= (the first of several) and LoadCredential= in systemd.exec(5).
func (at places) inUnit(getenv func(string) string) places {
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

// userPlaces follows the XDG base directory specification. Without a runtime directory (no session, no lingering) the
// status file stands beside the store: a name in /tmp could be taken by anyone.
func userPlaces(getenv func(string) string, home string) places {
	absolute := func(variable, otherwise string) string {
		if dir := getenv(variable); filepath.IsAbs(dir) {
			return dir
		}
		return otherwise
	}
	state := filepath.Join(absolute("XDG_STATE_HOME", filepath.Join("/", home, ".local/state")), "netwatchd")
	config := filepath.Join(absolute("XDG_CONFIG_HOME", filepath.Join("/", home, ".config")), "netwatchd/config.yaml")
	run := cmp.Or(absolute("XDG_RUNTIME_DIR", ""), filepath.Dir(state))
	return places{files: []string{systemFile, config}, state: state, run: filepath.Join(run, "netwatchd")}
}

// find is the first file that is there. One that is there and cannot be read is found: passing it over would run a
// configuration nobody chose.
func (at places) find() string {
	for _, file := range at.files {
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			return file
		}
	}
	return ""
}

// resolved makes path independent of where the daemon was started: it is relative to the file that names it, or to the
// home directory after a tilde.
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
