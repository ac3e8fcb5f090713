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

// PermissionWarnings returns the files of the configuration that other users of this host can change, and those with
// secrets that they can read, with the command that prevents it. Who can change the configuration runs commands as the
// daemon's user.
func (c *Config) PermissionWarnings() []string {
	holdsSecrets := slices.ContainsFunc(c.plainSecrets(), func(s plainSecret) bool { return s.advice != "" })
	all := permissionWarning(c.Path, holdsSecrets)
	all = append(all, permissionWarning(c.Web.ConfigFile, false)...) // passwords are hashed there
	for _, file := range c.secretFiles() {
		all = append(all, permissionWarning(file, true)...)
	}
	return all
}

// secretFiles lists the files that secrets are read from.
func (c *Config) secretFiles() []string {
	var files []string
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
	slices.Sort(files)
	return slices.Compact(files)
}

func permissionWarning(file string, secret bool) (all []string) {
	info, err := os.Stat(file)
	if file == "" || err != nil { // whoever reads the file reports that
		return nil
	}
	dir, err := os.Stat(filepath.Dir(file))
	switch {
	case info.Mode()&othersWrite != 0:
		all = append(all, fmt.Sprintf("every user of this host can change %s: run chmod o-w %[1]s", file))
	case err == nil && dir.Mode()&othersWrite != 0 && dir.Mode()&fs.ModeSticky == 0:
		all = append(all, fmt.Sprintf("every user of this host can replace %s: run chmod o-w %s", file, filepath.Dir(file)))
	}
	if secret && info.Mode()&othersRead != 0 {
		all = append(all, fmt.Sprintf("every user of this host can read %s, which holds a secret: run chmod o-r %[1]s", file))
	}
	return all
}
