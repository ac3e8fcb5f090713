package container

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/stack"
)

// The whole chain comes up from the compose file: Prometheus has scraped netwatchd, knows its rules and its
// Alertmanager. A shell takes Grafana's place, and checks that the files are where Grafana expects them.
func TestCompose(t *testing.T) {
	built(t)
	compose := parts.Program(t, "podman-compose", "podman-compose")
	standIns(t)
	stack.Start(t)
	up := composer(t, compose)
	t.Cleanup(func() {
		for _, service := range []string{"netwatchd", "prometheus", "alertmanager"} {
			logs(t, "netwatchd_"+service+"_1")
		}
		out, err := up("down", "--volumes").CombinedOutput()
		if err != nil {
			t.Errorf("down: %v\n%s", err, out)
		}
	})
	if out, err := up("up", "--detach", "--no-build").CombinedOutput(); err != nil {
		t.Fatalf("up: %v\n%s", err, out)
	}
	const api = "http://127.0.0.1:9090/api/v1"
	await(t, func() error { return answers(stack.URL + "/-/ready") })
	await(t, func() error { return answers(api+"/targets?state=active", `"health":"up"`, "127.0.0.1:19405") })
	await(t, func() error { return answers(api+"/alertmanagers", `"url":"http://127.0.0.1:9093/`) })
	await(t, func() error { return answers(api+"/rules?type=alert", "NetwatchdUpstreamOutage") })
	await(t, func() error { return answers("http://127.0.0.1:9093/api/v2/receivers", "pager") })
	for _, file := range []string{"/etc/grafana/provisioning/datasources/prometheus.yaml", "/etc/grafana/provisioning/dashboards/netwatchd.yaml",
		"/var/lib/grafana/dashboards/netwatchd/netwatchd-overview.json"} {
		must(t, "exec", "netwatchd_grafana_1", "/bin/sh", "-c", "test -s "+file)
	}
}

// standIns are images of what the tests have of the others.
func standIns(t *testing.T) {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	for image, program := range map[string]string{prometheus: "prometheus", alertmanager: "alertmanager"} {
		path := filepath.Join(project, ".cache/bin", program)
		if _, err := os.Stat(path); err != nil {
			t.Skipf("needs %s: make tools", program)
		}
		files := map[string]string{"bin/" + program: path}
		linked, err := run("ldd", path)
		if err != nil {
			t.Fatal(err)
		}
		for word := range strings.FieldsSeq(linked) {
			if filepath.IsAbs(word) {
				files[word] = word
			}
		}
		if err := from(image, fmt.Sprintf("ENTRYPOINT [\"/bin/%s\"]\n", program), files); err != nil {
			t.Fatal(err)
		}
	}
	if err := from(grafana, "ENTRYPOINT [\"/bin/sh\", \"-c\", \"sleep 600\"]\n", map[string]string{"bin/sh": busybox, "bin/test": busybox, "bin/sleep": busybox}); err != nil {
		t.Fatal(err)
	}
}

// wrapper is podman for podman-compose: Debian's version (1.0.3) adds a second network to containers with the host's
// network.
const wrapper = `#!/bin/sh
n=$#
while [ $n -gt 0 ]; do
  argument=$1
  shift
  n=$((n - 1))
  case $argument in
  --net | --network-alias) shift && n=$((n - 1)) ;;
  *) set -- "$@" "$argument" ;;
  esac
done
exec %s "$@"
`

// composer runs compose on the file, with images of ours and with podman as it is called here.
func composer(t *testing.T, compose string) func(args ...string) *exec.Cmd {
	t.Helper()
	path := filepath.Join(t.TempDir(), "podman")
	if err := os.WriteFile(path, fmt.Appendf(nil, wrapper, strings.Join(podman(), " ")), 0o755); err != nil {
		t.Fatal(err)
	}
	return func(args ...string) *exec.Cmd {
		file := filepath.Join(project, "deploy/compose/compose.yaml")
		cmd := exec.Command(compose, append([]string{"--podman-path", path, "--project-name", "netwatchd", "--file", file}, args...)...)
		cmd.Env = append(os.Environ(), "NETWATCHD_IMAGE="+netwatchd, "PROMETHEUS_IMAGE="+prometheus, "ALERTMANAGER_IMAGE="+alertmanager,
			"GRAFANA_IMAGE="+grafana)
		return cmd
	}
}
