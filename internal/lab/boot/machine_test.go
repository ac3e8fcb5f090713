package boot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/stack"
)

func TestMain(m *testing.M) { stack.Main(m) }

// patience only tells slow from stuck, on a machine that is busy with other tests.
const patience = time.Minute

// A machine is a booted Debian. It shares the network of the tests, the host of the stack, and forgets all when it
// stops.
type machine struct {
	*stack.Stack
	t    *testing.T
	init int // its first process, as we see it
	said parts.Buffer
}

// boot starts a machine, with further arguments for systemd-nspawn.
func boot(t *testing.T, further ...string) *machine {
	t.Helper()
	return bootFrom(t, "rootfs", further...)
}

// bootFrom starts a machine from one of the roots that hack/rootfs has made.
func bootFrom(t *testing.T, root string, further ...string) *machine {
	t.Helper()
	nspawn := parts.Program(t, "systemd-nspawn", "systemd-container")
	root, err := filepath.EvalSymlinks(filepath.Join("../../../.cache", root))
	if err != nil {
		t.Skip("needs a Debian to boot: make rootfs, as root")
	}
	m := &machine{Stack: stack.Start(t), t: t}
	args := []string{"--quiet", "--register=no", "--keep-unit", "--directory=" + root, "--volatile=overlay", "--link-journal=no",
		"--resolv-conf=off", "--timezone=off", "--bind-ro=" + packages(t) + ":/packages",
		// nspawn's own filter is older than Landlock.
		"--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self"}
	cmd := exec.Command(nspawn, append(append(args, further...), "--boot", "--console=pipe")...)
	cmd.Stdout, cmd.Stderr = &m.said, &m.said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if m.init != 0 {
			syscall.Kill(m.init, syscall.SIGKILL) // and with it all that runs in the machine
		}
		cmd.Process.Kill()
		cmd.Wait()
	})
	m.await(func() error { return m.findInit(cmd.Process.Pid) })
	m.await(func() error {
		if state, _, _ := m.run("systemctl", "is-system-running"); state != "running" {
			return fmt.Errorf("the system is %q\n%s", state, m.said.String())
		}
		return nil
	})
	m.write("/etc/resolv.conf", "nameserver "+stack.SystemResolver+"\n")
	return m
}

// findInit finds the child of nspawn that became systemd.
func (m *machine) findInit(nspawn int) error {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", nspawn))
	if err != nil {
		return err
	}
	for child := range strings.FieldsSeq(string(children)) {
		if name, err := os.ReadFile("/proc/" + child + "/comm"); err == nil && string(name) == "systemd\n" {
			m.init, err = strconv.Atoi(child)
			return err
		}
	}
	return errors.New("nspawn has started nothing\n" + m.said.String())
}

// run runs a command in the machine as root, and returns what it printed, without white space around it.
func (m *machine) run(command ...string) (stdout, stderr string, code int) {
	m.t.Helper()
	var out, errs bytes.Buffer
	enter := []string{"--target=" + strconv.Itoa(m.init), "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--"}
	cmd := exec.Command("nsenter", append(enter, command...)...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive"}
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		m.t.Fatal(err)
	}
	return strings.TrimSpace(out.String()), strings.TrimSpace(errs.String()), cmd.ProcessState.ExitCode()
}

// must runs a command and fails the test on error.
func (m *machine) must(command ...string) string {
	m.t.Helper()
	out, errs, code := m.run(command...)
	if code != 0 {
		m.t.Fatalf("%s: exit code %d\n%s\n%s", strings.Join(command, " "), code, out, errs)
	}
	return out
}

// path is where a file of the machine lies for us.
func (m *machine) path(name string) string { return fmt.Sprintf("/proc/%d/root%s", m.init, name) }

// write writes a file in the machine, and the directories above it.
func (m *machine) write(name, text string) {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Dir(m.path(name)), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(m.path(name), []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// configure writes the configuration: the stack's service is watched. Further YAML may follow.
func (m *machine) configure(further ...string) {
	m.t.Helper()
	ca, err := os.ReadFile(filepath.Join(m.Dir, "ca.pem"))
	if err != nil {
		m.t.Fatal(err)
	}
	m.write("/etc/netwatchd/ca.pem", string(ca))
	m.write("/etc/netwatchd/config.yaml", strings.ReplaceAll(m.Watching(further...), m.Dir, "/etc/netwatchd"))
}

// install installs the package of that version, keeping what was edited.
func (m *machine) install(version string) {
	m.t.Helper()
	m.must("sh", "-c", "dpkg --force-confold -i /packages/netwatchd_"+version+"-1_*.deb")
}

// dropIn adds a section's lines to a unit.
func (m *machine) dropIn(unit, section string, lines ...string) {
	m.t.Helper()
	m.write("/etc/systemd/system/"+unit+".d/test.conf", "["+section+"]\n"+strings.Join(lines, "\n")+"\n")
	m.must("systemctl", "daemon-reload")
}

// show is a property of a unit.
func (m *machine) show(unit, property string) string {
	m.t.Helper()
	return m.must("systemctl", "show", "--value", "--property="+property, unit)
}

// wants waits until a property of a unit has this value.
func (m *machine) wants(unit, property, value string) {
	m.t.Helper()
	m.await(func() error {
		if got := m.show(unit, property); got != value {
			return fmt.Errorf("%s of %s is %q, want %q\n%s", property, unit, got, value, m.journal(unit))
		}
		return nil
	})
}

// journal is what a unit has logged, its own words and systemd's about it.
func (m *machine) journal(unit string) string {
	m.t.Helper()
	return m.must("journalctl", "--no-pager", "--output=cat", "--unit="+unit)
}

func (m *machine) await(is func() error) {
	m.t.Helper()
	if err := parts.Eventually(patience, is); err != nil {
		m.t.Fatal(err)
	}
}

// A status is what users hold of the daemon's JSON.
type status struct {
	Version  string
	Services []struct {
		Cause, Note string
		Results     []struct{ Probe, Vantage, Class, Why string }
	}
}

// ask is the daemon's status, from its API.
func (m *machine) ask() (status, error) {
	var s status
	_, body, err := m.get("/api/v1/status", nil)
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(body, &s)
}

// get requests path from the daemon.
func (m *machine) get(path string, header http.Header) (code int, body []byte, err error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(m.t.Context(), http.MethodGet, stack.URL+path, nil)
	if err != nil {
		return 0, nil, err
	}
	request.Header = header
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// stands waits until the daemon reports this cause.
func (m *machine) stands(cause string) status {
	m.t.Helper()
	var s status
	m.await(func() (err error) {
		if s, err = m.ask(); err == nil && (len(s.Services) != 1 || s.Services[0].Cause != cause) {
			err = fmt.Errorf("want %s, got %+v", cause, s)
		}
		return err
	})
	return s
}

// Two versions, for there to be an upgrade.
const older, newer = "1.0.0", "1.1.0"

var makePackages = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(parts.Dir(), "packages")
	for _, version := range []string{older, newer} {
		dist := exec.Command("../../../hack/dist", dir)
		dist.Env = append(os.Environ(), "VERSION="+version, "FORMAT=deb")
		if out, err := dist.CombinedOutput(); err != nil {
			return "", fmt.Errorf("hack/dist: %w\n%s", err, out)
		}
	}
	return dir, nil
})

// packages is the directory of both.
func packages(t *testing.T) string {
	t.Helper()
	parts.Need(t)
	if _, err := os.Stat("../../../.cache/bin/nfpm"); err != nil {
		t.Skip("needs nfpm: make test builds it")
	}
	dir, err := makePackages()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// page returns the commands that a section of a page of docs shows, as root runs them with a package built elsewhere.
func (m *machine) page(name, section string) (commands []string) {
	m.t.Helper()
	_, text, found := strings.Cut(read(m.t, "../../../docs/"+name), "\n## "+section+"\n")
	if !found {
		m.t.Fatalf("docs/%s has no section %q", name, section)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	as := strings.NewReplacer("make dist && ", "", "./dist/netwatchd_*", "/packages/netwatchd_"+newer+"-1_*", "sudo ", "",
		"apt install", "apt-get install --yes", "apt remove", "apt-get remove --yes", "apt purge", "apt-get purge --yes")
	for line := range strings.Lines(text) {
		if command, shown := strings.CutPrefix(line, "    "); shown {
			command, _, _ = strings.Cut(command, " # ")
			commands = append(commands, as.Replace(strings.TrimSpace(command)))
		}
	}
	return commands
}
