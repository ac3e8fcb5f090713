package boot

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/stack"
)

const unit = "netwatchd.service"

// installed is a machine with the older package on it, watching the stack.
func installed(t *testing.T, further ...string) *machine {
	t.Helper()
	m := boot(t, further...)
	m.must("useradd", "--create-home", "dev")
	m.configure()
	m.install(older)
	m.wants(unit, "ActiveState", "active")
	return m
}

// From the first installation to the last trace.
func TestPackage(t *testing.T) {
	m := installed(t)
	took := m.moment("ActiveEnterTimestampMonotonic") - m.moment("InactiveExitTimestampMonotonic")
	fmt.Fprintf(parts.Table(t, "systemd-ready"), "systemd: started to ready: %v\n", took)
	if got := m.must("systemctl", "is-enabled", unit); got != "enabled" {
		t.Errorf("after the installation it is %s, want enabled", got)
	}
	if s := m.stands("healthy"); s.Version != older {
		t.Errorf("version %q, want %q", s.Version, older)
	}
	// Every user can read the status file, and finds it without configuration.
	m.await(func() error {
		if out, errs, code := m.run("runuser", "-u", "dev", "--", "netwatchd", "status"); code != 0 {
			return fmt.Errorf("status, as another user: exit code %d\n%s\n%s", code, out, errs)
		}
		return nil
	})
	m.must("bash", "-c", "test -s /usr/share/man/man1/netwatchd-check.1.gz && test -s /usr/share/zsh/vendor-completions/_netwatchd && . /usr/share/bash-completion/completions/netwatchd")

	edited := "# edited\n" + read(t, m.path("/etc/netwatchd/config.yaml"))
	m.write("/etc/netwatchd/config.yaml", edited)
	before := m.show(unit, "MainPID")
	for _, command := range m.page("upgrade.md", "Upgrade") {
		if out, errs, code := m.run("sh", "-ec", command); code != 0 && command != "netwatchd doctor" { // it has advice
			t.Fatalf("docs/upgrade.md: %s: exit code %d\n%s\n%s", command, code, out, errs)
		}
	}
	m.await(func() error {
		if s, err := m.ask(); err != nil || s.Version != newer {
			return fmt.Errorf("version %q, want %q: %v", s.Version, newer, err)
		}
		return nil
	})
	if got := read(t, m.path("/etc/netwatchd/config.yaml")); got != edited {
		t.Errorf("the upgrade changed the edited configuration:\n%s", got)
	}
	if m.show(unit, "MainPID") == before {
		t.Error("the upgrade has not restarted the daemon")
	}

	// What was switched off stays off.
	m.must("systemctl", "disable", "--now", unit)
	m.install(older)
	if state := m.show(unit, "ActiveState") + ", " + m.show(unit, "UnitFileState"); state != "inactive, disabled" {
		t.Errorf("disabled and stopped, then upgraded: it is %s", state)
	}
	m.must("systemctl", "enable", "--now", unit)

	uninstall := m.page("upgrade.md", "Uninstall")
	m.must("sh", "-ec", uninstall[0])
	if _, _, err := m.get("/-/healthy", nil); err == nil {
		t.Error("the package is removed and the daemon still answers")
	}
	if got := read(t, m.path("/etc/netwatchd/config.yaml")); got != edited {
		t.Errorf("the removal took the configuration:\n%s", got)
	}
	m.must("sh", "-ec", uninstall[1])
	left := m.must("sh", "-c", "ls -d /etc/netwatchd/config.yaml* /var/lib/netwatchd* /var/lib/private/netwatchd* /run/netwatchd* "+
		"/etc/systemd/system/*/netwatchd* /usr/bin/netwatchd 2>/dev/null || true")
	if left != "" {
		t.Errorf("purged, and still there: %s", left)
	}
	if _, err := os.Stat(m.path("/etc/netwatchd/ca.pem")); err != nil {
		t.Errorf("the purge took a file that is not the package's: %v", err)
	}
	m.must("sh", "-ec", uninstall[2])
	if _, err := os.Stat(m.path("/etc/netwatchd")); err == nil {
		t.Error("followed to the end, docs/upgrade.md leaves /etc/netwatchd")
	}
}

// moment is one of the service's timestamps, since boot.
func (m *machine) moment(property string) time.Duration {
	m.t.Helper()
	microseconds, err := strconv.Atoi(m.show(unit, property))
	if err != nil {
		m.t.Fatal(err)
	}
	return time.Duration(microseconds) * time.Microsecond
}

// It runs as its own user, and its files are private.
func TestConfinement(t *testing.T) {
	m := installed(t)
	pid := m.show(unit, "MainPID")
	about := m.must("sh", "-c", "grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/"+pid+"/status")
	uid := strings.Fields(about)[1]
	for _, want := range []string{"CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
		if !strings.Contains(about, want) {
			t.Errorf("want %q in\n%s", want, about)
		}
	}
	if uid == "0" || m.must("sh", "-c", "stat -Lc %u:%a /var/lib/netwatchd/ /run/netwatchd/status.json | tr '\\n' ' '") != uid+":700 "+uid+":644" {
		t.Errorf("it runs as %s; history and status are of %s", uid, m.must("stat", "-Lc", "%u:%a", "/var/lib/netwatchd", "/run/netwatchd/status.json"))
	}
	m.stands("healthy")
}

// A network that answers nothing is not taken for a daemon that hangs; one that hangs is replaced.
func TestWatchdog(t *testing.T) {
	m := installed(t)
	m.dropIn(unit, "Service", "WatchdogSec=2s", "RestartSec=0")
	m.must("systemctl", "restart", unit)

	// Two watchdogs' time without an answer from anywhere.
	m.SystemSays(stack.Silent)
	m.StopWeb()
	slow := time.Now()
	m.await(func() error {
		if waited := time.Since(slow); waited < 5*time.Second {
			return fmt.Errorf("waited %v", waited)
		}
		return nil
	})
	if n := m.show(unit, "NRestarts"); n != "0" {
		t.Errorf("restarted %s times on a slow network\n%s", n, m.journal(unit))
	}

	hung := m.show(unit, "MainPID")
	stopped := time.Now()
	m.must("kill", "-STOP", hung)
	m.wants(unit, "NRestarts", "1")
	m.wants(unit, "ActiveState", "active")
	fmt.Fprintf(parts.Table(t, "systemd-watchdog"), "systemd: hung to replaced and ready, WatchdogSec=2s: %.1f s\n", time.Since(stopped).Seconds())
	journal := m.journal(unit)
	for _, want := range []string{"Watchdog timeout", "SIGABRT: abort", "internal/watch.(*Watcher).Run"} {
		if !strings.Contains(journal, want) {
			t.Errorf("the journal lacks %q\n%s", want, journal)
		}
	}
	if m.show(unit, "MainPID") == hung {
		t.Error("the hung process is still the service's")
	}
}

// A configuration that is wrong changes nothing; one that is right holds at once, in the same process.
func TestReload(t *testing.T) {
	m := installed(t)
	pid := m.show(unit, "MainPID")
	for refused, reason := range map[string]string{
		"unknown: key": "unknown key", `web: {listen: ["127.0.0.1:19407"]}`: "restart"} {
		m.configure(refused)
		if _, _, code := m.run("systemctl", "reload", unit); code == 0 {
			t.Errorf("%s: the daemon refuses this configuration, and systemctl reload exits with 0", refused)
		}
		status, _, _ := m.run("systemctl", "status", "--no-pager", "--full", unit)
		if !strings.Contains(status, "the daemon keeps its previous configuration") || !strings.Contains(status, reason) {
			t.Errorf("%s: systemctl status does not say why\n%s", refused, status)
		}
		m.await(func() error { return m.logged("the configuration was not reloaded") })
		m.stands("healthy")
	}

	m.configure("    late: 1ms") // the service's: what answers at all is late
	m.must("systemctl", "reload", unit)
	m.stands("degraded")
	if m.show(unit, "MainPID") != pid || m.show(unit, "ActiveState") != "active" {
		t.Errorf("a reload has restarted the daemon\n%s", m.journal(unit))
	}
}

// logged waits for text in the service's journal.
func (m *machine) logged(text string) error {
	if journal := m.journal(unit); !strings.Contains(journal, text) {
		return fmt.Errorf("the journal lacks %q\n%s", text, journal)
	}
	return nil
}

// The port stays open while the daemon comes and goes.
func TestSocket(t *testing.T) {
	m := installed(t)
	m.dropIn(unit, "Service", "RestartSec=0") // instead of five seconds
	m.must("systemctl", "stop", unit)
	m.must("systemctl", "start", "netwatchd.socket")
	answered := func() {
		t.Helper()
		if code, _, err := m.get("/-/healthy", nil); err != nil || code != http.StatusOK {
			t.Errorf("got %d, %v", code, err)
		}
	}
	answered() // and so it is started
	m.wants(unit, "ActiveState", "active")
	m.must("systemctl", "--no-block", "restart", unit)
	answered()
	m.must("systemctl", "kill", "--signal=KILL", unit)
	answered()
}

// kill -9, and a start limit for what does not get up at all.
func TestCrashes(t *testing.T) {
	m := installed(t)
	m.dropIn(unit, "Service", "RestartSec=0")
	for n := range 2 {
		m.must("systemctl", "kill", "--signal=KILL", unit)
		m.wants(unit, "NRestarts", fmt.Sprint(n+1))
		m.wants(unit, "ActiveState", "active")
	}
	m.stands("healthy")

	// A configuration that must be corrected first is not tried again and again.
	m.configure("unknown: key")
	m.run("systemctl", "restart", unit)
	m.wants(unit, "ActiveState", "failed")
	if status := m.show(unit, "ExecMainStatus"); status != "3" {
		t.Errorf("exit code %s, want 3", status)
	}
}

// A web configuration from the credential store requires a password.
func TestCredential(t *testing.T) {
	m := boot(t)
	m.configure()
	// bcrypt of "fakepassword"
	m.write("/etc/credstore/netwatchd.web.yml",
		"basic_auth_users: {prometheus: $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi}\n")
	if err := os.Chmod(m.path("/etc/credstore/netwatchd.web.yml"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.install(older)
	m.wants(unit, "ActiveState", "active")
	for password, want := range map[string]int{"": http.StatusUnauthorized, "wrong": http.StatusUnauthorized, "fakepassword": http.StatusOK} {
		request, _ := http.NewRequest(http.MethodGet, "/", nil)
		request.SetBasicAuth("prometheus", password)
		if code, _, err := m.get("/metrics", request.Header); err != nil || code != want {
			t.Errorf("with password %q: got %d, %v, want %d", password, code, err, want)
		}
	}
}

// A disk that is full costs the history, not the watching.
func TestFullDisk(t *testing.T) {
	m := boot(t)
	m.configure()
	m.must("sh", "-c", "mkdir -p -m 700 /var/lib/private && mkdir /var/lib/private/netwatchd && "+
		"mount -t tmpfs -o size=64k tmpfs /var/lib/private/netwatchd && "+
		"dd if=/dev/zero of=/var/lib/private/netwatchd/full 2>/dev/null; chmod 600 /var/lib/private/netwatchd/full")
	m.install(older)
	m.wants(unit, "ActiveState", "active")
	m.stands("healthy")
	m.await(func() error {
		if out, errs, code := m.run("netwatchd", "status"); code != 0 {
			return fmt.Errorf("status: exit code %d\n%s\n%s", code, out, errs)
		}
		return nil
	})
	m.await(func() error {
		_, text, err := m.get("/metrics", nil)
		if err == nil && !regexp.MustCompile(`netwatchd_store_errors_total [1-9]`).Match(text) {
			err = errors.New("no store errors in the metrics")
		}
		return err
	})
	m.wants(unit, "NRestarts", "0")
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
