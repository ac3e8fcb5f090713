package claude

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/agent"
	"netwatchd/internal/agent/agenttest"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
	"netwatchd/internal/probe/probetest"
)

// TestRecordings replays every recorded run through the failure table.
func TestRecordings(t *testing.T) {
	agenttest.Replay(t, "claude", "2.1.332", readReport)
}

// withFiles writes files below the home directory and below the administrator's directory (etc/), and returns what claude
// sees with them.
func withFiles(t *testing.T, files map[string]string, env ...string) setup {
	t.Helper()
	home := t.TempDir()
	probetest.WriteFiles(t, home, files)
	return setup{dir: filepath.Join(home, ".claude"), account: filepath.Join(home, ".claude.json"),
		system: filepath.Join(home, "etc"), env: env}
}

const (
	settingsJSON = ".claude/settings.json"
	signInJSON   = ".claude/.credentials.json"
	signInText   = `{"claudeAiOauth":{"accessToken":"secret-token","refreshToken":"secret-refresh","expiresAt":4102444800000}}`
	gatewayEnv   = `{"env":{"ANTHROPIC_BASE_URL":"http://user:secret@gateway.test:4000/api?key=secret"}}`
)

func TestEndpoint(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		env   []string
		base  string
		from  string // the end of the origin
		mode  agent.Mode
		known bool
		note  string
	}{
		"nobody": {base: defaultBaseURL, from: "the default", mode: agent.SignedOut, known: true},
		"a sign-in": {files: map[string]string{signInJSON: signInText}, base: defaultBaseURL, from: "the default",
			mode: agent.ClaudeSignIn, known: true},
		"a key that claude made": {files: map[string]string{".claude.json": `{"primaryApiKey":"secret"}`}, base: defaultBaseURL,
			from: "the default", mode: agent.APIKey, known: true},
		"a key in the environment": {env: []string{"ANTHROPIC_API_KEY=secret"}, base: defaultBaseURL, from: "the default",
			mode: agent.APIKey, known: true},
		"a token in the environment": {env: []string{"CLAUDE_CODE_OAUTH_TOKEN=secret"}, base: defaultBaseURL,
			from: "the default", mode: agent.ClaudeSignIn, known: true},
		"a helper": {files: map[string]string{settingsJSON: `{"apiKeyHelper":"/bin/key"}`}, base: defaultBaseURL,
			from: "the default", mode: agent.APIKey, known: true},
		"a base URL in the environment": {env: []string{"ANTHROPIC_BASE_URL=http://127.0.0.1:4000", "ANTHROPIC_AUTH_TOKEN=secret"},
			base: "http://127.0.0.1:4000", from: "ANTHROPIC_BASE_URL", mode: agent.ProviderCredentials},
		"settings before the environment": {files: map[string]string{settingsJSON: gatewayEnv, signInJSON: signInText},
			env: []string{"ANTHROPIC_BASE_URL=http://other.test"}, base: "http://gateway.test:4000/api",
			from: "/.claude/settings.json, env.ANTHROPIC_BASE_URL", mode: agent.ClaudeSignIn},
		"the administrator before the user": {files: map[string]string{settingsJSON: gatewayEnv,
			"etc/managed-settings.json": `{"env":{"ANTHROPIC_BASE_URL":"https://office.test"}}`}, base: "https://office.test",
			from: "/etc/managed-settings.json, env.ANTHROPIC_BASE_URL", mode: agent.SignedOut},
		"Bedrock": {env: []string{"CLAUDE_CODE_USE_BEDROCK=1"}, from: "CLAUDE_CODE_USE_BEDROCK", mode: agent.ProviderCredentials,
			note: "only runs of claude test it"},
		"no Bedrock": {env: []string{"CLAUDE_CODE_USE_BEDROCK=0"}, base: defaultBaseURL, from: "the default",
			mode: agent.SignedOut, known: true},
		"no URL": {env: []string{"ANTHROPIC_BASE_URL=gateway"}, from: "ANTHROPIC_BASE_URL", mode: agent.SignedOut,
			note: "is not an http or https URL"},
		"settings that are no JSON": {files: map[string]string{settingsJSON: "{,"}, base: defaultBaseURL, from: "the default",
			mode: agent.SignedOut, known: true, note: "is not valid JSON"},
		"a drop-in before the administrator's file": {files: map[string]string{
			"etc/managed-settings.json":         `{"env":{"ANTHROPIC_BASE_URL":"https://office.test"}}`,
			"etc/managed-settings.d/10.json":    `{"env":{"ANTHROPIC_BASE_URL":"https://drop.test","ANTHROPIC_API_KEY":7}}`,
			"etc/managed-settings.d/.hide.json": `{"env":{"ANTHROPIC_BASE_URL":"https://hidden.test"}}`},
			base: "https://drop.test", from: "/etc/managed-settings.d/10.json, env.ANTHROPIC_BASE_URL", mode: agent.APIKey},
		"an administrator's settings of another shape": {files: map[string]string{
			"etc/managed-settings.json": `{"env":{"ANTHROPIC_BASE_URL":"https://office.test","X":["secret"]},"apiKeyHelper":7}`},
			base: "https://office.test", from: "/etc/managed-settings.json, env.ANTHROPIC_BASE_URL", mode: agent.SignedOut,
			note: "has a value that is ignored by claude: apiKeyHelper is a number"},
		"settings with one value of another type": {files: map[string]string{
			settingsJSON: `{"env":{"ANTHROPIC_BASE_URL":"https://mine.test","X":{"secret":1}}}`},
			base: defaultBaseURL, from: "the default", mode: agent.SignedOut, known: true, note: "is ignored by claude: env.X"},
		"settings of another shape": {files: map[string]string{settingsJSON: `{"env":["a"],"apiKeyHelper":7}`},
			base: defaultBaseURL, from: "the default", mode: agent.SignedOut, known: true, note: "is ignored by claude"},
	} {
		e := withFiles(t, test.files, test.env...).endpoint()
		base := ""
		if e.BaseURL != nil {
			base = e.BaseURL.String()
		}
		notes := strings.Join(e.Notes, "; ")
		if base != test.base || !strings.HasSuffix(e.Origin(), test.from) || e.Mode != test.mode || e.KnownAnswer != test.known ||
			!strings.Contains(notes, test.note) || (notes == "") != (test.note == "") {
			t.Errorf("%s: %s because of %s, %s, known %t, notes %q", name, base, e.Origin(), e.Mode, e.KnownAnswer, notes)
		}
		if strings.Contains(fmt.Sprint(notes, e.Origin(), e.BaseURL), "secret") {
			t.Errorf("%s: a secret is shown: %q %s %s", name, notes, e.Origin(), e.BaseURL)
		}
	}
}

// TestSettingsThatNeverEnd: claude would wait at a named pipe; we do not.
func TestSettingsThatNeverEnd(t *testing.T) {
	s := withFiles(t, map[string]string{".claude/x": ""})
	if err := syscall.Mkfifo(filepath.Join(s.dir, "settings.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	if e := s.endpoint(); !strings.Contains(strings.Join(e.Notes, ""), "named pipe") || e.BaseURL == nil {
		t.Errorf("got %+v", e)
	}
}

// TestProxyOfSettings: claude reads its proxy and its CA from its settings, too.
func TestProxyOfSettings(t *testing.T) {
	e := withFiles(t, map[string]string{settingsJSON: `{"env":{"HTTPS_PROXY":"http://p.test:1","NODE_EXTRA_CA_CERTS":"/ca.pem","SSL_CERT_FILE":"/no.pem","MINE":"x"}}`}).endpoint()
	if want := []string{"HTTPS_PROXY=http://p.test:1", "NODE_EXTRA_CA_CERTS=/ca.pem"}; !cmp.Equal(want, e.Reach) {
		t.Errorf("got %q, want %q", e.Reach, want)
	}
	if !strings.HasSuffix(e.ReachFile, "/.claude/settings.json") {
		t.Errorf("got %q", e.ReachFile)
	}
}

// TestRunGetsNoSecretOnItsCommandLine: everyone on the host can read a command line.
func TestRunGetsNoSecretOnItsCommandLine(t *testing.T) {
	home, bin := t.TempDir(), t.TempDir()
	for name, value := range map[string]string{"HOME": home, configDir: "", "ANTHROPIC_API_KEY": "secret-key", "MY_SECRET": "secret-mine"} {
		t.Setenv(name, value)
	}
	path := filepath.Join(bin, "claude")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	p, _, err := run{agent.Settings{Path: path, StateDir: t.TempDir()}}.command()
	if err != nil {
		t.Fatal(err)
	}
	if line := strings.Join(p.Argv, " "); strings.Contains(line, "secret") || !strings.Contains(line, "--model haiku") {
		t.Errorf("the command line: %s", line)
	}
	env := strings.Join(p.Env, "\n")
	for text, want := range map[string]bool{"ANTHROPIC_API_KEY=secret-key": true, "secret-mine": false, "CLAUDE_CODE_MAX_RETRIES=0": true,
		"claude-home": true, "claude-tmp": true} {
		if strings.Contains(env, text) != want {
			t.Errorf("%s in the environment: %t, want %t", text, !want, want)
		}
	}
}

// asNobody runs the test once more, as a user that is not root.
func asNobody(t *testing.T) {
	t.Helper()
	const nobody = 65534
	child := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	child.Dir, child.Env = "/", []string{"TMPDIR=/tmp"}
	child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if said, err := child.CombinedOutput(); err != nil || !strings.Contains(string(said), "--- PASS: "+t.Name()) {
		t.Errorf("as nobody: %v\n%s", err, said)
	}
}

func TestSignInThatCannotBeRenewed(t *testing.T) {
	if os.Geteuid() == 0 { // root may write every file
		asNobody(t)
		return
	}
	s := withFiles(t, map[string]string{signInJSON: signInText})
	if err := os.Chmod(s.credentials(), 0o400); err != nil {
		t.Fatal(err)
	}
	end := time.UnixMilli(4102444800000)
	if err := s.canRenew(end.Add(-time.Hour)); err != nil {
		t.Errorf("an hour before it ends: %v", err)
	}
	if err := s.canRenew(end); probe.Classify(probe.Executing, err) != probe.ExecHomeUnwritable {
		t.Errorf("at its end: %v", err)
	}
}

func TestStatus(t *testing.T) {
	key, out := agenttest.Recorded(t, "testdata/2.1.332/auth-status-key"), agenttest.Recorded(t, "testdata/2.1.332/auth-status-notloggedin")
	for name, test := range map[string]struct {
		stdout string
		code   int
		class  probe.Class
		output string
	}{
		"signed in":  {key.Stdout, key.Code, probe.OK, "signed in: api_key"},
		"signed out": {out.Stdout, out.Code, probe.ExecNotLoggedIn, ""},
		"an older version": {"error: unknown command 'auth'\n", 1, probe.OK,
			"the answer of auth status (exit code 1) is not understood"},
	} {
		path := filepath.Join(t.TempDir(), "claude")
		script := fmt.Sprintf("#!/bin/sh\ncat <<'END'\n%s\nEND\nexit %d\n", test.stdout, test.code)
		if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		facts, err := status{agent.Settings{Path: path}, time.Minute}.Probe(t.Context())
		class := probe.OK
		if err != nil {
			class = probe.Classify(probe.Executing, err)
		}
		if class != test.class || facts.Output != test.output {
			t.Errorf("%s: got %v %v, output %q", name, class, err, facts.Output)
		}
	}
}

// TestSandboxStatus: a program answers as claude does, with one answer about its sandbox at a time.
func TestSandboxStatus(t *testing.T) {
	missing := `{"enabled":false,"unavailableReason":"sandbox is enabled but dependencies are missing: socat not installed"}`
	for name, test := range map[string]struct {
		version, answer string
		class           probe.Class
		says            string
	}{
		"on":          {"2.1.332", `{"enabled":true,"unavailableReason":null}`, probe.OK, "sandbox on"},
		"off":         {"2.1.332", `{"enabled":false,"unavailableReason":null}`, probe.OK, "sandbox off"},
		"unavailable": {"2.2.0", missing, probe.ExecConfigInvalid, "socat not installed"},
		"garbage":     {"2.1.332", "\x00\xff{", probe.OK, "the answer of sandbox status is not understood"},
		"older":       {"2.0.9", "a prompt", probe.OK, "2.0.9 has no sandbox status"},
	} {
		dir := t.TempDir()
		path, asked := filepath.Join(dir, "claude"), filepath.Join(dir, "asked")
		script := fmt.Sprintf("#!/bin/sh\ncase $1 in\n--version) echo %s;;\nauth) echo '{\"loggedIn\":true,\"authMethod\":\"api_key\"}';;\n"+
			"sandbox) echo $* >>%s; cat <<'END'\n%s\nEND\n;;\nesac\n", test.version, asked, test.answer)
		if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		facts, err := status{agent.Settings{Path: path}, time.Minute}.Probe(t.Context())
		class, says := probe.OK, facts.Output
		if err != nil {
			class, says = probe.Classify(probe.Executing, err), err.Error()
		}
		if class != test.class || !strings.Contains(says, test.says) {
			t.Errorf("%s: got %v %v, output %q", name, class, err, facts.Output)
		}
		if _, err := os.Stat(asked); (err == nil) == (name == "older") {
			t.Errorf("%s: asked: %v", name, err)
		}
	}
}

// TestCost: claude reports what a run costs. An older version that reports none leaves it out.
func TestCost(t *testing.T) {
	for text, want := range map[string]*float64{`"total_cost_usd":0.0042,`: new(0.0042), `"total_cost_usd":0,`: new(0.0), "": nil} {
		var facts probe.Facts
		readReport(execprobe.ExitState{Stdout: `{"type":"result","is_error":false,` + text + `"result":"OK"}`}).Fill(&facts)
		if !cmp.Equal(facts.CostUSD, want) {
			t.Errorf("%q: got %v", text, facts.CostUSD)
		}
	}
}
