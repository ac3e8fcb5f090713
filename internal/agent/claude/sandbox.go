package claude

import (
	"cmp"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"netwatchd/internal/agent"
	"netwatchd/internal/claudeconf"
	"netwatchd/internal/probe"
	"netwatchd/internal/userfile"
)

// runtime is the program that sets up the sandbox in which claude runs commands. Claude has a copy of it, which it
// starts only for a command of the model.
var runtime = agent.Program{Name: "srt", Package: "@anthropic-ai/sandbox-runtime"}

// policy returns what the user's and the administrator's settings allow commands of claude on the way to the service.
// Without sandbox.enabled, which is the default, commands run like any other process.
func policy(_ agent.Version, home string, service []*url.URL) agent.Policy {
	return policyOf(claudeconf.Setup{Dir: setupOf(agent.Settings{Home: home}).dir, System: system}, service)
}

func policyOf(files claudeconf.Setup, service []*url.URL) agent.Policy {
	settings := files.Policy()
	p := agent.Policy{File: settings.File, Notes: settings.Notes, Proxy: true}
	if !settings.Enabled {
		p.Network, p.Unprobed = true, true
		p.Words = "the agent's commands run without a sandbox, because of " + cmp.Or(p.File, "the default")
		return p
	}
	judge(&p, settings, service)
	command, err := startRuntime()
	if err != nil {
		p.Unprobed = true
		p.Notes = append(p.Notes, fmt.Sprintf("the sandbox of claude's commands (%s) is not probed: %v", p.File, err))
		return p
	}
	p.Command = append(command, "--settings", agent.SettingsFile, "--")
	p.Settings = settings.Runtime(hosts(service))
	return p
}

// judge says what the rules mean for the service. If they let only a part of its addresses through, or if the proxy is
// the user's own, neither an open nor a closed sandbox is expected.
func judge(p *agent.Policy, settings claudeconf.Policy, service []*url.URL) {
	allowed := 0
	p.Words = "the sandbox of the agent's commands blocks the network"
	for _, u := range service {
		host := u.Hostname()
		by, ok := settings.Decides(host, portOf(u))
		p.Words = fmt.Sprintf("the sandbox of the agent's commands %s %s, because %s", verb(ok), host, reason(by))
		switch {
		case ok:
			allowed++
			p.Advice = fmt.Sprintf("%s allows %s, but the sandbox does not let commands through. Run `srt` by hand to see why.",
				by, host)
		case by != nil:
			p.Grant = fmt.Sprintf("To let the agent's commands reach %s, remove %q from %s.", host, by.Pattern, by)
		default:
			p.Grant = fmt.Sprintf("To let the agent's commands reach %s, add %q to sandbox.network.allowedDomains in %s.",
				host, host, settings.Write)
		}
		if !ok {
			p.Advice = fmt.Sprintf("Stop untrusted runs: commands reach %s, although %s. Update claude and "+
				"sandbox-runtime, and run `srt` by hand to see how.", host, reason(by))
		}
	}
	p.Network, p.Asked = allowed > 0, allowed > 0
	p.Proxied = settings.OwnProxy || allowed > 0 && allowed < len(service)
	if settings.OwnProxy {
		p.Words = "the sandbox of the agent's commands has a proxy of the user's, whose rules are not known, because of " +
			"sandbox.network.httpProxyPort"
	}
}

func verb(allowed bool) string {
	if allowed {
		return "allows"
	}
	return "blocks"
}

func reason(by *claudeconf.Rule) string {
	if by == nil {
		return "no rule allows it"
	}
	return fmt.Sprintf("of %q in %s", by.Pattern, by)
}

func portOf(u *url.URL) int {
	port, err := strconv.Atoi(cmp.Or(u.Port(), map[string]string{"http": "80", "ws": "80"}[u.Scheme], "443"))
	if err != nil {
		return 0
	}
	return port
}

func hosts(service []*url.URL) (all []string) {
	for _, u := range service {
		all = append(all, u.Hostname())
	}
	return all
}

// startRuntime returns the start of a command line for srt. It is a script for node, and a daemon may have another PATH
// than a shell: the node beside it is taken, if there is one.
func startRuntime() ([]string, error) {
	path, err := runtime.Find("")
	if err != nil {
		return nil, fmt.Errorf("srt is missing: npm install -g %s", runtime.Package)
	}
	if !isRuntime(path) {
		return nil, probe.Failf(probe.ExecNotFound, "%s is another program: npm install -g %s, or set sandbox.command",
			userfile.Short(path), runtime.Package)
	}
	target, _ := filepath.EvalSymlinks(path)
	if node, err := exec.LookPath(filepath.Join(filepath.Dir(path), "node")); err == nil && filepath.Ext(target) == ".js" {
		return []string{node, path}, nil
	}
	return []string{path}, nil
}

// launcherSize is more than a package manager's launcher has: pnpm's are below 2 KB.
const launcherSize = 8 << 10

// isRuntime reports whether the program is srt of sandbox-runtime: a link into its package, or a package manager's
// script that names it. Other programs are called srt too, so that it is not simply started.
func isRuntime(path string) bool {
	if target, err := filepath.EvalSymlinks(path); err == nil && strings.Contains(target, "/sandbox-runtime/") {
		return true
	}
	text, err := userfile.ReadUpTo(path, launcherSize)
	return err == nil && strings.HasPrefix(string(text), "#!") && strings.Contains(string(text), "sandbox-runtime")
}
