package probetest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// elsewhere marks a process that runs one test again.
const elsewhere = "NETWATCHD_TEST_ELSEWHERE"

// InOwnProcess runs the test once more, in a process of its own, and reports whether this is that process. [Attempt]
// looks for goroutines that an attempt has left, so no two tests that make attempts run at the same time in one
// process. Tests that mostly wait for a timeout run beside each other in their own processes.
func InOwnProcess(t *testing.T) bool {
	t.Helper()
	return runAgain(t, 0)
}

// InOwnNetwork is InOwnProcess with an empty network. What the test does to its network ends with it.
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
	return runAgain(t, syscall.CLONE_NEWNET)
}

// runAgain runs the test in a process with the namespaces of flags, beside other tests, and reports whether this is
// that process.
func runAgain(t *testing.T, flags uintptr) bool {
	t.Helper()
	if os.Getenv(elsewhere) != "" {
		return true
	}
	t.Parallel()
	child := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	child.Env = append(os.Environ(), elsewhere+"=1")
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	said, err := child.CombinedOutput()
	if _, why, skipped := strings.Cut(string(said), "--- SKIP"); skipped {
		_, why, _ = strings.Cut(why, "needs ")
		t.Skip("needs " + strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(why), "PASS")))
	}
	if err != nil || !strings.Contains(string(said), "--- PASS: "+t.Name()) {
		t.Errorf("in a process of its own: %v\n%s", err, said)
	}
	return false
}

func InShell(t *testing.T, script string) {
	t.Helper()
	if said, err := exec.CommandContext(t.Context(), "sh", "-ec", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, said)
	}
}

// Router makes this network the link of 192.0.2.2 and 2001:db8::2 to a router, 192.0.2.1 and 2001:db8::1, that
// forwards to 198.51.100.0/24 and 2001:db8:b::/64, where nobody is. It returns the shell command that runs another
// on the router.
func Router(t *testing.T) (there string) {
	t.Helper()
	router := exec.CommandContext(t.Context(), "sleep", "infinity")
	router.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := router.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = router.Process.Kill()
		_ = router.Wait()
	})
	there = fmt.Sprintf("nsenter -n -t %d ", router.Process.Pid)
	InShell(t, fmt.Sprintf(`ip link set lo up; ip link add near type veth peer name far netns %d
		ip address add 192.0.2.2/24 dev near; ip -6 address add 2001:db8::2/64 dev near nodad; ip link set near up
		`, router.Process.Pid)+there+`sh -ec 'ip link set lo up; ip link add beyond type veth peer name nowhere; ip link set nowhere up
			ip address add 192.0.2.1/24 dev far; ip -6 address add 2001:db8::1/64 dev far nodad; ip link set far up
			ip address add 198.51.100.1/24 dev beyond; ip -6 address add 2001:db8:b::1/64 dev beyond nodad; ip link set beyond up
			echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
		ip route add default via 192.0.2.1; ip -6 route add default via 2001:db8::1`)
	return there
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
