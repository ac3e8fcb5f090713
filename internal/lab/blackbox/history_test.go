package blackbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netwatchd/internal/lab/stack"
)

// An episode is an incident, by the names that users hold.
type episode struct {
	ID      string
	Service string
	Causes  []struct {
		Cause    string
		From, To *time.Time
	}
	Opened *time.Time
	Closed *time.Time
	Notes  []struct {
		At   time.Time
		Text string
	}
	Observation bool
}

// causes are those of the episode, in a line.
func (e episode) causes() string {
	var words []string
	for _, c := range e.Causes {
		words = append(words, c.Cause)
	}
	return strings.Join(words, " ")
}

// incidents is the command's output, whether the daemon runs or not.
func incidents(t *testing.T, s *stack.Stack) []episode {
	t.Helper()
	exit := s.Run("incidents", "--json", "--limit=0", "--config.file="+s.Config())
	var got struct {
		Schema    string
		Incidents []episode
	}
	exactly := json.NewDecoder(strings.NewReader(exit.Stdout))
	exactly.DisallowUnknownFields()
	if err := exactly.Decode(&got); err != nil || exit.Code != 0 {
		t.Fatalf("incidents --json: exit code %d, %v\n%s%s", exit.Code, err, exit.Stdout, exit.Stderr)
	}
	return got.Incidents
}

func checkStore(t *testing.T, s *stack.Stack) {
	t.Helper()
	if exit := s.Run("store", "check", "--config.file="+s.Config()); exit.Code != 0 {
		t.Errorf("store check: exit code %d\n%s%s", exit.Code, exit.Stdout, exit.Stderr)
	}
}

func awaitCause(t *testing.T, d *stack.Daemon, want string) {
	t.Helper()
	d.Await(patience, func() error {
		if got := cause(t, get(t, "/api/v1/status")); got != want {
			return fmt.Errorf("cause %q, want %q", got, want)
		}
		return nil
	})
}

// An incident, from its beginning to its record.
func TestIncident(t *testing.T) {
	s := stack.Start(t)
	config := "--config.file=" + s.Config()
	d := s.Daemon(config)
	d.AwaitReady()
	awaitCause(t, d, "healthy")
	s.StopDNS()
	awaitCause(t, d, "resolver")
	s.StartDNS()
	s.ServiceAnswers(503)
	awaitCause(t, d, "upstream")
	var id string
	d.Await(patience, func() error {
		got := incidents(t, s)
		if len(got) != 1 || got[0].causes() != "resolver upstream" || got[0].Closed != nil {
			return fmt.Errorf("incidents %+v, want one that moved from resolver to upstream", got)
		}
		id = got[0].ID
		return nil
	})
	if exit := s.Run("incidents", "note", "latest", "deployment", "at", "noon", config); exit.Code != 0 {
		t.Errorf("note: exit code %d: %s", exit.Code, exit.Stderr)
	}
	s.ServiceAnswers(405, "Allow: POST")
	awaitCause(t, d, "healthy")
	d.Await(patience, func() error {
		if got := incidents(t, s); len(got) != 1 || got[0].Closed == nil || len(got[0].Notes) != 1 {
			return fmt.Errorf("incidents %+v, want one that is over, with a note", got)
		}
		return nil
	})

	var listed struct {
		Incidents []episode
		Total     int
	}
	if err := json.Unmarshal(get(t, "/api/v1/incidents?service=codex"), &listed); err != nil || listed.Total != 1 || listed.Incidents[0].ID != id {
		t.Errorf("/api/v1/incidents: %+v, %v", listed, err)
	}
	var record struct {
		episode
		Evidence []struct{ Result struct{ Class string } }
		Runtime  struct{ Kernel string }
	}
	if err := json.Unmarshal(get(t, "/api/v1/incidents/"+id), &record); err != nil || record.ID != id || len(record.Evidence) == 0 || record.Runtime.Kernel == "" {
		t.Errorf("/api/v1/incidents/%s: %+v, %v", id, record, err)
	}
	if v, found := scrape(t).value("netwatchd_store_errors_total"); !found || v != 0 {
		t.Errorf("store_errors_total is %v (there: %v), want 0", v, found)
	}
	explained := s.Run("explain", "latest", config)
	for _, want := range []string{"http.server_error", "resolver → upstream", "deployment at noon", "## 1. What to do"} {
		if !strings.Contains(explained.Stdout, want) {
			t.Errorf("explain: %q is not in it:\n%s%s", want, explained.Stdout, explained.Stderr)
		}
	}
	bundle, backup := filepath.Join(s.Dir, "bundle.tar.gz"), filepath.Join(s.Dir, "backup.db")
	for _, args := range [][]string{{"explain", id, "--bundle", bundle}, {"explain", id, "--json"}, {"store", "backup", backup}} {
		if exit := s.Run(append(args, config)...); exit.Code != 0 {
			t.Errorf("%v: exit code %d: %s", args, exit.Code, exit.Stderr)
		}
	}
	for _, path := range []string{bundle, backup} {
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", path, err)
		}
	}
	checkStore(t, s)
	d.Signal(syscall.SIGTERM)
	if code := d.Exit(5 * time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if got := incidents(t, s); len(got) != 1 {
		t.Errorf("after the end: %d incidents, want 1", len(got))
	}
}

// kills is how often the daemon is killed while it writes.
const kills = 6

// The daemon is killed again and again while the service comes and goes, beside a hundred lookups a second: what was
// told of an incident is kept, once.
func TestKilledWhileItWrites(t *testing.T) {
	s := stack.Start(t)
	// The faults are so many that the service would be degraded between them.
	load := []string{"    intermittent: {failures: 0}", "  - name: many", "    probes:"}
	for n := range 200 {
		load = append(load, fmt.Sprintf("      - {name: dns%d, kind: dns, target: chatgpt.com, types: [A]}", n))
	}
	path := filepath.Join(s.Dir, "killed.yaml") // the commands of the test write the usual file
	s.WriteConfig(path, load...)
	config := "--config.file=" + path
	var seen []string
	for n := range kills {
		d := s.Daemon(config)
		d.AwaitReady()
		if n%2 == 0 {
			s.ServiceAnswers(503)
			awaitCause(t, d, "upstream")
		} else {
			s.ServiceAnswers(405, "Allow: POST")
			awaitCause(t, d, "healthy")
		}
		if n == 0 { // from now on there is one, and killing must not lose it
			d.Await(patience, func() error {
				for _, e := range incidents(t, s) {
					seen = append(seen, e.ID)
				}
				if len(seen) != 1 {
					return fmt.Errorf("incidents %v, want one", seen)
				}
				return nil
			})
		}
		// Not while it is idle, but while it writes a verdict or the snapshot of an incident.
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		d.Kill()
		checkStore(t, s)
	}
	d := s.Daemon(config)
	d.AwaitReady()
	s.ServiceAnswers(405, "Allow: POST")
	awaitCause(t, d, "healthy")
	// All of it is within the ten minutes in which what comes back is the same incident.
	d.Await(patience, func() error {
		got := incidents(t, s)
		if len(got) != 1 || got[0].ID != seen[0] || got[0].Closed == nil {
			return fmt.Errorf("incidents %+v, want the first, and over", got)
		}
		return nil
	})
	checkStore(t, s)
}

// Somebody deletes the store under the daemon: it goes on, and makes another.
func TestStoreDeleted(t *testing.T) {
	s := stack.Start(t)
	d := s.Daemon("--config.file=" + s.Config())
	d.AwaitReady()
	awaitCause(t, d, "healthy")
	if err := os.RemoveAll(filepath.Join(s.Dir, "storage")); err != nil {
		t.Fatal(err)
	}
	s.ServiceAnswers(503)
	awaitCause(t, d, "upstream")
	d.Await(patience, func() error {
		if _, err := os.Stat(filepath.Join(s.Dir, "storage", "netwatchd.db")); err != nil {
			return err
		}
		if got := incidents(t, s); len(got) != 1 || got[0].causes() != "upstream" {
			return fmt.Errorf("incidents %+v, want upstream", got)
		}
		return nil
	})
	if v, _ := scrape(t).value("netwatchd_store_errors_total"); v == 0 {
		t.Error("store_errors_total is 0: nobody would know")
	}
	checkStore(t, s)
}

// The disk is full for a while: probing goes on, it is said wherever someone would look, and what was heard meanwhile
// is written once there is room.
func TestDiskFull(t *testing.T) {
	s := stack.Start(t)
	storage := filepath.Join(s.Dir, "storage")
	if err := os.Mkdir(storage, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", storage, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("needs a small file system: mount: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(storage, unix.MNT_DETACH) })
	config := "--config.file=" + s.Config()
	d := s.Daemon(config)
	d.AwaitReady()
	awaitCause(t, d, "healthy")
	big := filepath.Join(storage, "big")
	if err := os.WriteFile(big, make([]byte, 2<<20), 0o600); err == nil {
		t.Fatal("the file system is larger than it should be")
	}
	s.ServiceAnswers(503)
	awaitCause(t, d, "upstream")
	d.Await(patience, func() error {
		if v, _ := scrape(t).value("netwatchd_store_errors_total"); v == 0 {
			return errors.New("store_errors_total is 0")
		}
		return nil
	})
	const said = "history cannot be written"
	if status := string(get(t, "/api/v1/status")); !strings.Contains(status, said) || !strings.Contains(status, "free space") {
		t.Errorf("the status does not say so: %s", status)
	}
	d.Await(patience, func() error { // the status file is renewed every few seconds
		if exit := s.Run("status", config); !strings.Contains(exit.Stdout, said) {
			return fmt.Errorf("the command does not say so:\n%s", exit.Stdout)
		}
		return nil
	})
	var listed struct{ Incidents []episode }
	if err := json.Unmarshal(get(t, "/api/v1/incidents?open=true"), &listed); err != nil || len(listed.Incidents) != 1 {
		t.Errorf("/api/v1/incidents: %+v, %v; want the one in memory", listed, err)
	}
	if err := os.Remove(big); err != nil {
		t.Fatal(err)
	}
	d.Await(time.Minute, func() error { // it is tried again ever more rarely
		if got := incidents(t, s); len(got) != 1 || got[0].causes() != "upstream" {
			return fmt.Errorf("incidents %+v, want the one of meanwhile", got)
		}
		if strings.Contains(string(get(t, "/api/v1/status")), said) {
			return errors.New("the status still says that nothing is kept")
		}
		return nil
	})
	checkStore(t, s)
}

// A store of a later version is left alone; the daemon runs without it and reports that.
func TestNewerStore(t *testing.T) {
	s := stack.Start(t)
	config := "--config.file=" + s.Config()
	d := s.Daemon(config)
	d.AwaitReady()
	d.Signal(syscall.SIGTERM)
	d.Exit(5 * time.Second)
	path := filepath.Join(s.Dir, "storage", "netwatchd.db")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const versionAt = 60 // in an SQLite file
	text[versionAt], text[versionAt+3] = 0, 99
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	d = s.Daemon(config)
	d.AwaitReady()
	s.ServiceAnswers(503)
	awaitCause(t, d, "upstream")
	if v, _ := scrape(t).value("netwatchd_store_errors_total"); v == 0 || !strings.Contains(d.Said(), "newer netwatchd") {
		t.Errorf("store_errors_total is %v; the daemon said\n%s", v, d.Said())
	}
	var listed struct{ Incidents []episode }
	if err := json.Unmarshal(get(t, "/api/v1/incidents"), &listed); err != nil || len(listed.Incidents) != 1 {
		t.Errorf("/api/v1/incidents: %+v, %v; want the one in memory", listed, err)
	}
	if exit := s.Run("incidents", config); exit.Code != 0 || !strings.Contains(exit.Stdout, listed.Incidents[0].ID) ||
		!strings.Contains(exit.Stderr, "newer netwatchd") {
		t.Errorf("incidents: exit code %d, %s%s; want the one in memory, and why there are no others", exit.Code, exit.Stdout, exit.Stderr)
	}
	d.Signal(syscall.SIGTERM)
	d.Exit(5 * time.Second)
	if exit := s.Run("incidents", config); exit.Code != 1 || !strings.Contains(exit.Stderr, "newer netwatchd") {
		t.Errorf("incidents without the daemon: exit code %d, %s", exit.Code, exit.Stderr)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(text) {
		t.Errorf("the store was changed: %v", err)
	}
	if left, _ := fs.Glob(os.DirFS(filepath.Dir(path)), "netwatchd.db-*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
