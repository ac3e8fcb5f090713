package agent

import (
	"bufio"
	"bytes"
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"netwatchd/internal/userfile"
)

// installedElsewhere returns the program that a package manager installed for this user but that is not on the PATH,
// or "". pkg is the name of its npm package.
func installedElsewhere(program, pkg string) string {
	home, err := os.UserHomeDir()
	if err != nil || home == "/" {
		return ""
	}
	for _, pattern := range installDirectories(home, pkg) {
		dirs, _ := filepath.Glob(pattern) // fails only on a malformed pattern
		slices.SortFunc(dirs, newestFirst)
		for _, dir := range dirs {
			for _, name := range []string{program, program + ".js"} { // pnpm's own launcher is a shell script that needs node
				if found, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
					return found
				}
			}
		}
	}
	return ""
}

// installDirectories returns where programs are, as patterns. Where a manager has a shim that needs the manager
// itself, the program behind the shim comes first.
func installDirectories(home, pkg string) []string {
	variable := func(name, otherwise string) string {
		if dir := os.Getenv(name); filepath.IsAbs(dir) {
			return dir
		}
		return filepath.Join(home, otherwise)
	}
	nvm, volta := variable("NVM_DIR", ".nvm"), variable("VOLTA_HOME", ".volta")
	mise, pnpm := variable("MISE_DATA_DIR", ".local/share/mise"), variable("PNPM_HOME", ".local/share/pnpm")
	dirs := []string{filepath.Join(home, ".local/bin"), "/usr/local/bin"}
	if prefix := npmPrefix(home); prefix != "" {
		dirs = append(dirs, filepath.Join(prefix, "bin"))
	}
	return append(dirs,
		filepath.Join(home, ".npm-global/bin"),
		filepath.Join(nvm, "versions/node/*/bin"),
		filepath.Join(volta, "tools/image/packages", pkg, "bin"),
		filepath.Join(volta, "bin"),
		filepath.Join(variable("BUN_INSTALL", ".bun"), "bin"),
		filepath.Join(mise, "installs/npm-"+strings.NewReplacer("@", "", "/", "-").Replace(pkg), "*/bin"),
		filepath.Join(mise, "installs/node/*/bin"),
		filepath.Join(mise, "shims"),
		filepath.Join(pnpm, "global/*/node_modules", pkg, "bin"),
		pnpm,
		filepath.Join(pnpm, "bin"),
		filepath.Join(home, ".linuxbrew/bin"),
		"/home/linuxbrew/.linuxbrew/bin",
	)
}

// newestFirst orders directories by the version in their names: 22.1.0 comes before 9.0.0.
func newestFirst(a, b string) int {
	v, _ := FindVersion(a)
	w, _ := FindVersion(b)
	return cmp.Or(w.Compare(v), cmp.Compare(b, a))
}

// npmPrefix returns where npm installs global packages, if the user has changed it.
func npmPrefix(home string) string {
	if prefix := cmp.Or(os.Getenv("NPM_CONFIG_PREFIX"), os.Getenv("npm_config_prefix")); filepath.IsAbs(prefix) {
		return prefix
	}
	text, err := userfile.Read(filepath.Join(home, ".npmrc"))
	if err != nil {
		return ""
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), "=")
		if !ok || strings.TrimSpace(name) != "prefix" {
			continue
		}
		value = strings.Trim(strings.TrimSpace(value), `"'`)
		value = strings.ReplaceAll(value, "${HOME}", home)
		if rest, ok := strings.CutPrefix(value, "~/"); ok {
			value = filepath.Join(home, rest)
		}
		if filepath.IsAbs(value) {
			return value
		}
	}
	return ""
}
