package opencode

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"netwatchd/internal/agent"
	"netwatchd/internal/lab/responses"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/probetest"
)

// liveTimeout is for a machine that is busy besides: a run takes six seconds of CPU.
const liveTimeout = 5 * time.Minute

// TestLive runs the real program against the mock of its provider. A run takes six seconds of CPU: these three are the
// run that succeeds, one that opencode ends, and one that it would repeat without bound.
func TestLive(t *testing.T) {
	path := probetest.Installed(t, "opencode", "1.18.33")
	t.Setenv("HOME", t.TempDir())
	t.Setenv("ANTHROPIC_API_KEY", "sk-ant-live-key")
	for behaviour, want := range map[responses.Behaviour]probe.Class{
		responses.OK:        probe.OK,
		responses.Challenge: probe.HTTPEdgeBlocked,
		responses.Page:      probe.ExecStreamCut,
	} {
		t.Run(behaviour.String(), func(t *testing.T) {
			s := responses.Start()
			defer s.Close()
			s.Behave(behaviour)
			state := t.TempDir()
			r := probetest.DoRun(t, run{agent.Settings{Path: path, StateDir: state, BaseURL: s.URL() + "/v1",
				Model: "anthropic/claude-haiku-4-5"}}, liveTimeout)
			if r.Class != want {
				t.Errorf("got %v %q, want %v", r.Class, r.Why, want)
			}
			if left, _ := filepath.Glob(filepath.Join(state, "opencode-tmp-*")); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
			turns := s.Turns()
			// Left alone, opencode makes more than 300 requests after the page.
			if len(turns) == 0 || len(turns) > 20 || turns[0].Header.Get("X-Api-Key") != "sk-ant-live-key" {
				t.Errorf("%d turns: %+v", len(turns), turns)
			}
			if got := len(s.Requests()); got != len(turns) {
				t.Errorf("%d requests, want the turns alone", got)
			}
			if strings.Contains(r.Why+r.Output, "sk-ant-live-key") {
				t.Errorf("the key is shown: %q %q", r.Why, r.Output)
			}
			if behaviour == responses.OK && (r.Tokens == nil || r.Tokens.Input != responses.Usage.Input ||
				r.Tokens.CachedInput != responses.Usage.CachedInput || r.Tokens.Output != responses.Usage.Output || r.Output != "OK") {
				t.Errorf("tokens %+v, output %q", r.Tokens, r.Output)
			}
		})
	}
}
