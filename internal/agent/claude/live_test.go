package claude

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"netwatchd/internal/agent"
	"netwatchd/internal/lab/responses"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/probetest"
)

// liveTimeout is for a machine that is ten times slower: a run takes half a second.
const liveTimeout = 80 * time.Second

// TestLive runs the real program against the mock of its service, which misbehaves in one way at a time.
func TestLive(t *testing.T) {
	path := probetest.Installed(t, "claude", "2.1.332")
	t.Setenv("HOME", t.TempDir())
	t.Setenv(configDir, "")
	t.Setenv("ANTHROPIC_API_KEY", "sk-ant-live-key")
	for behaviour, want := range map[responses.Behaviour]probe.Class{
		responses.OK:           probe.OK,
		responses.Unauthorized: probe.ExecUnauthorized,
		responses.Challenge:    probe.HTTPEdgeBlocked,
		responses.UsageLimit:   probe.ExecUsageLimit,
		responses.RateLimit:    probe.ExecRateLimited,
		responses.Unavailable:  probe.ExecOverloaded,
		responses.Cut:          probe.ExecStreamCut,
		responses.Page:         probe.ExecStreamCut,
		responses.ModelRefused: probe.ExecModelRejected,
		responses.BadRequest:   probe.HTTPUnexpectedStatus,
	} {
		t.Run(behaviour.String(), func(t *testing.T) {
			s := responses.Start()
			defer s.Close()
			s.Behave(behaviour)
			state := t.TempDir()
			r := probetest.DoRun(t, run{agent.Settings{Path: path, StateDir: state, BaseURL: s.URL()}}, liveTimeout)
			if r.Class != want {
				t.Errorf("got %v %q, want %v", r.Class, r.Why, want)
			}
			if left, _ := filepath.Glob(filepath.Join(state, "claude-tmp-*")); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
			// Claude repeats a request that is refused with 400 or 404, with fewer features.
			turns := s.Turns()
			if repeats := behaviour == responses.BadRequest || behaviour == responses.ModelRefused; len(turns) > 1 && !repeats ||
				len(turns) == 0 || len(turns) > 3 || turns[0].Header.Get("X-Api-Key") != "sk-ant-live-key" {
				t.Errorf("%d turns: %+v", len(turns), turns)
			}
			if got := len(s.Requests()); got != len(turns) {
				t.Errorf("%d requests, want the turns alone", got)
			}
			if strings.Contains(r.Why+r.Output, "sk-ant-live-key") {
				t.Errorf("the key is shown: %q %q", r.Why, r.Output)
			}
			if behaviour == responses.OK && (r.Tokens == nil || r.Tokens.Input != responses.Usage.Input ||
				r.Tokens.CachedInput != responses.Usage.CachedInput || r.Tokens.Output != responses.Usage.Output) {
				t.Errorf("tokens %+v, want %+v", r.Tokens, responses.Usage)
			}
		})
	}
}

// TestLiveIsGoneAtItsDeadline: claude waits for a service that accepts its request and says nothing.
func TestLiveIsGoneAtItsDeadline(t *testing.T) {
	path := probetest.Installed(t, "claude", "2.1.332")
	t.Setenv("HOME", t.TempDir())
	t.Setenv("ANTHROPIC_API_KEY", "sk-ant-live-key")
	s := responses.Start()
	defer s.Close()
	s.Behave(responses.StallHeaders)
	r := probetest.DoRun(t, run{agent.Settings{Path: path, StateDir: t.TempDir(), BaseURL: s.URL()}}, 5*time.Second)
	if r.Class != probe.ExecTimedOut {
		t.Errorf("got %v %q, want %v", r.Class, r.Why, probe.ExecTimedOut)
	}
}

// TestLiveStatus asks the real program who is signed in.
func TestLiveStatus(t *testing.T) {
	path := probetest.Installed(t, "claude", "2.1.332")
	t.Setenv("HOME", t.TempDir())
	t.Setenv(configDir, "")
	t.Setenv("ANTHROPIC_API_KEY", "")
	if r := probetest.DoRun(t, status{agent.Settings{Path: path}, liveTimeout}, liveTimeout); r.Class != probe.ExecNotLoggedIn {
		t.Errorf("nobody: got %v %q %q", r.Class, r.Why, r.Output)
	}
	t.Setenv("ANTHROPIC_API_KEY", "sk-ant-live-key")
	s := responses.Start()
	defer s.Close()
	t.Setenv(baseURL, s.URL()) // elsewhere doctor is not asked
	if r := probetest.DoRun(t, status{agent.Settings{Path: path}, liveTimeout}, liveTimeout); !r.OK() || r.Output != "signed in: api_key, sandbox off" {
		t.Errorf("a key: got %v %q %q", r.Class, r.Why, r.Output)
	}
	t.Setenv(baseURL, "")
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "settings.json"), []byte(`{"sandbox": {"enabled": true}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	on := status{agent.Settings{Path: path, Home: home}, liveTimeout}
	t.Setenv("PATH", t.TempDir()) // with neither bwrap nor socat
	if r := probetest.DoRun(t, on, liveTimeout); r.Class != probe.ExecConfigInvalid || !strings.Contains(r.Why, "dependencies are missing") {
		t.Errorf("a sandbox that does not start: got %v %q %q", r.Class, r.Why, r.Output)
	}
	if v, err := program.Version(t.Context(), path); err != nil || v.String() != "2.1.332" {
		t.Errorf("version: got %v, %v", v, err)
	}
}
