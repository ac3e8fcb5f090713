package presets

import (
	"net/url"
	"testing"
)

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
