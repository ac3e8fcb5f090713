package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"netwatchd/internal/probe"
	"netwatchd/internal/resolvconf"
)

// The tests run the checks where there is something to detect: this binary starts itself again in a namespace, under
// a filter or in the real sandbox, runs every host check there and prints the results.
const (
	checkEnv   = "NETWATCHD_TEST_CHECK"  // print the results as JSON and exit
	filterEnv  = "NETWATCHD_TEST_FILTER" // install this seccomp filter first
	checkWrite = "write"                 // a value of checkEnv: print the error of a datagram to loopback instead
)

func TestMain(m *testing.M) {
	if filter := os.Getenv(filterEnv); filter != "" {
		fmt.Fprintln(os.Stderr, reexecFiltered(filter))
		os.Exit(1)
	}
	switch os.Getenv(checkEnv) {
	case "":
		os.Exit(m.Run())
	case checkWrite:
		fmt.Println(writeDatagram())
	default:
		printChecks()
	}
}

func writeDatagram() error {
	c, err := net.Dial("udp", "127.0.0.1:9")
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Write([]byte("x"))
	return err
}

func printChecks() {
	var results []probe.Result
	for _, p := range Probes(resolvconf.Read("/etc/resolv.conf")) {
		if r, ok := probe.Do(context.Background(), p); ok {
			results = append(results, r)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(results); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// runChecks runs cmd, which must start this binary in the end, and returns the results of the host checks by name.
func runChecks(t *testing.T, cmd *exec.Cmd) map[string]probe.Result {
	t.Helper()
	if cmd.Env == nil {
		cmd.Env = cleanEnv()
	}
	// The race detector delays the exit of a process by a second, in case a report still comes.
	cmd.Env = append(cmd.Env, checkEnv+"=1", "GORACE=atexit_sleep_ms=0")
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, exit.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	var results []probe.Result
	if err := json.Unmarshal(out, &results); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	found := make(map[string]probe.Result)
	for _, r := range results {
		found[r.Name] = r
	}
	return found
}

// cleanEnv is the environment without the variables of an agent that may run these tests.
func cleanEnv() (env []string) {
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "CODEX_") {
			env = append(env, v)
		}
	}
	return env
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// inNamespace runs a shell script and then this binary in new network and mount namespaces, which end with it.
func inNamespace(t *testing.T, script string) map[string]probe.Result {
	t.Helper()
	needsRoot(t)
	cmd := exec.Command("sh", "-ec", script+"\nexec "+self(t))
	// Unshareflags, not Cloneflags: only with Unshareflags does Go keep mounts made there from propagating to the host.
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	return runChecks(t, cmd)
}

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: network namespaces")
	}
}

func needsTool(t *testing.T, tool, remedy string) string {
	t.Helper()
	path, err := exec.LookPath(tool)
	if err != nil {
		t.Skipf("needs %s: %s", tool, remedy)
	}
	return path
}

// codexOf returns the path of the real codex of a version.
func codexOf(t *testing.T, version string) string {
	t.Helper()
	dirs := filepath.SplitList(os.Getenv("NETWATCHD_TEST_CODEX_DIRS"))
	dirs = append(dirs, filepath.Join("..", "..", ".cache", "codex"))
	for _, dir := range dirs {
		for _, root := range []string{filepath.Join(dir, version), dir} {
			path, err := filepath.Abs(filepath.Join(root, "node_modules", ".bin", "codex"))
			if err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(path, "--version").Output(); err == nil && strings.Contains(string(out), version) {
				return path
			}
		}
	}
	t.Skipf("needs codex %s: make codex", version)
	return ""
}

func TestProbes(t *testing.T) {
	var names []string
	for _, p := range Probes(resolvconf.Read("/etc/resolv.conf")) {
		if p.Service != service || p.Kind != probe.KindHost || p.Role != probe.OfHost || p.Timeout == 0 || p.Target == "" {
			t.Errorf("%+v", p.Spec)
		}
		names = append(names, p.Name)
	}
	if got, want := strings.Join(names, " "), "sandbox link route resolv_conf"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
