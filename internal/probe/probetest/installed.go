package probetest

import (
	"os"
	"path/filepath"
	"testing"
)

// Installed is npm's launcher of a program that `make NAME` installs. It skips the test if it is missing. Call it from a
// package three levels below the root of the module.
func Installed(t testing.TB, name, version string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../../../.cache", name, version, "node_modules/.bin", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("needs %s %s: make %s", name, version, name)
	}
	return path
}
