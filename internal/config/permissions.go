package config

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

const (
	othersRead  fs.FileMode = 0o004
	othersWrite fs.FileMode = 0o002
)

// A PermissionWarning is a file with permissions that are too wide.
type PermissionWarning struct {
	What    string // a sentence without a full stop: "every user of this host can change /etc/netwatchd/config.yaml"
	Command string // the shell command that prevents it: "chmod o-w /etc/netwatchd/config.yaml"
}

func (w PermissionWarning) String() string { return w.What + ": run " + w.Command }

// PermissionWarnings returns the files of the configuration that other users of this host can change, and those with
// secrets that they can read. Who can change the configuration runs commands as the daemon's user.
func (c *Config) PermissionWarnings() []PermissionWarning {
	holdsSecrets := slices.ContainsFunc(c.plainSecrets(), func(s plainSecret) bool { return s.advice != "" })
	all := permissionWarning(c.Path, holdsSecrets)
	all = append(all, permissionWarning(c.Web.ConfigFile, false)...) // passwords are hashed there
	for _, file := range c.SecretFiles() {
		all = append(all, permissionWarning(file, true)...)
	}
	return all
}

// SecretFiles lists the files that secrets are read from, sorted.
func (c *Config) SecretFiles() []string {
	files := []string{c.Web.TokenFile}
	for _, s := range c.Services {
		for _, p := range s.Probes {
			files = append(files, p.ProxyFile)
		}
	}
	for _, r := range slices.Concat(c.Push.RemoteWrite, c.Push.OTLP) {
		files = append(files, r.Credentials.File)
		for _, h := range r.KeyHeaders {
			files = append(files, h.File)
		}
	}
	files = slices.DeleteFunc(files, func(file string) bool { return file == "" })
	slices.Sort(files)
	return slices.Compact(files)
}

func permissionWarning(file string, secret bool) (all []PermissionWarning) {
	info, err := os.Stat(file)
	if file == "" || err != nil { // whoever reads the file reports that
		return nil
	}
	dir, err := os.Stat(filepath.Dir(file))
	switch {
	case info.Mode()&othersWrite != 0:
		all = append(all, PermissionWarning{"every user of this host can change " + file, "chmod o-w " + file})
	case err == nil && dir.Mode()&othersWrite != 0 && dir.Mode()&fs.ModeSticky == 0:
		all = append(all,
			PermissionWarning{"every user of this host can replace " + file, "chmod o-w " + filepath.Dir(file)})
	}
	if secret && info.Mode()&othersRead != 0 {
		all = append(all, PermissionWarning{
			fmt.Sprintf("every user of this host can read %s, which holds a secret", file), "chmod o-r " + file})
	}
	return all
}
