package codex

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"netwatchd/internal/agent"
	"netwatchd/internal/lab/responses"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/probetest"
)

// fakeCodex writes an executable that answers the questions before a run, and prints the file "log" as a run.
func fakeCodex(t *testing.T, path, log string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	text := "#!/bin/sh\ncase $1 in\n--version) echo codex-cli 0.150.1;;\nlogin) echo Logged in using ChatGPT >&2;;\n" +
		"exec) cat <<'END'\n" + log + "\nEND\n;;\nesac\n"
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestCodexCommand(t *testing.T) {
	t.Setenv("CODEX_API_KEY", "")
	dir := t.TempDir()
	path := filepath.Join(dir, "codex")
	fakeCodex(t, path, "")
	c := Codex{Path: path, Home: filepath.Join(dir, "user"), StateDir: filepath.Join(dir, "state"), Model: "gpt-5.5"}

	if err := os.Mkdir(c.Home, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := responses.SignIn(c.Home); err != nil {
		t.Fatal(err)
	}

	last := func(c Codex) (provider string, env []string) {
		t.Helper()
		argv, env, cwd, err := c.Command(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if entries, err := os.ReadDir(cwd); err != nil || len(entries) != 0 {
			t.Errorf("the working directory holds %v (%v)", entries, err)
		}
		if want := []string{path, "exec", "--json", "--ephemeral"}; !slices.Equal(argv[:4], want) {
			t.Errorf("got %v, want %v first", argv[:4], want)
		}
		if want := []string{"-m", "gpt-5.5", agent.Prompt}; !slices.Equal(argv[len(argv)-3:], want) {
			t.Errorf("got %v, want %v last", argv[len(argv)-3:], want)
		}
		return argv[len(argv)-4], env
	}

	provider, env := last(c)
	if !strings.Contains(provider, `base_url="https://chatgpt.com/backend-api/codex"`) || !strings.Contains(provider, "stream_max_retries=0") {
		t.Errorf("signed in: the provider is %s", provider)
	}
	if !slices.Contains(env, "CODEX_HOME="+filepath.Join(dir, "state", "codex-home")) {
		t.Errorf("CODEX_HOME is not ours: %v", env)
	}
	c.Env = []string{"CODEX_API_KEY=sk-test"}
	if provider, _ = last(c); !strings.Contains(provider, `base_url="https://api.openai.com/v1"`) {
		t.Errorf("with a key: the provider is %s", provider)
	}
	c.Provider = BuiltinProvider
	if provider, _ = last(c); provider != "include_permissions_instructions=false" {
		t.Errorf("built in: the provider is %s", provider)
	}
	c.BaseURL = "http://127.0.0.1:1/v1"
	if provider, env = last(c); provider != `openai_base_url="http://127.0.0.1:1/v1"` || env[len(env)-1] != "OPENAI_BASE_URL=http://127.0.0.1:1/v1" {
		t.Errorf("built in, elsewhere: the provider is %s", provider)
	}
}

func TestLinkSignIn(t *testing.T) {
	dir := t.TempDir()
	home, link := filepath.Join(dir, "home"), filepath.Join(dir, "home", "auth.json")
	for _, d := range []string{"home", "a", "b", "none"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, user := range []string{"a", "b"} {
		if err := os.WriteFile(filepath.Join(dir, user, "auth.json"), []byte(user), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	steps := []struct{ user, want string }{
		{"none", ""},
		{"a", filepath.Join(dir, "a", "auth.json")},
		{"a", filepath.Join(dir, "a", "auth.json")},
		{"b", filepath.Join(dir, "b", "auth.json")},
	}
	for _, step := range steps {
		if err := (Codex{Home: filepath.Join(dir, step.user)}).linkSignIn(home); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.Readlink(link); got != step.want {
			t.Errorf("with user %s the link leads to %q, want %q", step.user, got, step.want)
		}
	}
	// A sign-in made in our own directory stays.
	os.Remove(link)
	if err := os.WriteFile(link, []byte("own"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (Codex{Home: filepath.Join(dir, "a")}).linkSignIn(home); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(link); string(got) != "own" {
		t.Errorf("our own sign-in became %q", got)
	}
	if entries, _ := os.ReadDir(home); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestCodexThatCannotRun(t *testing.T) {
	dir := t.TempDir()
	fakeCodex(t, filepath.Join(dir, "codex"), "")
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", "/usr/bin:/bin")
	tests := map[string]struct {
		codex Codex
		class probe.Class
		why   string
	}{
		"not on the PATH":    {Codex{StateDir: dir}, probe.ExecNotFound, "npm install -g @openai/codex"},
		"no such file":       {Codex{Path: "/no/such/codex", StateDir: dir}, probe.ExecNotFound, "codex.path"},
		"not executable":     {Codex{Path: file, StateDir: dir}, probe.ExecStartFailed, "may not run it"},
		"no state directory": {Codex{Path: filepath.Join(dir, "codex")}, probe.Internal, "storage.path"},
		"state is a file":    {Codex{Path: filepath.Join(dir, "codex"), StateDir: file}, probe.Internal, "storage.path"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := probetest.DoRun(t, test.codex, 0)
			if r.Class != test.class || !strings.Contains(r.Why, test.why) {
				t.Errorf("got %v %q, want %v with %q", r.Class, r.Why, test.class, test.why)
			}
		})
	}
}

// TestFindCodex lays the packages out as npm and pnpm do.
func TestFindCodex(t *testing.T) {
	const platform = "@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/"
	const arm = "@openai/codex-linux-arm64/vendor/aarch64-unknown-linux-musl/"
	for name, native := range map[string]string{
		"hoisted":  "lib/node_modules/",
		"nested":   "lib/node_modules/@openai/codex/node_modules/",
		"further":  "node_modules/",
		"missing":  "",
		"bundled":  "lib/node_modules/@openai/codex/vendor",
		"old name": "lib/node_modules/",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			launcher := filepath.Join(dir, "lib/node_modules/@openai/codex/bin/codex.js")
			fakeCodex(t, launcher, "")
			if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
				t.Fatal(err)
			}
			entry := filepath.Join(dir, "bin/codex")
			if err := os.Symlink(launcher, entry); err != nil {
				t.Fatal(err)
			}
			want := entry
			p, bin := platform, "bin/codex"
			if runtime.GOARCH == "arm64" {
				p = arm
			}
			switch name {
			case "missing":
			case "bundled":
				want = filepath.Join(dir, native, strings.SplitN(p, "vendor/", 2)[1], "codex/codex")
			case "old name":
				bin = "codex/codex"
				fallthrough
			default:
				want = filepath.Join(dir, native, p, bin)
			}
			if want != entry {
				fakeCodex(t, want, "")
			}
			t.Setenv("PATH", filepath.Join(dir, "bin"))
			for _, path := range []string{"", entry} {
				if got, err := Find(path); err != nil || got != want {
					t.Errorf("Find(%q) = %q, %v, want %q", path, got, err, want)
				}
			}
		})
	}
}

func TestCodexVersion(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "codex")
	fakeCodex(t, path, "")
	if v, err := Version(t.Context(), path); err != nil || v != (agent.Version{Minor: 150, Patch: 1}) {
		t.Errorf("got %v, %v", v, err)
	}
	// An update is another file.
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho codex-cli 0.151.0-alpha.3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if v, err := Version(t.Context(), path); err != nil || v != (agent.Version{Minor: 151, Pre: "alpha.3"}) {
		t.Errorf("after an update: got %v, %v", v, err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho I am something else\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if v, err := Version(t.Context(), path); probe.Classify(probe.Executing, err) != probe.ExecUnexpectedOutput {
		t.Errorf("something else: got %v, %v", v, err)
	}
}

// TestFindCodexOffThePath: a systemd service does not have a shell's PATH.
func TestFindCodexOffThePath(t *testing.T) {
	const native = "@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex"
	if runtime.GOARCH != "amd64" {
		t.Skip("needs amd64: the layouts name it")
	}
	for name, test := range map[string]struct {
		programs []string // below HOME
		files    map[string]string
		want     string
	}{
		"nvm, the newest": {[]string{".nvm/versions/node/v9.1.0/bin/codex", ".nvm/versions/node/v22.1.0/bin/codex"}, nil,
			".nvm/versions/node/v22.1.0/bin/codex"},
		"volta, not the shim": {[]string{".volta/bin/codex", ".volta/tools/image/packages/@openai/codex/bin/codex"}, nil,
			".volta/tools/image/packages/@openai/codex/bin/codex"},
		"bun": {[]string{".bun/bin/codex"}, nil, ".bun/bin/codex"},
		"mise, not the shim": {[]string{".local/share/mise/shims/codex", ".local/share/mise/installs/npm-openai-codex/0.169.0/bin/codex"}, nil,
			".local/share/mise/installs/npm-openai-codex/0.169.0/bin/codex"},
		"mise, a shim":  {[]string{".local/share/mise/shims/codex"}, nil, ".local/share/mise/shims/codex"},
		"brew":          {[]string{".linuxbrew/bin/codex"}, nil, ".linuxbrew/bin/codex"},
		"npm's prefix":  {[]string{"my/npm/bin/codex"}, map[string]string{".npmrc": "registry=x\nprefix = ~/my/npm\n"}, "my/npm/bin/codex"},
		"pnpm's script": {[]string{".local/share/pnpm/codex"}, nil, ".local/share/pnpm/codex"},
		"pnpm, the program": {[]string{".local/share/pnpm/codex", ".local/share/pnpm/global/5/node_modules/@openai/codex/bin/codex.js",
			".local/share/pnpm/global/5/node_modules/" + native}, nil, ".local/share/pnpm/global/5/node_modules/" + native},
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			t.Setenv("HOME", home)
			t.Setenv("PATH", t.TempDir())
			for _, variable := range []string{"NVM_DIR", "VOLTA_HOME", "BUN_INSTALL", "MISE_DATA_DIR", "PNPM_HOME", "NPM_CONFIG_PREFIX", "npm_config_prefix"} {
				t.Setenv(variable, "")
			}
			for _, program := range test.programs {
				fakeCodex(t, filepath.Join(home, program), "")
			}
			for name, text := range test.files {
				if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := Find(""); err != nil || got != filepath.Join(home, test.want) {
				t.Errorf("got %q, %v, want %q", got, err, test.want)
			}
		})
	}
}

// A named pipe in the place of auth.json would block codex until the timeout.
func TestSignInThatIsAPipe(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "codex")
	fakeCodex(t, path, "")
	if err := unix.Mkfifo(filepath.Join(dir, "auth.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := probetest.DoRun(t, Codex{Path: path, Home: dir, StateDir: filepath.Join(dir, "state")}, 0)
	if r.Class != probe.ExecConfigInvalid || !strings.Contains(r.Why, "auth.json is a named pipe") {
		t.Errorf("got %v %q", r.Class, r.Why)
	}
}

// A provider of the user's own that names no credentials explains why no sign-in arrives.
func TestSignInMissing(t *testing.T) {
	const without = "model_provider = \"own\"\n[model_providers.own]\nname = \"own\"\nbase_url = \"http://127.0.0.1:1/v1\"\n"
	for name, test := range map[string]struct {
		config string
		class  probe.Class
	}{
		"codex's own provider":                {"", probe.ExecSignInMissing},
		"a provider without credentials":      {without, probe.ExecConfigInvalid},
		"a provider with a key in a variable": {without + "env_key = \"OWN_KEY\"\n", probe.ExecSignInMissing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OWN_KEY", "k")
			dir := t.TempDir()
			const message = "unexpected status 401 Unauthorized: Missing bearer or basic authentication in header"
			fakeCodex(t, filepath.Join(dir, "codex"), `{"type":"turn.started"}
{"type":"turn.failed","error":{"message":"`+message+`"}}`)
			if err := os.WriteFile(filepath.Join(dir, "config.toml"), []byte(test.config), 0o600); err != nil {
				t.Fatal(err)
			}
			r := probetest.DoRun(t, Codex{Path: filepath.Join(dir, "codex"), Home: dir, StateDir: filepath.Join(dir, "state")}, 0)
			if r.Class != test.class || !strings.Contains(r.Why, "Missing bearer") {
				t.Errorf("got %v %q, want %v", r.Class, r.Why, test.class)
			}
		})
	}
}
