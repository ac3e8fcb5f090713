package blackbox

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"netwatchd/internal/lab/stack"
)

// The commands that README shows work as printed, from a clean clone. What README shows of their output is compared in
// internal/screen.
func TestReadmeCommands(t *testing.T) {
	s := stack.Start(t)
	top, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	clone := filepath.Join(t.TempDir(), "clone")
	if out, err := exec.Command("git", "-c", "safe.directory=*", "clone", "--quiet", top, clone).CombinedOutput(); err != nil {
		t.Skipf("needs a git repository to clone: %v, %s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(clone, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	run := func(command string) (string, int) {
		cmd := exec.Command("sh", "-c", command)
		cmd.Dir = clone
		cmd.Env = append(os.Environ(), "NETWATCHD_CONFIG_FILE="+s.Config(), "GOFLAGS=-buildvcs=false")
		out, _ := cmd.CombinedOutput()
		return string(out), cmd.ProcessState.ExitCode()
	}
	fromAnywhere := regexp.MustCompile(`^(sudo|cd|make dist) `) // a person's Debian, with root: internal/lab/boot -phone
	seen := make(map[string]bool)
	for _, line := range codeLines(string(text)) {
		command, _, _ := strings.Cut(line, " # ")
		command = strings.TrimSpace(command)
		switch seen[command] = true; {
		case command == "make build":
			if out, code := run(command); code != 0 {
				t.Fatalf("%s: exit code %d: %s", command, code, out)
			}
		case strings.HasPrefix(command, "make ") && !fromAnywhere.MatchString(command):
			if out, code := run(strings.Replace(command, "make", "make -n", 1)); code != 0 { // tests and the linter have their own time
				t.Errorf("%s: exit code %d: %s", command, code, out)
			}
		case command == "bin/netwatchd demo": // it needs a terminal: internal/demo
			if out, code := run(command + " --help"); code != 0 {
				t.Errorf("%s: exit code %d: %s", command, code, out)
			}
		case command == "bin/netwatchd check":
			if out, code := run(command); code != 0 || !strings.HasPrefix(out, "✓ codex: reachable (healthy)\n") {
				t.Errorf("%s: exit code %d: %s", command, code, out)
			}
		case strings.HasPrefix(command, "$ netwatchd "): // a sample of output
		case fromAnywhere.MatchString(command):
		default:
			t.Errorf("README shows a command that this test does not know: %q", command)
		}
	}
	for _, command := range []string{"make build", "bin/netwatchd check"} {
		if !seen[command] {
			t.Errorf("README does not show %q", command)
		}
	}
}

// codeLines are the commands in the indented code blocks: their lines at the first level that begin like a command.
func codeLines(markdown string) []string {
	command := regexp.MustCompile(`^    ((?:\$ |make |bin/|sudo |cd |curl |netwatchd ).*)$`)
	var lines []string
	for line := range strings.Lines(markdown) {
		if m := command.FindStringSubmatch(strings.TrimRight(line, "\n")); m != nil {
			lines = append(lines, m[1])
		}
	}
	return lines
}
