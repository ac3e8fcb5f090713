package gemini

import (
	"path/filepath"
	"testing"
	"time"

	"netwatchd/internal/agent"
	"netwatchd/internal/lab/responses"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/probetest"
)

// liveTimeout is for a machine that is ten times slower: a run takes two seconds.
const liveTimeout = 80 * time.Second

// TestLive runs the real program against the mock of its service, which misbehaves in one way at a time.
func TestLive(t *testing.T) {
	path := probetest.Installed(t, "gemini", "0.61.0")
	t.Setenv("HOME", t.TempDir())
	t.Setenv(homeVariable, "")
	t.Setenv("GEMINI_API_KEY", "live-key")
	for behaviour, want := range map[responses.Behaviour]probe.Class{
		responses.OK:           probe.OK,
		responses.Unauthorized: probe.ExecUnauthorized,
		responses.Unavailable:  probe.ExecOverloaded,
		responses.Cut:          probe.ExecStreamCut,
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
			if turns := s.Turns(); len(turns) != 1 || turns[0].Header.Get("X-Goog-Api-Key") != "live-key" {
				t.Errorf("%d turns: %+v", len(turns), turns)
			}
			if left, _ := filepath.Glob(filepath.Join(state, "gemini-tmp-*")); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
			if behaviour == responses.OK && (r.Tokens == nil || r.Tokens.Input != responses.Usage.Input || r.Output != "OK") {
				t.Errorf("tokens %+v, output %q", r.Tokens, r.Output)
			}
		})
	}
}
