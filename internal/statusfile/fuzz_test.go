package statusfile

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Any file is a status with a time, or an error.
func FuzzRead(f *testing.F) {
	good, err := json.Marshal(statusOf(2))
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{string(good), "", "{}", "null", "[]", `{"at":"2026-02-20T02:22:45Z"}`,
		`{"at":"9999-12-31T23:59:59Z"}`, `{"at":"0001-01-01T00:00:01Z","services":[{"cause":"upstream","evidence":[{}]}]}`} {
		f.Add([]byte(text))
	}
	path := filepath.Join(f.TempDir(), "status.json")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		s, age, err := Read(path)
		if err == nil && (s.At.IsZero() || age < 0) {
			t.Errorf("a status of %v, %v old", s.At, age)
		}
	})
}
