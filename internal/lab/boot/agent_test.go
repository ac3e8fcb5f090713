package boot

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/responses"
)

const agentUnit = "netwatchd@dev.service"

// An agentMachine has a user with a codex, a sign-in, and a service that answers turns.
type agentMachine struct {
	*machine
	service *responses.Server
	codex   string // the native program, in the machine
}

// withAgent is a machine with this codex installed for all users, and dev signed in. The netwatchd package is not
// installed.
func withAgent(t *testing.T, version string) *agentMachine {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("../../../.cache/codex", version, "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	native, _ := filepath.Glob(filepath.Join(dir, "@openai/codex-linux-*/vendor/*/*/codex"))
	if len(native) != 1 {
		t.Skipf("needs codex %s: make codex", version)
	}
	const modules = "/usr/lib/node_modules"
	m := &agentMachine{machine: boot(t, "--bind-ro="+dir+":"+modules), service: responses.Start()}
	t.Cleanup(m.service.Close)
	m.codex = modules + strings.TrimPrefix(native[0], dir)
	m.must("ln", "-s", modules+"/.bin/codex", "/usr/local/bin/codex") // as npm install -g does
	m.must("useradd", "--create-home", "dev")
	if err := os.Mkdir(m.path("/home/dev/.codex"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := responses.SignIn(m.path("/home/dev/.codex")); err != nil {
		t.Fatal(err)
	}
	m.must("chown", "-R", "dev:dev", "/home/dev/.codex")
	return m
}

// start installs the package and starts dev's instance.
func (m *agentMachine) start() {
	m.t.Helper()
	// Often enough to see a run soon; it costs no real tokens.
	m.configure(fmt.Sprintf("      - {name: exec, kind: exec, preset: codex, interval: 4s, timeout: 3900ms, "+
		"budget: {runs_per_day: 100}, codex: {base_url: %q}}", m.service.BaseURL()),
		"    sandbox: {want: closed, interval: 4s, timeout: 3900ms}")
	m.write("/etc/netwatchd/dev.env", "SSL_CERT_FILE=/etc/netwatchd/ca.pem\n") // codex asks the service for its models
	m.install(older)
	m.must("systemctl", "disable", "--now", unit)
	m.must("systemctl", "enable", "--now", agentUnit)
	m.wants(agentUnit, "ActiveState", "active")
}

// Codex runs inside the hardening as its user would have it: its sign-in, its turn, its sandbox.
func TestAgent(t *testing.T) {
	for _, version := range parts.CodexVersions {
		t.Run(version, func(t *testing.T) {
			m := withAgent(t, version)
			m.start()
			m.await(func() error { return m.saw("host", "exec", "ok") })
			m.await(func() error { return m.saw("sandbox", "head", "local.denied") })
			s := m.stands("healthy")
			if !strings.Contains(s.Services[0].Note, "sandbox") {
				t.Errorf("the note %q does not mention the sandbox", s.Services[0].Note)
			}
			if turn := m.service.Turns(); !strings.HasPrefix(turn[0].Header.Get("Authorization"), "Bearer ey") {
				t.Errorf("the turn was not made with the user's sign-in: %v", turn[0].Header)
			}

			m.checkInside(version)
			for _, h := range hardenings {
				if h.version == version {
					m.cannotHave(h)
				}
			}
			m.upgradeAndPurge()
		})
	}
}

// checkInside has the agent ask, in its sandbox: the file of the instance is found.
func (m *agentMachine) checkInside(version string) {
	m.t.Helper()
	inside := []string{"runuser", "-u", "dev", "--", m.codex, "sandbox"}
	if version == "0.104.0" {
		inside = append(inside, "linux")
	}
	out, errs, _ := m.run(append(inside, "--", "netwatchd", "check")...)
	for _, want := range []string{"It is the sandbox", "reached codex"} {
		if !strings.Contains(out, want) {
			m.t.Errorf("check inside the sandbox: want %q in\n%s\n%s", want, out, errs)
		}
	}
}

// upgradeAndPurge checks that the package handles the instance too.
func (m *agentMachine) upgradeAndPurge() {
	m.t.Helper()
	m.install(newer)
	m.await(func() error {
		if s, err := m.ask(); err != nil || s.Version != newer {
			return fmt.Errorf("version %q, want %q: %v", s.Version, newer, err)
		}
		return nil
	})
	if state := m.show(unit, "ActiveState") + ", " + m.show(unit, "UnitFileState"); state != "inactive, disabled" {
		m.t.Errorf("the upgrade has made %s %s", unit, state)
	}
	m.must("dpkg", "--purge", "netwatchd")
	if _, _, err := m.get("/-/healthy", nil); err == nil {
		m.t.Error("the package is purged and the instance still answers")
	}
	left := m.must("sh", "-c", "ls -d /var/lib/netwatchd* /run/netwatchd* /etc/systemd/system/*/netwatchd@dev.service 2>/dev/null || true")
	if left != "" {
		m.t.Errorf("purged, and still there: %s", left)
	}
}

// A hardening is a directive that the agent does not survive, and what comes of it. docs/service.md has the same
// table.
type hardening struct{ version, directive, vantage, probe, class, why string }

var hardenings = []hardening{
	{"0.104.0", "SystemCallFilter=~landlock_restrict_self", "sandbox", "head", "exec.start_failed", "LandlockRuleset"},
	{"0.169.0", "RestrictNamespaces=yes", "sandbox", "head", "exec.start_failed", "No permissions to create a new namespace"},
	{"0.169.0", "SystemCallFilter=~@mount", "sandbox", "head", "exec.start_failed", "Failed to make / slave"},
	{"0.169.0", "SystemCallFilter=~seccomp", "sandbox", "head", "exec.start_failed", "SeccompInstall"},
	{"0.169.0", "RestrictAddressFamilies=~AF_NETLINK", "sandbox", "head", "exec.start_failed", "Failed to create NETLINK_ROUTE socket"},
	{"0.169.0", "ProcSubset=pid", "sandbox", "head", "exec.start_failed", "Can't read /proc/sys/kernel/overflowuid"},
	{"0.169.0", "PrivateTmp=no", "sandbox", "head", "exec.start_failed", "Read-only file system"},
	{"0.169.0", "ReadOnlyPaths=/home/dev/.codex", "host", "exec", "exec.home_unwritable", "a renewed sign-in is lost"},
}

// cannotHave adds the directive to the unit and checks that the daemon reports what it breaks.
func (m *agentMachine) cannotHave(h hardening) {
	m.t.Helper()
	if row := "`" + strings.ReplaceAll(h.directive, "/home/dev", "~") + "`"; !strings.Contains(read(m.t, "../../../docs/service.md"), row) {
		m.t.Errorf("docs/service.md lacks %s", row)
	}
	m.dropIn(agentUnit, "Service", h.directive)
	m.must("systemctl", "restart", agentUnit)
	m.await(func() error {
		why, err := m.latest(h.vantage, h.probe, h.class)
		if err == nil && !strings.Contains(why, h.why) {
			err = fmt.Errorf("it says %q, want %q", why, h.why)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", h.directive, err)
		}
		return err
	})
}

// saw waits until the latest attempt of a probe ends this way.
func (m *agentMachine) saw(vantage, probe, class string) error {
	_, err := m.latest(vantage, probe, class)
	return err
}

// latest is the error of the latest attempt of a probe, which must have this class.
func (m *agentMachine) latest(vantage, probe, class string) (why string, err error) {
	s, err := m.ask()
	if err != nil {
		return "", err
	}
	for _, r := range s.Services[0].Results {
		if r.Vantage == vantage && r.Probe == probe {
			if r.Class == class {
				return r.Why, nil
			}
			return "", fmt.Errorf("%s from %s is %s (%s), want %s", probe, vantage, r.Class, r.Why, class)
		}
	}
	return "", fmt.Errorf("no %s from %s in %+v", probe, vantage, s)
}
