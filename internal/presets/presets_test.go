package presets

import (
	"net/url"
	"testing"

	"netwatchd/internal/config"
)

// TestRuns: the configuration knows the same agents, and which of them are run.
func TestRuns(t *testing.T) {
	if len(agents) != len(config.Presets) {
		t.Errorf("%d agents, %d presets", len(agents), len(config.Presets))
	}
	for _, preset := range config.Presets {
		switch a := Named(preset); {
		case a == nil:
			t.Errorf("no agent for %s", preset)
		case config.IsRun(preset) != (a.Run != nil) || (a.NoRun == "") != (a.Run != nil):
			t.Errorf("%s is run: %t, its reason %q", preset, a.Run != nil, a.NoRun)
		}
	}
}

func TestAtEndpoint(t *testing.T) {
	for text, want := range map[string]bool{
		"https://chatgpt.com/backend-api/codex/responses": true, "https://CHATGPT.com/backend-api/codex": true,
		"https://chatgpt.com/backend-api/codexes": false, "https://chatgpt.com/": false, "https://example.com/backend-api/codex": false,
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := AtEndpoint(u) != nil; got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}
