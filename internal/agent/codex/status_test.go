package codex

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netwatchd/internal/lab/responses"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
	"netwatchd/internal/probe/probetest"
)

// replayingCodex writes an executable that answers as the codex of two recordings did.
func replayingCodex(t *testing.T, login, doctor string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "codex")
	answer := func(recording string) string {
		dir, err := filepath.Abs(filepath.Join("testdata", recording))
		if err != nil {
			t.Fatal(err)
		}
		exit := strings.TrimSpace(content(t, dir, "exit"))
		return fmt.Sprintf("cat %q; cat %q >&2; exit %s", filepath.Join(dir, "stdout"), filepath.Join(dir, "stderr"), exit)
	}
	text := "#!/bin/sh\ncase \"$*\" in\n--version) echo codex-cli " + strings.Split(doctor, "/")[0] + "; exit;;\n" +
		"'login status') " + answer(login) + ";;\n'doctor --network-only --json') " + answer(doctor) + ";;\nesac\nexit 99\n"
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestStatusRecordings replays what two versions of codex reported about themselves.
func TestStatusRecordings(t *testing.T) {
	t.Setenv("CODEX_API_KEY", "")
	const signedIn, old = "0.169.0/chatgpt-login-status", "0.104.0/doctor-network-unknown-flag"
	const fine = "signed in with ChatGPT, doctor OK"
	tests := []struct {
		login, doctor string
		class         probe.Class
		why, output   string
		warnings      []string
	}{
		{signedIn, "0.169.0/doctor-network-ok", probe.OK, "", fine, []string{"codex_websocket_fallback"}},
		{"0.104.0/chatgpt-login-status", old, probe.OK, "",
			"signed in with ChatGPT, no doctor in 0.104.0", nil},
		{"0.104.0/cfg-login-status-key", old, probe.OK, "",
			"signed in with an API key, no doctor in 0.104.0", nil},
		{"0.169.0/cfg-login-status-key", "0.169.0/doctor-network-key", probe.OK, "",
			"signed in with an API key, doctor OK",
			[]string{"codex_websocket_fallback"}},
		{signedIn, "0.169.0/doctor-network-custom-provider", probe.OK, "", fine, nil},

		{"0.104.0/cfg-login-status-not-logged-in", old, probe.ExecNotLoggedIn, "run `codex login`", "", nil},
		{"0.169.0/cfg-login-status-not-logged-in", "0.169.0/doctor-network-ok", probe.ExecNotLoggedIn, "run `codex login`", "", nil},
		{"0.104.0/cfg-login-status-broken-config", old, probe.ExecConfigInvalid, "config.toml:1:3: unclosed table", "",
			nil},
		{"0.169.0/cfg-login-status-broken-config", "0.169.0/doctor-network-broken-config", probe.ExecConfigInvalid,
			"config.toml:1:3: unclosed table", "", nil},
		{signedIn, "0.169.0/doctor-network-broken-config", probe.ExecConfigInvalid,
			"codex doctor: invalid configuration: <home>/.codex/config.toml:1", "signed in with ChatGPT", nil},
		{signedIn, "0.169.0/doctor-network-unknown-provider", probe.ExecConfigInvalid, "codex doctor: entity not found",
			"signed in with ChatGPT", nil},
		// Not readable for a reason that has nothing to do with the file: nothing is concluded.
		{"0.169.0/cfg-login-status-broken-auth", "0.169.0/doctor-network-ok", probe.OK, "",
			"the sign-in cannot be read here, doctor OK",
			[]string{"codex_websocket_fallback"}},

		{signedIn, "0.169.0/doctor-network-refused", probe.ExecNetwork,
			"codex doctor: ChatGPT inference URL: https://chatgpt.com/backend-api/<redacted> connect failed (required)",
			"signed in with ChatGPT", []string{"codex_websocket_fallback"}},
		{signedIn, "0.169.0/doctor-network-sandbox", probe.ExecNetwork, "connect failed", "signed in with ChatGPT",
			[]string{"codex_websocket_fallback"}},
		{signedIn, "0.169.0/doctor-network-ca-missing", probe.ExecNetwork,
			"TLS handshake or certificate validation failed (required); custom CA env var points at an unreadable path",
			"signed in with ChatGPT", []string{"codex_websocket_fallback"}},
		{signedIn, "0.169.0/doctor-network-stalled", probe.ExecNetwork, "request timed out (required)",
			"signed in with ChatGPT", []string{"codex_websocket_fallback"}},
		{signedIn, "0.169.0/doctor-network-http404", probe.HTTPUnexpectedStatus, "returned HTTP 404 (required)",
			"signed in with ChatGPT", []string{"codex_websocket_fallback"}},
		// The service's own fault: our requests show it better.
		{signedIn, "0.169.0/doctor-network-http503", probe.OK, "",
			"signed in with ChatGPT, doctor: provider endpoint checks returned warnings", []string{"codex_websocket_fallback"}},
	}
	for _, test := range tests {
		t.Run(test.login+" "+test.doctor, func(t *testing.T) {
			c := codexStatus{Codex{Path: replayingCodex(t, test.login, test.doctor), Home: t.TempDir(), StateDir: t.TempDir()},
				30 * time.Second}
			r := probetest.DoRun(t, c, time.Minute)
			if r.Class != test.class || !strings.Contains(r.Why, test.why) || r.Output != test.output ||
				!slices.Equal(r.Warnings, test.warnings) {
				t.Errorf("got %v %q, output %q, warnings %v", r.Class, r.Why, r.Output, r.Warnings)
			}
			if text := r.Why + r.Output; strings.Contains(text, "sk-") || strings.Contains(text, "***") {
				t.Errorf("a part of the key is shown: %q", text)
			}
			for _, warning := range r.Warnings {
				if !slices.Contains(codexWarningNames(), warning) {
					t.Errorf("warning %q is not on the list", warning)
				}
			}
			if sandboxed := strings.HasSuffix(test.doctor, "sandbox"); slices.Contains(r.Signals, "os error 1") != sandboxed {
				t.Errorf("signals %v", r.Signals)
			}
		})
	}
}

// TestDoctorReportOfAnotherForm: what is not understood is not a failure, and is not silent.
func TestDoctorReportOfAnotherForm(t *testing.T) {
	t.Setenv("CODEX_API_KEY", "sk-test")
	for name, report := range map[string]string{
		"nothing":       ``,
		"text":          `everything is fine`,
		"a list":        `[]`,
		"no checks":     `{"schemaVersion":2}`,
		"other checks":  `{"checks":{"network.other":{"status":"fail"}}}`,
		"other types":   `{"checks":{"network.provider_reachability":{"status":7}}}`,
		"a check twice": `{"checks":[{"id":"network.provider_reachability"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "codex")
			text := "#!/bin/sh\ncase $1 in --version) echo codex-cli 0.200.0;; doctor) cat <<'END'\n" + report + "\nEND\nexit 1;; esac\n"
			if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
				t.Fatal(err)
			}
			r := probetest.DoRun(t, codexStatus{Codex{Path: path, StateDir: t.TempDir()}, 30 * time.Second}, time.Minute)
			if !r.OK() || !slices.Contains(r.Warnings, warnDoctorUnreadable) || !strings.Contains(r.Output, "doctor") {
				t.Errorf("got %v %q, output %q, warnings %v", r.Class, r.Why, r.Output, r.Warnings)
			}
		})
	}
}

// TestStatusTakesTurns: codex never runs twice at the same time with one state directory.
func TestStatusTakesTurns(t *testing.T) {
	t.Setenv("CODEX_API_KEY", "sk-test")
	dir := t.TempDir()
	path := filepath.Join(dir, "codex")
	// mkdir fails if another one is running.
	text := "#!/bin/sh\n[ \"$1\" = --version ] && { echo codex-cli 0.169.0; exit; }\ncd " + dir + "\nmkdir running || echo >>together\nsleep 0.05\n" +
		"rmdir running\necho >>ran\n"
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	c := Codex{Path: path, Home: filepath.Join(dir, "nobody"), StateDir: filepath.Join(dir, "state")}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { codexStatus{c, 30 * time.Second}.Probe(t.Context()) })
		all.Go(func() { c.Probe(t.Context()) })
	}
	all.Wait()
	if ran := strings.Count(content(t, dir, "ran"), "\n"); ran != 8 {
		t.Errorf("codex ran %d times, want 8", ran)
	}
	if _, err := os.Stat(filepath.Join(dir, "together")); err == nil {
		t.Error("codex ran twice at the same time")
	}

	// One that waits for its turn obeys its context, and does not spend its own time.
	release, err := c.takeTurn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := (codexStatus{c, time.Millisecond}).Probe(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// expiredSignIn is a ChatGPT sign-in that codex renews when it next sends a request.
func expiredSignIn(home string) error {
	if err := responses.SignIn(home); err != nil {
		return err
	}
	file := filepath.Join(home, "auth.json")
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var auth map[string]any
	if err := json.Unmarshal(text, &auth); err != nil {
		return err
	}
	claims := fmt.Sprintf(`{"exp":%d,"email":"someone@example.test"}`, time.Now().Add(-time.Hour).Unix())
	token := "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".eA"
	auth["tokens"].(map[string]any)["access_token"], auth["last_refresh"] = token, "2026-01-01T00:00:00Z"
	text, _ = json.Marshal(auth)
	return os.WriteFile(file, text, 0o600)
}

// TestCodexLiveStatus asks the real codex: it must not send a turn, or print a part of a key.
func TestCodexLiveStatus(t *testing.T) {
	file := func(name, text string) func(string) error {
		return func(home string) error { return os.WriteFile(filepath.Join(home, name), []byte(text), 0o600) }
	}
	tests := map[string]struct {
		prepare     func(home string) error
		class       probe.Class
		why, output string
		requests    int // of doctor
	}{
		"ChatGPT":             {responses.SignIn, probe.OK, "", "signed in with ChatGPT, ", 2},
		"ChatGPT, expired":    {expiredSignIn, probe.OK, "", "signed in with ChatGPT, ", 3},
		"a key":               {file("auth.json", `{"OPENAI_API_KEY":"sk-proj-abcdefghijklmnop"}`), probe.OK, "", "signed in with an API key, ", 3},
		"nobody":              {func(string) error { return nil }, probe.ExecNotLoggedIn, "codex login", "", 0},
		"auth.json is broken": {file("auth.json", `{"tokens":`), probe.ExecNotLoggedIn, "auth.json is not valid JSON", "", 0},
		"config.toml is broken": {func(home string) error {
			return errors.Join(responses.SignIn(home), file("config.toml", "model = [\n")(home))
		}, probe.ExecConfigInvalid, "config.toml:", "", 0},
	}
	eachCodex(t, func(t *testing.T, path string) {
		hasDoctor := filepath.Base(t.Name()) != "0.104.0"
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				home := stateDir(t)
				if err := test.prepare(home); err != nil {
					t.Fatal(err)
				}
				before, _ := os.ReadFile(filepath.Join(home, "auth.json"))
				e, env := startEverywhere(t)
				env = append(env, "CODEX_API_KEY=", "CODEX_REFRESH_TOKEN_URL_OVERRIDE=https://chatgpt.com/oauth/token")
				c := codexStatus{Codex{Path: path, Home: home, StateDir: stateDir(t), Env: env}, 30 * time.Second}
				r := probetest.DoRun(t, c, time.Minute)
				if r.Class != test.class || !strings.Contains(r.Why, test.why) || !strings.HasPrefix(r.Output, test.output) {
					t.Errorf("got %v %q, output %q", r.Class, r.Why, r.Output)
				}
				want := "no doctor in 0.104.0"
				if hasDoctor {
					want = "doctor OK"
				}
				if r.OK() && !strings.HasSuffix(r.Output, want) {
					t.Errorf("output %q, want %q at its end", r.Output, want)
				}
				if text := r.Why + r.Output; strings.Contains(text, "sk-") || strings.Contains(text, "***") ||
					strings.Contains(text, "11111111-") || strings.Contains(text, "@") {
					t.Errorf("a key or an account is shown: %q", text)
				}
				requests := e.requests()
				renews := name == "ChatGPT, expired" && hasDoctor
				if !hasDoctor {
					test.requests = 0
				}
				if len(requests) != test.requests || slices.ContainsFunc(requests, request.isTurn) {
					t.Errorf("got requests %v, want %d and no turn", requests, test.requests)
				}
				if slices.ContainsFunc(requests, func(r request) bool { return r.method == http.MethodPost }) != renews {
					t.Errorf("renewed %v: %v", !renews, requests)
				}
				if after, _ := os.ReadFile(filepath.Join(home, "auth.json")); (string(after) != string(before)) != renews {
					t.Errorf("auth.json has changed: %v", !renews)
				}
			})
		}
	})
}

// TestCodexLiveStatusLosesNoSignIn: doctor renews a sign-in that has expired. If the new one cannot be saved, the user is
// signed out; so then it is not run.
func TestCodexLiveStatusLosesNoSignIn(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: a read-only mount")
	}
	eachCodex(t, func(t *testing.T, path string) {
		home := stateDir(t)
		if err := expiredSignIn(home); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount(home, home, "", unix.MS_BIND, ""); err != nil {
			t.Skipf("needs mounts: %v", err)
		}
		t.Cleanup(func() { unix.Unmount(home, unix.MNT_DETACH) })
		if err := unix.Mount("", home, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
		e, env := startEverywhere(t)
		env = append(env, "CODEX_API_KEY=", "CODEX_REFRESH_TOKEN_URL_OVERRIDE=https://chatgpt.com/oauth/token")
		r := probetest.DoRun(t, codexStatus{Codex{Path: path, Home: home, StateDir: stateDir(t), Env: env}, 30 * time.Second},
			time.Minute)
		if r.Class != probe.ExecHomeUnwritable || !strings.Contains(r.Why, "auth.json: read-only file system") {
			t.Errorf("got %v %q, want %v", r.Class, r.Why, probe.ExecHomeUnwritable)
		}
		if requests := e.requests(); len(requests) != 0 {
			t.Errorf("got requests %v, want none", requests)
		}
	})
}

// TestCodexLiveStatusInSandbox is the incident, as the agent's doctor sees it.
func TestCodexLiveStatusInSandbox(t *testing.T) {
	native, err := Find(installedCodex(t, "0.169.0"))
	if err != nil {
		t.Fatal(err)
	}
	home := stateDir(t)
	if err := responses.SignIn(home); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(home, "codex")
	text := fmt.Sprintf("#!/bin/sh\nexec %q sandbox -- %q \"$@\"\n", native, native)
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	if r := probetest.DoRun(t, execprobe.Run{Command: []string{script, "--version"}, Expect: "0.169.0",
		Env: []string{"CODEX_HOME=" + home}}, 30*time.Second); !r.OK() {
		t.Skipf("needs user namespaces: codex's sandbox says %s", r.Why)
	}
	c := codexStatus{Codex{Path: script, Home: home, StateDir: stateDir(t)}, 30 * time.Second}
	r := probetest.DoRun(t, c, time.Minute)
	if r.Class != probe.ExecNetwork || !slices.Contains(r.Signals, "os error 1") || r.Output != "signed in with ChatGPT" {
		t.Errorf("got %v %q, output %q, signals %v", r.Class, r.Why, r.Output, r.Signals)
	}
}
