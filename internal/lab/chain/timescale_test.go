package chain

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every wait is scaled, wherever it is in a file, and nothing else.
func TestTimeScale(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file.yml")
	text := `{scrape_interval: 15s, rules: [{for: 1m30s, expr: 'rate(a{b=~"wsl[12]"}[7d]) > 15', alert: 5m}], route: {group_wait: 10s}, name: 1d}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"scrape_interval": "750ms",
		"rules":           []any{map[string]any{"for": "4500ms", "expr": `rate(a{b=~"wsl[12]"}[30240000ms]) > 15`, "alert": "5m"}},
		"route":           map[string]any{"group_wait": "500ms"},
		"name":            "1d",
	}
	if diff := cmp.Diff(want, TimeScale(20).File(t, path)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
