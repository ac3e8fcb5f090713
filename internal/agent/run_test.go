package agent

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestTemporary: what a killed run left is removed, what may belong to a run is not.
func TestTemporary(t *testing.T) {
	state := t.TempDir()
	p := Program{Name: "some"}
	old, current, foreign := filepath.Join(state, "some-tmp-1"), filepath.Join(state, "some-tmp-2"), filepath.Join(state, "some-home")
	for _, dir := range []string{old, current, foreign} {
		if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	before := time.Now().Add(-2 * leftAfter)
	for _, dir := range []string{old, foreign} {
		if err := os.Chtimes(dir, before, before); err != nil {
			t.Fatal(err)
		}
	}
	made, err := p.Temporary(state)
	if err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]bool{old: false, current: true, foreign: true, made: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s exists: %t, want %t", dir, err == nil, want)
		}
	}
	if _, err := p.Temporary(""); err == nil {
		t.Error("no state directory: got none, want an error")
	}
}
