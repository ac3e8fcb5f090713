package codex

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"netwatchd/internal/agent/stub"
	"netwatchd/internal/agent/stub/stubtest"
	"netwatchd/internal/lab/responses"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
	"netwatchd/internal/probe/probetest"
)

// A stub run works whatever the service does, and needs no sign-in.
func TestCodexStubLive(t *testing.T) {
	eachCodex(t, func(t *testing.T, path string) {
		s := serve(t, responses.StallHeaders)
		nobody := withKey(t, path, s.BaseURL())
		nobody.Env = nil
		for name, c := range map[string]Codex{"with a key": withKey(t, path, s.BaseURL()), "signed in": signedInUser(t, path, s), "nobody": nobody} {
			r := probetest.DoRun(t, codexStubRun{c}, 60*time.Second)
			if !r.OK() || r.Output != "OK" || r.Tokens != nil {
				t.Errorf("%s: got %v %q, output %q, tokens %v", name, r.Class, r.Why, r.Output, r.Tokens)
			}
		}
		if got := s.Requests(); len(got) != 0 {
			t.Errorf("the service got %d requests, want none: %+v", len(got), got)
		}
	})
}

// isTurn matches the request for a turn, below a stub's path.
var isTurn = regexp.MustCompile(`^POST /[A-Z2-7]+/responses`)

// A stub run sends neither the user's key nor the token of the sign-in, and asks nobody else for anything.
func TestCodexStubLiveSendsNoCredentials(t *testing.T) {
	eachCodex(t, func(t *testing.T, path string) {
		s := serve(t, responses.OK)
		key, signedIn := withKey(t, path, s.BaseURL()), signedInUser(t, path, s)
		// Not on the loopback address, which is exempt from the proxy.
		signedIn.Env = []string{"CODEX_REFRESH_TOKEN_URL_OVERRIDE=http://auth.test/oauth/token"}
		for name, c := range map[string]Codex{"with a key": key, "signed in": signedIn} {
			server, err := stub.Start(stub.Responses(), "OK")
			if err != nil {
				t.Fatal(err)
			}
			seen := stubtest.Tap(server)
			argv, env, dir, err := codexStubRun{c}.command(t.Context(), server)
			if err != nil {
				t.Fatal(err)
			}
			r := probetest.DoRun(t, execprobe.Run{Command: append([]string{"env", "-i"}, append(env, argv...)...), Dir: dir, Expect: "turn.completed"}, 60*time.Second)
			if !r.OK() {
				t.Errorf("%s: got %v %q", name, r.Class, r.Why)
			}
			server.Close()
			turns := 0
			for _, request := range seen() {
				if strings.Contains(request, "sk-test") || strings.Contains(request, "eyJ") || strings.Contains(strings.ToLower(request), "chatgpt-account-id") {
					t.Errorf("%s: sent credentials: %s", name, request)
				}
				if isTurn.MatchString(request) {
					turns++
				}
			}
			if turns != 1 {
				t.Errorf("%s: %d turns, want one, of %d requests", name, turns, len(seen()))
			}
		}
		if got := refreshToken(t, signedIn); got != "rt_first" {
			t.Errorf("the sign-in was renewed: %s is stored", got)
		}
	})
}

// A stub run fails with the installation, and reports whether the stub got a request.
func TestCodexStubLiveBrokenInstallation(t *testing.T) {
	eachCodex(t, func(t *testing.T, path string) {
		c := withKey(t, path, "http://127.0.0.1:1/v1")
		if r := probetest.DoRun(t, codexStubRun{c}, 60*time.Second); !r.OK() {
			t.Fatalf("before: got %v %q, want ok", r.Class, r.Why)
		}
		if err := os.WriteFile(filepath.Join(c.StateDir, "codex-home", "config.toml"), []byte("[foo\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		r := probetest.DoRun(t, codexStubRun{c}, 60*time.Second)
		if r.Class != probe.ExecConfigInvalid || !strings.Contains(r.Why, "config.toml:1:5") || !strings.Contains(r.Why, "got no request") {
			t.Errorf("got %v %q, want %v with the place", r.Class, r.Why, probe.ExecConfigInvalid)
		}
	})
}

func TestCodexStubOfAProgramThatFails(t *testing.T) {
	t.Parallel()
	state := stateDir(t)
	codex := filepath.Join(state, "codex")
	if err := os.WriteFile(codex, []byte("#!/bin/sh\ncase $1 in --version) echo codex-cli 0.169.0;; *) echo Error: lost >&2; exit 3;; esac\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := probetest.DoRun(t, codexStubRun{Codex{Path: codex, Home: state, StateDir: state}}, 30*time.Second)
	if r.Class != probe.ExecUnexpectedExit || !strings.Contains(r.Why, "Error: lost") || !strings.Contains(r.Why, "got no request") {
		t.Errorf("got %v %q, want %v", r.Class, r.Why, probe.ExecUnexpectedExit)
	}
}

// A run with codex's own provider depends on routing discovery and tries a WebSocket, as the user's codex does. A usual
// one does neither (0.169.0 asks for the routing beside the turn), so only the other shows if routing discovery fails.
func TestCodexLiveBuiltinProvider(t *testing.T) {
	eachCodex(t, func(t *testing.T, path string) {
		isRouted := filepath.Base(t.Name()) != "0.104.0" // since 0.156
		users := stateDir(t)
		if err := responses.SignIn(users); err != nil {
			t.Fatal(err)
		}
		e, env := startEverywhere(t)
		usual := Codex{Path: path, Home: users, StateDir: stateDir(t), Model: "gpt-5.5", Env: env}
		builtin := usual
		builtin.Provider = BuiltinProvider
		for name, test := range map[string]struct {
			run        Codex
			webSockets bool
		}{"usual": {usual, false}, "builtin": {builtin, isRouted}} {
			r := probetest.DoRun(t, test.run, 60*time.Second)
			upgrade := slices.ContainsFunc(e.requests(), func(r request) bool {
				return r.method == http.MethodGet && strings.HasSuffix(r.path, "/codex/responses")
			})
			if !r.OK() || upgrade != test.webSockets {
				t.Errorf("%s: got %v %q; tried a WebSocket: %v", name, r.Class, r.Why, upgrade)
			}
		}
		e.mock.RefusesRouting.Store(true)
		if r := probetest.DoRun(t, usual, 60*time.Second); !r.OK() {
			t.Errorf("usual, without routing: got %v %q", r.Class, r.Why)
		}
		r := probetest.DoRun(t, builtin, 60*time.Second)
		if signals := []string{probe.SignalRouting}; r.OK() == isRouted || isRouted && (r.Class != probe.ExecNetwork || !slices.Equal(r.Signals, signals)) {
			t.Errorf("builtin, without routing: got %v %q with %v", r.Class, r.Why, r.Signals)
		}
	})
}
