package claude

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"netwatchd/internal/agent"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/probetest"
)

// TestDoctorReports reads reports of 2.1.332.
func TestDoctorReports(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		class probe.Class
		says  string
	}{
		"answered":   {probe.OK, "doctor OK"}, // with 403
		"refused":    {probe.ExecNetwork, "(ECONNREFUSED)"},
		"stalled":    {probe.ExecNetwork, "no answer"},
		"proxy":      {probe.ExecNetwork, "via HTTPS_PROXY: Couldn't connect through your proxy (ERR_PROXY_TUNNEL)"},
		"not-tested": {probe.OK, "doctor tested nothing"},
	} {
		text, err := os.ReadFile(filepath.Join("testdata/doctor", name+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		said, err := readDoctor(string(text))
		class := probe.OK
		if err != nil {
			class, said = probe.Classify(probe.Executing, err), err.Error()
		}
		if class != test.class || !strings.Contains(said, test.says) {
			t.Errorf("%s: got %v %q, want %v %q", name, class, said, test.class, test.says)
		}
	}
	for _, text := range []string{"", "\x00\xff", "API connectivity\n- API (x: failed\n", "- API connectivity"} {
		if said, err := readDoctor(text); said != "" || err != nil {
			t.Errorf("%q: got %q, %v: want nothing", text, said, err)
		}
	}
}

// TestLiveDoctor has the real program report that its proxy refuses its requests. It sends no credentials, of the
// environment, of the user's files or of the administrator's, and leaves nothing in the user's home.
func TestLiveDoctor(t *testing.T) {
	path := probetest.Installed(t, "claude", "2.1.332")
	var mu sync.Mutex
	var seen []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var all strings.Builder
		_ = r.Header.Write(&all)
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Method+" "+r.Host+"\n"+all.String()+string(body))
		http.Error(w, "no", http.StatusForbidden)
	}))
	defer proxy.Close()
	home, temporary := t.TempDir(), t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("TMPDIR", temporary)
	t.Setenv(configDir, "")
	t.Setenv(baseURL, "")
	t.Setenv("ANTHROPIC_API_KEY", "hunter2-key")
	t.Setenv("HTTPS_PROXY", proxy.URL)
	t.Setenv("https_proxy", proxy.URL)
	t.Setenv("NO_PROXY", "")
	t.Setenv("no_proxy", "")
	probetest.WriteFiles(t, home, map[string]string{".claude/.credentials.json": `{"claudeAiOauth":{"accessToken":"hunter2-token"}}`})
	var facts probe.Facts
	err := status{agent.Settings{Path: path}, liveTimeout}.askDoctor(t.Context(), path, &facts)
	if err == nil || probe.Classify(probe.Executing, err) != probe.ExecNetwork ||
		!strings.Contains(err.Error(), "Couldn't connect through your proxy (ERR_PROXY_TUNNEL)") {
		t.Errorf("got %v, %+v", err, facts)
	}
	mu.Lock()
	defer mu.Unlock()
	if all := strings.Join(seen, "\n"); !strings.Contains(all, "CONNECT api.anthropic.com:443") || strings.Contains(all, "hunter2") || len(seen) > 4 {
		t.Errorf("%d requests: %s", len(seen), all)
	}
	for _, dir := range []string{home, temporary} {
		var left []string
		_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, _ error) error {
			if d != nil && !d.IsDir() && !strings.HasSuffix(path, ".credentials.json") {
				left = append(left, path)
			}
			return nil
		})
		if len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
}
