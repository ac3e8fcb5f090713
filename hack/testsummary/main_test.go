package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The module under test is real and go test is real: its event format is not ours.
var files = map[string]string{
	"go.mod": "module example.test\n\ngo 1.26\n",
	"good/good_test.go": `package good
import "testing"
// It holds. In every way.
func TestPasses(t *testing.T) { t.Run("inside", func(*testing.T) {}) }
func TestSkips(t *testing.T)  { t.Skip("needs root: network namespaces") }
`,
	"asked/asked_test.go": `package asked
import "testing"
func TestLong(t *testing.T) { t.Skip("not asked for: make long") }
`,
	"bad/bad_test.go": `package bad
import "testing"
func TestFails(t *testing.T) { t.Error("got 1, want 2") }
`,
	"unlucky/unlucky_test.go": `package unlucky
import ("os"; "testing")
func TestUnlucky(t *testing.T) {
	t.Run("inside", func(t *testing.T) {
		if os.Mkdir("tried", 0o755) == nil { t.Error("bad luck") }
	})
	t.Run("beside", func(*testing.T) {})
}
`,
	"crowd/crowd_test.go": `package crowd
import ("os"; "testing")
func TestCrowd(t *testing.T) {
	for _, name := range []string{"the first (1)", "second/half", "third"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			os.Mkdir("all", 0o755)
			if name == "third" { os.Mkdir("all/again", 0o755); return }
			if os.MkdirAll("tried", 0o755); os.Mkdir("tried/" + name[:2], 0o755) == nil { t.Error("bad luck") }
		})
	}
}
`,
	"four/four_test.go": `package four
import ("os"; "testing")
func fails(t *testing.T) { if os.Mkdir(t.Name(), 0o755) == nil { t.Error("bad luck") } }
func TestA(t *testing.T) { fails(t) }
func TestB(t *testing.T) { fails(t) }
func TestC(t *testing.T) { fails(t) }
func TestD(t *testing.T) { fails(t) }
`,
	"panics/panics_test.go": `package panics
import ("os"; "testing")
func TestMain(*testing.M) { os.Exit(3) }
func TestNever(t *testing.T) {}
`,
	"broken/broken_test.go": "package broken\nvar x int = \"no number\"\n",
	"empty/empty.go":        "package empty\n",
}

func TestSummary(t *testing.T) {
	tests := []struct {
		args string
		ci   bool
		ok   bool
		want []string
	}{
		{"./good", false, true, []string{
			"Skipped:\n  needs root: network namespaces\n    example.test/good.TestSkips\n",
			"\n2 passed, 0 failed, 1 skipped\n"}},
		{"./good", true, false, []string{"what is skipped here runs nowhere", "\n2 passed, 0 failed, 1 skipped\n"}},
		{"./bad", false, false, []string{"got 1, want 2", "\n0 passed, 1 failed, 0 skipped\n"}},
		{"./panics", false, false, []string{"example.test/panics failed", "\n0 passed, 1 failed, 0 skipped\n"}},
		{"./broken", false, false, []string{"cannot use \"no number\"", "\n0 passed, 1 failed, 0 skipped\n"}},
		{"./empty", true, true, []string{"\n0 passed, 0 failed, 0 skipped\n"}},
		{"./asked", true, true, []string{"Not asked for:\n  example.test/asked.TestLong: make long\n", "\n0 passed, 0 failed, 0 skipped\n"}},
		{"-run Lucky|Unlucky example.test/good example.test/unlucky", false, true, []string{
			"bad luck", "\nFailed once, and passed when run again, alone:\n  example.test/unlucky.TestUnlucky\n",
			"\n3 passed, 0 failed, 0 skipped\n"}},
		{"./crowd", false, true, []string{"again: example.test/crowd.TestCrowd/the_first_(1)\n",
			"  example.test/crowd.TestCrowd/second/half\n", "\n4 passed, 0 failed, 0 skipped\n"}},
		{"./four", false, false, []string{"\n0 passed, 4 failed, 0 skipped\n"}}, // too many for bad luck
		{"./...", false, false, []string{"\n13 passed, 3 failed, 1 skipped\n"}},
		{"./absent", false, false, []string{"1 failed"}},
		{"./good -- ./bad", false, false, []string{"\n2 passed, 1 failed, 1 skipped\n"}},
		{"./bad -- ./good", false, false, []string{"\n2 passed, 1 failed, 1 skipped\n"}},
		{"-each ./good", false, true, []string{"  pass TestPasses/1 ", "  It holds.\n", "  skip TestSkips "}},
	}
	t.Chdir(module(t))
	for _, tt := range tests {
		got, ok := summarised(t, tt.args, tt.ci)
		if ok != tt.ok {
			t.Errorf("%s, ci %v: ok is %v, want %v\n%s", tt.args, tt.ci, ok, tt.ok, got)
		}
		for _, want := range tt.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s, ci %v: got\n%s\nwithout\n%s", tt.args, tt.ci, got, want)
			}
		}
	}
}

func module(t *testing.T) string {
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// summarised runs the program as make test does, and returns what it printed and whether it was content.
func summarised(t *testing.T, args string, ci bool) (string, bool) {
	var out bytes.Buffer
	cmd := exec.Command(os.Args[0], strings.Fields(args)...)
	cmd.Env = append(os.Environ(), "TESTSUMMARY_AS_ITSELF=1", "CI=", "GOFLAGS=-count=1") // with -trimpath results are cached
	if ci {
		cmd.Env = append(cmd.Env, "CI=true")
	}
	cmd.Stdout, cmd.Stderr = &out, io.Discard
	err := cmd.Run()
	return out.String(), err == nil
}

func TestMain(m *testing.M) {
	if os.Getenv("TESTSUMMARY_AS_ITSELF") != "" {
		main()
		return
	}
	m.Run()
}
