package blackbox

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"netwatchd/internal/lab/stack"
)

// On an address of the LAN a request that changes something needs the token. netwatchd's own commands find it.
func TestToken(t *testing.T) {
	s := stack.Start(t)
	lan := stack.HostAddress + ":19405"
	config := "--config.file=" + s.Config("      - {name: agent, kind: exec, command: [echo, OK], expect: {output: OK}, interval: 1h}",
		`web: {listen: ["`+lan+`", "127.0.0.1:19405"]}`)
	d := s.Daemon(config)
	d.AwaitReady()
	file := filepath.Join(s.Dir, "storage", "web.token")
	token, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v: want 0600", info.Mode(), err)
	}
	for _, tt := range []struct {
		address, token string
		code           int
	}{
		{lan, "", http.StatusUnauthorized},
		{lan, "another-token-0123456789", http.StatusUnauthorized},
		{lan, strings.TrimSpace(string(token)), http.StatusOK},
		{"127.0.0.1:19405", "", http.StatusOK},
	} {
		if got := reload(t, tt.address, tt.token); got != tt.code {
			t.Errorf("a reload at %s with the token %q: %d, want %d", tt.address, tt.token, got, tt.code)
		}
	}

	if e := s.Run("backtest", config, "-n", "1"); e.Code != 0 || strings.Contains(e.Stderr, "not recorded") {
		t.Errorf("backtest: exit code %d\n%s%s", e.Code, e.Stdout, e.Stderr)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if e := s.Run("backtest", config, "-n", "1"); !strings.Contains(e.Stderr, file+" does not exist") {
		t.Errorf("backtest without the token: exit code %d\n%s%s", e.Code, e.Stdout, e.Stderr)
	}
}

// reload asks for a reload and returns the HTTP status.
func reload(t *testing.T, address, token string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("http://%s/-/reload", address), nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := (&http.Client{Timeout: 10 * time.Second}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}
