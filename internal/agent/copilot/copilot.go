// Package copilot knows GitHub Copilot CLI: how it is found, and where it sends its requests. It has no run.
package copilot

import (
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"netwatchd/internal/agent"
	"netwatchd/internal/clientrules"
	"netwatchd/internal/probe"
	"netwatchd/internal/userfile"
)

// program is how copilot is installed: by npm as a script for node that starts a native program, or as that program
// alone, which is a whole node linked with glibc.
var program = agent.Program{Name: "copilot", Package: "@github/copilot"}

// Agent describes GitHub Copilot CLI. Its requests, files and variables were measured with 1.0.102 and a mock; what the
// real service answers is known from public reports only.
//
// It has no run: a prompt starts at 20 requests to three hosts, GitHub's MCP server and its telemetry among them, and a
// premium request of the month's allowance.
func Agent() agent.Agent {
	return agent.Agent{
		Name:     program.Name,
		Find:     find,
		Version:  version,
		SignedIn: agent.SignedInBy(modeOf, errSignedOut),
		Client:   func(agent.Version) clientrules.Client { return clientrules.Copilot() },
		Launcher: launcher,
		Endpoint: func(s agent.Settings, _ agent.Version) agent.Endpoint { return setupOf(s).endpoint() },
		NoRun: "netwatchd does not run copilot, because each prompt uses up a premium request: its requests alone are " +
			"watched",
		RoutingPath: "/" + limitPath,

		HomeVariable: homeVariable,
		Service:      "api.githubcopilot.com/" + pingPath,
		Install:      "npm install -g @github/copilot",
		SignIn:       "copilot login",
	}
}

func modeOf(home string) agent.Mode { return setupOf(agent.Settings{Home: home}).endpoint().Mode }

var errSignedOut = probe.Fail(probe.ExecNotLoggedIn,
	errors.New("nobody is signed in: run `copilot login` as this user, or set COPILOT_GITHUB_TOKEN"))

// find returns the native program behind the executable at path, or behind the installed one. AWS Copilot has a
// program of the same name. It is written in Go, and GitHub's is not.
func find(path string) (string, error) {
	found, err := program.Find(path)
	if err == nil && isGo(found) {
		return "", probe.Failf(probe.ExecNotFound, "%s is another program, written in Go (AWS Copilot?): install GitHub's "+
			"with `npm install -g %s`, or set the probe's copilot.path", found, program.Package)
	}
	return native(found), err
}

// launcher is the script of the npm package, which only starts the native program of another package.
const launcher = "npm-loader.js"

// native returns the native program that the launcher at path starts, or path itself if it is not the launcher, or if
// that program is not where npm installs it.
func native(path string) string {
	target, err := filepath.EvalSymlinks(path)
	if err != nil || filepath.Base(target) != launcher {
		return path
	}
	arch := map[string]string{"amd64": "x64"}[runtime.GOARCH]
	if arch == "" {
		arch = runtime.GOARCH
	}
	dir := filepath.Dir(target)
	for _, parent := range []string{filepath.Dir(dir), filepath.Join(dir, "node_modules/@github")} {
		for _, libc := range []string{"linux", "linuxmusl"} { // npm installs the one of this host
			program := filepath.Join(parent, "copilot-"+libc+"-"+arch, "copilot")
			if found, err := exec.LookPath(program); err == nil {
				return found
			}
		}
	}
	return path
}

// isGo reports whether a program has the section that Go's linker writes.
func isGo(path string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return f.Section(".go.buildinfo") != nil
}

// version reads the version of a package of npm from its package.json. Only a program alone is started: the first start
// of a version unpacks 235 MB below ~/.cache/copilot, for four seconds, which is longer than a program has to answer.
func version(ctx context.Context, path string) (agent.Version, error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		if v, ok := packaged(filepath.Dir(target)); ok {
			return v, nil
		}
	}
	return program.Version(ctx, path)
}

// packaged returns the version of the package in a directory: "@github/copilot" or "@github/copilot-linux-x64". It
// reports false if that is not copilot's.
func packaged(dir string) (agent.Version, bool) {
	var file struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}
	text, err := userfile.Read(filepath.Join(dir, "package.json"))
	if err != nil || json.Unmarshal(text, &file) != nil || !strings.HasPrefix(file.Name, program.Package) {
		return agent.Version{}, false
	}
	return agent.FindVersion(file.Version)
}
