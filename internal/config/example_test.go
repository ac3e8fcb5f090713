package config

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheCopyOfTheExampleIsCurrent(t *testing.T) {
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("example.yaml", text, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(text), Example); diff != "" {
		t.Errorf("run 'go test ./internal/config -update' (-config.example.yaml +copy):\n%s", diff)
	}
}
