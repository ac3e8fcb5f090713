package probetest

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// elsewhere marks a test binary that runs in a network namespace of its own.
const elsewhere = "NETWATCHD_TEST_ELSEWHERE"

// InOwnNetwork runs the test once more, in a process whose network is empty, and reports whether this is that process.
// What it does to its network ends with it.
func InOwnNetwork(t *testing.T) bool {
	t.Helper()
	if os.Getenv(elsewhere) != "" {
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: network namespaces")
	}
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: apt-get install iproute2 nftables", tool)
		}
	}
	child := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	child.Env = append(os.Environ(), elsewhere+"=1")
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	said, err := child.CombinedOutput()
	if _, why, skipped := strings.Cut(string(said), "--- SKIP"); skipped {
		_, why, _ = strings.Cut(why, "needs ")
		t.Skip("needs " + strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(why), "PASS")))
	}
	if err != nil || !strings.Contains(string(said), "--- PASS: "+t.Name()) {
		t.Errorf("in a network of its own: %v\n%s", err, said)
	}
	return false
}

func InShell(t *testing.T, script string) {
	t.Helper()
	if said, err := exec.CommandContext(t.Context(), "sh", "-ec", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, said)
	}
}

// Filter puts one rule at one hook.
func Filter(t *testing.T, hook, rule string) {
	t.Helper()
	InShell(
		t,
		"nft -f - <<'END'\ntable inet t {\n chain c {\n type filter hook "+hook+" priority 0\n "+rule+"\n }\n}\nEND\n",
	)
	t.Cleanup(func() { exec.Command("nft", "delete", "table", "inet", "t").Run() })
}
