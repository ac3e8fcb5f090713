package container

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/stack"
)

func TestMain(m *testing.M) { stack.Main(m) }

// patience only tells slow from stuck, on a machine that is busy with other tests.
const patience = time.Minute

const project = "../../.."

// images of ours, made of what is on this machine: there is no registry in a test.
const (
	golang       = "localhost/golang:local" // Go itself is lent to it from outside
	netwatchd    = "localhost/netwatchd:test"
	prometheus   = "localhost/prometheus:test"
	alertmanager = "localhost/alertmanager:test"
	grafana      = "localhost/grafana:test" // a shell in its place: Grafana is not to be had here
)

// storage is where images and containers lie, apart from whatever else this machine has.
func storage() []string {
	dir := filepath.Join(parts.Dir(), "containers")
	return []string{"--root=" + dir, "--runroot=" + filepath.Join(parts.Dir(), "containers-run"), "--storage-driver=overlay"}
}

// needs skips the test where containers cannot be built and run.
func needs(t *testing.T) {
	t.Helper()
	parts.Need(t)
	if os.Getuid() != 0 {
		t.Skip("needs root: images and containers")
	}
	for _, program := range []string{"buildah", "podman", "runc"} {
		parts.Program(t, program, program)
	}
	parts.Program(t, "busybox", "busybox-static")
}

// buildah runs buildah, and returns its output.
func buildah(args ...string) error {
	cmd := exec.Command("buildah", append(storage(), args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("buildah %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// podman is how podman is called here: as the tests have no systemd, and a hybrid of control groups.
func podman(args ...string) []string {
	return append(append([]string{"podman"}, append(storage(), "--cgroup-manager=cgroupfs", "--runtime=/usr/sbin/runc")...), args...)
}

// must runs podman, fails the test on error, and returns the output.
func must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := run(podman(args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// run returns what a command printed, and in the error what it complained of.
func run(command ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s: %w\n%s%s", strings.Join(command, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String(), nil
}

// from builds an image of programs and files of this machine, by where they lie in the image.
func from(image, further string, files map[string]string) error {
	dir, err := os.MkdirTemp(parts.Dir(), "context-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for target, source := range files {
		target = filepath.Join(dir, "root", target)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		content, err := os.ReadFile(source)
		if err != nil {
			return err
		}
		if err := os.WriteFile(target, content, 0o755); err != nil {
			return err
		}
	}
	text := "FROM scratch\nCOPY root /\n" + further
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(text), 0o644); err != nil {
		return err
	}
	return buildah("build", "--quiet", "--isolation=chroot", "--tag="+image, dir)
}

// build builds the image of the Dockerfile, once. In place of the official image of Go it has one of a shell and of
// certificates, in which this machine's Go is mounted, with its modules and its cache.
var build = sync.OnceValue(func() error {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return err
	}
	const certificates = "/etc/ssl/certs/ca-certificates.crt"
	err = from(golang, "WORKDIR /tmp\nENV PATH=/usr/local/go/bin:/bin GOMODCACHE=/modules GOCACHE=/objects GOPROXY=off "+
		"GOFLAGS=-buildvcs=false GOTOOLCHAIN=local\n",
		map[string]string{"bin/sh": busybox, "bin/mkdir": busybox, certificates: certificates})
	if err != nil {
		return err
	}
	var lent []string
	for variable, target := range map[string]string{"GOROOT": "/usr/local/go:ro", "GOMODCACHE": "/modules:ro", "GOCACHE": "/objects"} {
		dir, err := run("go", "env", variable)
		if err != nil {
			return err
		}
		lent = append(lent, "--volume="+strings.TrimSpace(dir)+":"+target)
	}
	args := append([]string{"build", "--quiet", "--isolation=chroot", "--format=docker", // OCI's has no healthcheck
		"--pull-never", "--build-arg=GO_IMAGE=" + golang, "--build-arg=VERSION=1.2.3", "--tag=" + netwatchd}, lent...)
	return buildah(append(args, project)...)
})

// built skips or fails the test if there is no image.
func built(t *testing.T) {
	t.Helper()
	needs(t)
	if err := build(); err != nil {
		t.Fatal(err)
	}
}

// start runs a container of the image on the stack's network as it is meant to be run, and removes it at the end.
func start(t *testing.T, s *stack.Stack, further ...string) {
	t.Helper()
	config := filepath.Join(s.Dir, "container.yaml")
	if err := os.WriteFile(config, []byte(strings.ReplaceAll(s.Watching(), s.Dir, "/etc/netwatchd")), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(s.Dir, "ca.pem"), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"run", "--detach", "--name=netwatchd", "--network=host", "--read-only", "--read-only-tmpfs=false", "--cap-drop=all",
		"--security-opt=no-new-privileges", "--ulimit=nofile=20000:20000", "--ulimit=nproc=4096:4096",
		"--volume=" + config + ":/etc/netwatchd/config.yaml:ro", "--volume=" + s.Dir + "/ca.pem:/etc/netwatchd/ca.pem:ro"}
	must(t, append(append(args, further...), netwatchd)...)
	t.Cleanup(func() {
		logs(t, "netwatchd")
		must(t, "rm", "--force", "--volumes", "netwatchd")
	})
	await(t, func() error { return answers(stack.URL + "/-/ready") })
}

// logs shows a container's log if the test failed.
func logs(t *testing.T, container string) {
	if t.Failed() {
		command := podman("logs", container)
		out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
		t.Logf("%s said: %s, %v", container, out, err)
	}
}

func await(t *testing.T, is func() error) {
	t.Helper()
	if err := parts.Eventually(patience, is); err != nil {
		t.Fatal(err)
	}
}

// answers reports whether url answers 200 with a body that matches all of these regular expressions.
func answers(url string, patterns ...string) error {
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s, %w", url, response.Status, err)
	}
	for _, pattern := range patterns {
		if !regexp.MustCompile(pattern).Match(body) {
			return fmt.Errorf("%s lacks %q: %s", url, pattern, body)
		}
	}
	return nil
}
