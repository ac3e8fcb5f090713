package codex

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	writeTOML   = "sandbox_mode = 'workspace-write'\n"
	accessTOML  = "[sandbox_workspace_write]\nnetwork_access = true\n"
	denyTOML    = "[sandbox_workspace_write]\nnetwork_access = false\n"
	trustedTOML = "[projects.'WORK']\ntrust_level = 'trusted'\n"
	listedTOML  = "[projects.'WORK']\ntrust_level = 'untrusted'\n"
	profileTOML = "default_permissions = 'x'\n[permissions.x]\nextends = ':workspace'\n[permissions.x.network]\nenabled = true\n"
	domainsTOML = "[permissions.x.network.domains]\n'example.com' = 'allow'\n"
	proxyTOML   = "[features]\nnetwork_proxy = true\n"
)

// A policyForm is one form of a user's files, and what a command of the agent can do with it. Each was tried: a mock of
// the model asked the real codex for a command that opens sockets. TestToolCall of the laboratory does it again.
type policyForm struct {
	files map[string]string // below CODEX_HOME, /etc/codex (etc/) or the project (WORK/)
}

// words are a policy in a few words: open, proxied, closed or ignored (asked for, without effect), and the file.
func words(s codexSetup, p sandboxPolicy) string {
	state := "closed"
	switch {
	case p.Proxied:
		state = "proxied"
	case p.Network:
		state = "open"
	case p.Asked:
		state = "ignored"
	}
	return strings.TrimSpace(state + " " + strings.NewReplacer(s.home, "HOME", s.system, "ETC", s.work(), "WORK").Replace(p.File))
}

// work is the project of a form.
func (s codexSetup) work() string { return filepath.Join(filepath.Dir(s.home), "work") }

func (f policyForm) setup(t *testing.T, version string) codexSetup {
	t.Helper()
	dir := t.TempDir()
	s := codexSetup{home: filepath.Join(dir, "home"), system: filepath.Join(dir, "etc"), version: parseVersion(t, version)}
	for _, d := range []string{s.home, s.system, s.work()} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range f.files {
		path := filepath.Join(s.home, name)
		if rest, ok := strings.CutPrefix(name, "etc/"); ok {
			path = filepath.Join(s.system, rest)
		}
		if rest, ok := strings.CutPrefix(name, "WORK/"); ok {
			path = filepath.Join(s.work(), rest)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "WORK", s.work())), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func user(text string) map[string]string { return map[string]string{"config.toml": text} }

func withProject(config, project string) map[string]string {
	return map[string]string{"config.toml": config, "WORK/.codex/config.toml": project}
}

func withSystem(config, file, text string) map[string]string {
	return map[string]string{"config.toml": config, "etc/" + file: text}
}

func TestPolicy(t *testing.T) {
	const home, etc, work = " HOME/config.toml", " ETC/", " WORK/.codex/config.toml"
	both := func(want string) [2]string { return [2]string{want, want} }
	for name, test := range map[string]struct {
		files map[string]string
		want  [2]string // with 0.104.0 and 0.169.0
	}{
		"nothing":                    {nil, both("closed")},
		"other settings":             {user("model = 'x'\n"), both("closed")},
		"write":                      {user(writeTOML), both("closed" + home)},
		"write with network":         {user(writeTOML + accessTOML), both("open" + home)},
		"network alone":              {user(accessTOML), both("ignored" + home)},
		"network, a trusted project": {user(accessTOML + trustedTOML), both("open" + home)},
		"network, an untrusted project that is listed": {user(accessTOML + listedTOML), both("open" + home)},
		"network, a project that is gone": {user(accessTOML + "[projects.'WORK/gone']\ntrust_level = 'trusted'\n"),
			both("ignored" + home)},
		"dotted":    {user("sandbox_workspace_write.network_access = true\n" + trustedTOML), both("open" + home)},
		"read-only": {user("sandbox_mode = 'read-only'\n" + accessTOML), both("closed" + home)},
		"danger":    {user("sandbox_mode = 'danger-full-access'\n"), both("open" + home)},
		"a profile": {user("profile = 'p'\nsandbox_mode = 'read-only'\n[profiles.p]\nsandbox_mode = 'danger-full-access'\n"),
			[2]string{"open" + home + ", profiles.p", "closed" + home}},
		"network in a profile, which has no such setting": {user("profile = 'p'\n" + writeTOML + "[profiles.p.sandbox_workspace_write]\nnetwork_access = true\n"),
			both("closed" + home)},

		"a trusted project opens":                     {withProject(trustedTOML, writeTOML+accessTOML), both("open" + work)},
		"a trusted project opens only the network":    {withProject(writeTOML+trustedTOML, accessTOML), both("open" + work)},
		"a trusted project switches the sandbox off":  {withProject(trustedTOML, "sandbox_mode = 'danger-full-access'\n"), both("open" + work)},
		"a trusted project closes":                    {withProject(writeTOML+accessTOML+trustedTOML, "sandbox_mode = 'read-only'\n"), both("closed" + work)},
		"an untrusted project does not count":         {withProject(listedTOML, writeTOML+accessTOML), both("closed")},
		"a project that is not listed does not count": {withProject("", writeTOML+accessTOML), both("closed")},

		"the system's":                       {withSystem("", "config.toml", writeTOML+accessTOML), both("open" + etc + "config.toml")},
		"the user's before the system's":     {withSystem(denyTOML, "config.toml", writeTOML+accessTOML), both("closed" + home)},
		"the administrator opens":            {withSystem("sandbox_mode = 'read-only'\n", "managed_config.toml", writeTOML+accessTOML), both("open" + etc + "managed_config.toml")},
		"the administrator closes":           {withSystem(writeTOML+accessTOML, "managed_config.toml", denyTOML), both("closed" + etc + "managed_config.toml")},
		"the administrator before a project": {map[string]string{"config.toml": trustedTOML, "etc/managed_config.toml": denyTOML, "WORK/.codex/config.toml": writeTOML + accessTOML}, both("closed" + etc + "managed_config.toml")},
		"managed_config.toml of the user":    {map[string]string{"managed_config.toml": writeTOML + accessTOML}, both("closed")},
		"requirements: read-only":            {withSystem(writeTOML+accessTOML, "requirements.toml", "allowed_sandbox_modes = ['read-only']\n"), both("closed" + etc + "requirements.toml")},
		"requirements: it is allowed":        {withSystem(writeTOML+accessTOML, "requirements.toml", "allowed_sandbox_modes = ['read-only', 'workspace-write']\n"), both("open" + home)},
		"requirements: a proxy": {withSystem(writeTOML, "requirements.toml", "[experimental_network]\nenabled = true\n"),
			[2]string{"closed" + etc + "requirements.toml", "proxied" + etc + "requirements.toml"}},
		"requirements: no proxy": {withSystem(writeTOML+accessTOML, "requirements.toml", "[experimental_network]\nenabled = false\n"),
			[2]string{"closed" + etc + "requirements.toml", "open" + home}},

		"permissions":                                       {user(profileTOML), [2]string{"closed", "open" + home}},
		"permissions without network":                       {user(strings.Replace(profileTOML, "true", "false", 1)), [2]string{"closed", "closed" + home}},
		"permissions: domains":                              {user(profileTOML + domainsTOML), [2]string{"closed", "open" + home}},
		"permissions: domains alone":                        {user("default_permissions = 'x'\n[permissions.x]\nextends = ':workspace'\n" + domainsTOML), [2]string{"closed", "closed" + home}},
		"permissions: domains and proxy":                    {user(profileTOML + domainsTOML + proxyTOML), [2]string{"closed", "proxied" + home}},
		"permissions: proxy":                                {user(profileTOML + proxyTOML), [2]string{"closed", "proxied" + home}},
		"permissions: inherited":                            {user(strings.Replace(profileTOML, "'x'", "'y'", 1) + "[permissions.y]\nextends = 'x'\n"), [2]string{"closed", "open" + home}},
		"permissions: a circle":                             {user("default_permissions = 'x'\n[permissions.x]\nextends = 'x'\n"), [2]string{"closed", "closed" + home}},
		"permissions: codex's own":                          {user("default_permissions = ':danger-full-access'\n"), [2]string{"closed", "open" + home}},
		"permissions ignore network":                        {user("default_permissions = ':workspace'\n" + accessTOML), [2]string{"ignored" + home, "closed" + home}},
		"permissions before mode":                           {user("default_permissions = 'x'\nsandbox_mode = 'read-only'\n" + strings.TrimPrefix(profileTOML, "default_permissions = 'x'\n")), [2]string{"closed" + home, "open" + home}},
		"mode of the user before permissions of the system": {withSystem(writeTOML, "config.toml", profileTOML), both("closed" + home)},
		"permissions of the user before mode of the system": {withSystem(profileTOML, "config.toml", writeTOML), [2]string{"closed" + etc + "config.toml", "open" + home}},
		"permissions of a trusted project":                  {withProject(trustedTOML, profileTOML), [2]string{"closed", "open" + work}},
		"mode of a project before permissions of the user":  {withProject(strings.Replace(profileTOML, "true", "false", 1)+trustedTOML, writeTOML+accessTOML), both("open" + work)},

		"a proxy":            {user(writeTOML + accessTOML + proxyTOML), [2]string{"open" + home, "proxied" + home}},
		"a proxy of a table": {user(writeTOML + accessTOML + "[features.network_proxy]\nenabled = true\n"), [2]string{"open" + home, "proxied" + home}},
		"a proxy, closed":    {user(writeTOML + proxyTOML), both("closed" + home)},
		"a project's proxy":  {withProject(writeTOML+accessTOML+trustedTOML, proxyTOML), [2]string{"open" + home, "proxied" + home}},

		"broken":          {user("sandbox_mode = ["), both("closed")},
		"of another type": {user("sandbox_mode = 3"), both("closed" + home)},
		"types of nobody": {user("sandbox_workspace_write = 1\npermissions = 'x'\nprojects = [1]\nfeatures = 3\n"), both("closed")},
	} {
		for i, version := range []string{"0.104.0", "0.169.0"} {
			s := policyForm{files: test.files}.setup(t, version)
			if got := words(s, s.policy()); got != test.want[i] {
				t.Errorf("%s, %s: got %s, want %s", name, version, got, test.want[i])
			}
		}
	}
}

// The project that allows most counts, and what is wrong with any of them is noted.
func TestPolicyOfSeveralProjects(t *testing.T) {
	form := policyForm{files: map[string]string{
		"config.toml": "[projects.'WORK/a']\ntrust_level = 'trusted'\n[projects.'WORK/b']\ntrust_level = 'trusted'\n" +
			"[projects.'WORK/c']\ntrust_level = 'trusted'\n",
		"WORK/a/.codex/config.toml": "sandbox_mode = 'read-only'\n",
		"WORK/b/.codex/config.toml": writeTOML + accessTOML,
		"WORK/c/.codex/config.toml": "secret = [",
	}}
	s := form.setup(t, "0.169.0")
	p := s.policy()
	if got := words(s, p); got != "open WORK/b/.codex/config.toml" || p.Project != filepath.Join(s.work(), "b") {
		t.Errorf("got %s, project %s", got, p.Project)
	}
	if len(p.Notes) != 1 || !strings.Contains(p.Notes[0], "c/.codex/config.toml is not valid TOML at line 1") {
		t.Errorf("notes %q", p.Notes)
	}
}

// What is wrong with a file is said, and changes nothing else.
func TestPolicyNotes(t *testing.T) {
	pipe := func(name string) func(*testing.T, codexSetup) {
		return func(t *testing.T, s codexSetup) {
			path := filepath.Join(filepath.Dir(s.home), name)
			os.Remove(path)
			os.MkdirAll(filepath.Dir(path), 0o700)
			if err := unix.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, test := range map[string]struct {
		files map[string]string
		make  func(*testing.T, codexSetup)
		state string
		note  string
	}{
		"domains": {user(profileTOML + domainsTOML), nil, "open",
			"permissions.x.network.domains has no effect without features.network_proxy = true"},
		"a name with a line break": {user("default_permissions = \"x\\n\\u001b[2J\"\n[permissions.\"x\\n\\u001b[2J\".network]\nenabled = true\ndomains = {a = 'allow'}\n"), nil,
			"open", "permissions.x [2J.network.domains has no effect"},
		"network alone":    {user(accessTOML), nil, "ignored", "network_access = true has no effect"},
		"a typo":           {user(writeTOML + "[profile.work]\nmodel = 'x'\n"), nil, "closed", "profile is not a name, so codex does not start"},
		"a pipe":           {nil, pipe("home/config.toml"), "closed", "config.toml is a named pipe"},
		"a project's pipe": {user(trustedTOML), pipe("work/.codex/config.toml"), "closed", ".codex/config.toml is a named pipe"},
		"managed_config.toml in the wrong place": {map[string]string{"managed_config.toml": writeTOML + accessTOML}, nil, "closed",
			"managed_config.toml has no effect: on Linux codex reads"},
		"a broken requirements.toml": {withSystem(writeTOML+accessTOML, "requirements.toml", "x = ["), nil, "open",
			"requirements.toml is not valid TOML at line 1"},
		"a broken managed_config.toml": {withSystem(writeTOML+accessTOML, "managed_config.toml", "x = ["), nil, "open",
			"managed_config.toml is not valid TOML at line 1"},
	} {
		s := policyForm{files: test.files}.setup(t, "0.169.0")
		if test.make != nil {
			test.make(t, s)
		}
		p := s.policy()
		state, _, _ := strings.Cut(words(s, p), " ")
		if state != test.state || len(p.Notes) != 1 || !strings.Contains(p.Notes[0], test.note) {
			t.Errorf("%s: got %s and notes %q, want %s and %q", name, state, p.Notes, test.state, test.note)
		}
	}
}

func TestSandboxCommands(t *testing.T) {
	older, closed := []string{"codex", "sandbox", "linux", "--"}, []string{"codex", "sandbox", "-c", `sandbox_mode="read-only"`, "--"}
	write := []string{"codex", "sandbox", "-c", `sandbox_mode="workspace-write"`, "-c", "sandbox_workspace_write.network_access=false", "--"}
	open := []string{"codex", "sandbox", "-c", `sandbox_mode="workspace-write"`, "-c", "sandbox_workspace_write.network_access=true", "--"}
	plain := []string{"codex", "sandbox", "--"}
	for name, test := range map[string]struct {
		version      string
		files        map[string]string
		command, run []string
	}{
		"old":                {"0.104.0", nil, older, older},
		"the last old one":   {"0.133.0", nil, older, older},
		"the first new one":  {"0.134.0", nil, closed, write},
		"old, write":         {"0.104.0", user(writeTOML), older, older},
		"old, open":          {"0.104.0", user(writeTOML + accessTOML), []string{"env"}, []string{"env"}},
		"old, permissions":   {"0.104.0", user(profileTOML), older, older},
		"new":                {"0.169.0", nil, closed, write},
		"read-only":          {"0.169.0", user("sandbox_mode = 'read-only'\n" + accessTOML), closed, write},
		"open":               {"0.169.0", user(accessTOML + trustedTOML), open, open},
		"no effect":          {"0.169.0", user(accessTOML), closed, write},
		"danger":             {"0.169.0", user("sandbox_mode = 'danger-full-access'\n"), []string{"codex", "sandbox", "-c", `sandbox_mode="danger-full-access"`, "--"}, []string{"codex", "sandbox", "-c", `sandbox_mode="danger-full-access"`, "--"}},
		"permissions":        {"0.169.0", user(profileTOML), plain, open},
		"permissions, proxy": {"0.169.0", user(profileTOML + proxyTOML), plain, plain},
		"a project's permissions": {"0.169.0", withProject(trustedTOML, profileTOML), []string{"codex", "sandbox", "-c", `default_permissions="x"`,
			"-c", `permissions={x={extends=":workspace",network={enabled=true}}}`, "--"}, open},
		"a project's proxy": {"0.169.0", withProject(writeTOML+accessTOML+trustedTOML, proxyTOML), append(slices.Clone(open[:6]), "-c", "features.network_proxy=true", "--"),
			append(slices.Clone(open[:6]), "-c", "features.network_proxy=true", "--")},
	} {
		p := policyForm{files: test.files}.setup(t, test.version).policy()
		if got := p.command(); !slices.Equal(got, test.command) {
			t.Errorf("%s: got %q, want %q", name, got, test.command)
		}
		if got := p.runCommand(); !slices.Equal(got, test.run) {
			t.Errorf("%s, a run: got %q, want %q", name, got, test.run)
		}
	}
}
