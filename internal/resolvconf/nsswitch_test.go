package resolvconf

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAsksDNS(t *testing.T) {
	file := filepath.Join(t.TempDir(), "nsswitch.conf")
	if !AsksDNS(file) {
		t.Error("without a file: false")
	}
	for text, want := range map[string]bool{
		"hosts: files dns\n": true, "hosts:\tfiles # dns\n": false, "passwd: dns\n": true, "hosts: files resolve [!UNAVAIL=return] dns": true,
	} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := AsksDNS(file); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
