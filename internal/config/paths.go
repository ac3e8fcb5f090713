package config

import (
	"os"
	"path/filepath"
	"strings"

	"netwatchd/internal/hostpaths"
)

// StatusFiles lists where a daemon may keep a status file that this user can read: see [hostpaths.Paths.StatusFiles].
func (c *Config) StatusFiles() []string { return hostpaths.Of().StatusFiles(c.StatusFile) }

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
