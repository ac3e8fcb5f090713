// Package hostpaths knows where the files of netwatchd are on this host unless the configuration says otherwise.
package hostpaths

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

// Paths are the default locations of the daemon's files.
type Paths struct {
	Files      []string // configuration files; the first that exists is read
	State, Run string   // directories
	Web        string   // web configuration passed by systemd as a credential; empty: none
}

// Status is the default status file.
func (at Paths) Status() string { return filepath.Join(at.Run, "status.json") }

// StatusFiles lists where a daemon may keep a status file that this user can read: the configured path and, if that is
// the default, also those of the system's daemon, of the instance of netwatchd@.service that runs as this user (for
// root: every instance), and of the user's own daemon if this process has no XDG_RUNTIME_DIR.
func (at Paths) StatusFiles(configured string) []string {
	me := &user.User{}
	if found, err := user.Current(); err == nil {
		me = found
	}
	return at.statusFiles(configured, me)
}

func (at Paths) statusFiles(configured string, me *user.User) []string {
	if configured != at.Status() {
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

// SystemFile is the configuration file of the system.
const SystemFile = "/etc/netwatchd/config.yaml"

// Of returns the locations for this process.
func Of() Paths {
	if os.Geteuid() == 0 {
		return Paths{Files: []string{SystemFile}, State: "/var/lib/netwatchd", Run: systemRun}.InUnit(os.Getenv)
	}
	home, _ := os.UserHomeDir() // without a home, paths are below / and not writable: opening the store reports that
	return OfUser(os.Getenv, home).InUnit(os.Getenv)
}

// webCredential is the credential that may hold a web configuration: LoadCredential= in systemd.exec(5).
const webCredential = "netwatchd.web.yml" //nolint:gosec // the name of a file

// InUnit returns at with the directories and the credential that systemd provides if this process runs in a unit:
// StateDirectory=, RuntimeDirectory= (the first of several) and LoadCredential= in systemd.exec(5).
func (at Paths) InUnit(getenv func(string) string) Paths {
	if state, _, _ := strings.Cut(getenv("STATE_DIRECTORY"), ":"); state != "" {
		at.State = state
	}
	if run, _, _ := strings.Cut(getenv("RUNTIME_DIRECTORY"), ":"); run != "" {
		at.Run = run
	}
	if credentials := getenv("CREDENTIALS_DIRECTORY"); credentials != "" {
		web := filepath.Join(credentials, webCredential)
		if _, err := os.Stat(web); err == nil {
			at.Web = web
		}
	}
	return at
}

// OfUser follows the XDG base directory specification. Without a runtime directory (no session, no lingering) the
// status file is next to the store: anyone could create a file of that name in /tmp.
func OfUser(getenv func(string) string, home string) Paths {
	absolute := func(variable, otherwise string) string {
		if dir := getenv(variable); filepath.IsAbs(dir) {
			return dir
		}
		return otherwise
	}
	state := filepath.Join(absolute("XDG_STATE_HOME", filepath.Join("/", home, ".local/state")), "netwatchd")
	config := filepath.Join(absolute("XDG_CONFIG_HOME", filepath.Join("/", home, ".config")), "netwatchd/config.yaml")
	run := cmp.Or(absolute("XDG_RUNTIME_DIR", ""), filepath.Dir(state))
	return Paths{Files: []string{SystemFile, config}, State: state, Run: filepath.Join(run, "netwatchd")}
}

// Find returns the first file that exists, even if it cannot be read: skipping it would run a configuration that
// nobody chose.
func (at Paths) Find() string {
	for _, file := range at.Files {
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			return file
		}
	}
	return ""
}
