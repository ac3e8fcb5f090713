package container

import (
	"fmt"
	"strings"
	"testing"

	"netwatchd/internal/lab/stack"
)

// It works, and its health check succeeds, with only its volume writable and without privileges.
func TestImage(t *testing.T) {
	built(t)
	s := stack.Start(t)
	start(t, s)
	if out := must(t, "exec", "netwatchd", "/usr/bin/netwatchd", "version"); !strings.HasPrefix(out, "netwatchd 1.2.3 ") {
		t.Errorf("it says it is %s", out)
	}
	await(t, func() error {
		if out, err := run(podman("exec", "netwatchd", "/usr/bin/netwatchd", "status")...); err != nil {
			return fmt.Errorf("status: %w\n%s", err, out)
		}
		return nil
	})
	about := must(t, "inspect", "--format={{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.EffectiveCaps}}", "netwatchd")
	if strings.TrimSpace(about) != "65534:65534 true []" {
		t.Errorf("user, read-only root, capabilities: %s", about)
	}

	must(t, "healthcheck", "run", "netwatchd")
	must(t, "kill", "--signal=STOP", "netwatchd")
	if _, err := run(podman("healthcheck", "run", "netwatchd")...); err == nil {
		t.Error("it does not answer, and is called healthy")
	}
	must(t, "kill", "--signal=CONT", "netwatchd")

	// What it knew outlives it: kill -9, then stop, as engines do.
	must(t, "kill", "--signal=KILL", "netwatchd")
	must(t, "start", "netwatchd")
	await(t, func() error { return answers(stack.URL + "/-/ready") })
	must(t, "stop", "--time=10", "netwatchd")
	if code := must(t, "inspect", "--format={{.State.ExitCode}}", "netwatchd"); strings.TrimSpace(code) != "0" {
		t.Errorf("stopped, it exited with %s", code)
	}
}

// With nothing at all to write to it still watches.
func TestImageThatCannotWrite(t *testing.T) {
	built(t)
	s := stack.Start(t)
	start(t, s, "--image-volume=ignore")
	await(t, func() error { return answers(stack.URL+"/api/v1/status", `"cause":"healthy"`) })
	await(t, func() error { return answers(stack.URL+"/metrics", "netwatchd_store_errors_total [1-9]") })
	must(t, "healthcheck", "run", "netwatchd")
}
