package store

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/causes"
	"netwatchd/internal/incident"
	"netwatchd/internal/probe"
	"netwatchd/internal/rollup"
	"netwatchd/internal/watch"
)

// filled returns a store with two rows or more in every table that a row can be damaged in.
func filled(t *testing.T, dir string) *Store {
	t.Helper()
	s := opened(t, dir)
	first, second := codexDown(), codexDown()
	closed := noon.Add(time.Minute)
	second.ID, second.Number, second.Closed = "20261123-codex-2", 2, &closed
	result := probe.Result{Spec: probe.Spec{Service: "codex", Name: "exec", Kind: probe.KindExec}, Start: noon}
	status := watch.ServiceStatus{Since: noon}
	b := Batch{Incidents: []*incident.Incident{first, second}, Run: &incident.DaemonRun{Started: noon, Seen: noon}}
	for n, i := range b.Incidents {
		b.Entries = append(b.Entries,
			Evidence{i.ID, "head", result}, Evidence{i.ID, "exec", result}, Attempt{Result: result}, Snapshot{i.ID, 1},
			EndSnapshot{i.ID, 2}, Suspend{incident.Suspend{At: noon, Away: time.Second}},
			VerdictChange{incident.VerdictChange{At: noon, Was: causes.Healthy, Incident: i.ID, Status: status}},
			Kept{fmt.Sprint("service", n), watch.Kept{Costs: watch.Costs{Spent: []time.Time{noon}}}})
	}
	for hour := range 3 {
		m := rollup.Minute{At: noon.Add(time.Duration(hour) * time.Hour), Parts: []rollup.Part{{Key: head}}}
		m.Parts[0].Add(probe.OK, probe.Seconds(time.Second))
		b.Minutes = append(b.Minutes, m)
	}
	write(t, s, b)
	write(t, s, Batch{Run: &incident.DaemonRun{Started: noon.Add(time.Hour), Seen: noon.Add(time.Hour)}})
	for n, i := range b.Incidents {
		if err := s.Note(t.Context(), i.ID, fmt.Sprint("note ", n), noon); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Maintain(t.Context(), noon.Add(2*time.Hour), 0); err != nil { // the first two hours get rows of their own
		t.Fatal(err)
	}
	return s
}

// fileOf returns the file of a filled store.
func fileOf(t *testing.T) []byte {
	t.Helper()
	s := filled(t, t.TempDir())
	s.Close()
	file, err := os.ReadFile(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// readAll reads all that can be read, and returns how much it was.
func readAll(t *testing.T, s *Store) (read int) {
	t.Helper()
	state, err := s.LoadState(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found, _, err := s.Incidents(t.Context(), incident.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	read = len(found) + len(state.Kept)
	for _, i := range found {
		d, err := s.Detail(t.Context(), i.ID)
		if err != nil {
			t.Fatal(err)
		}
		read += len(d.Evidence) + len(d.Verdicts) + len(d.Attempts) + len(d.Suspends) + len(d.Runs) + len(i.Notes)
		for _, snapshot := range []string{string(d.Snapshot), string(d.End)} {
			if snapshot != "" {
				read++
			}
		}
	}
	keys, err := s.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []time.Duration{time.Minute, time.Hour} {
		c := rollup.NewCurves(keys, noon, noon.Add(3*time.Hour), step)
		if err := s.Series(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Gaps(t.Context(), noon.Add(-time.Hour), noon.Add(3*time.Hour)); err != nil {
		t.Fatal(err)
	}
	return read + len(keys)
}

// One damaged row, in any table and of any kind, hides nothing but itself. A check names it. It is set aside, and the
// statement that is kept of it restores it.
func TestDamagedRow(t *testing.T) {
	file := fileOf(t)
	for _, edit := range []struct{ table, change string }{
		{"incidents", "body = '{\"id'"}, {"incidents", "body = x'00ff'"}, {"incidents", "body = '[]'"},
		{"incidents", "number = 'one'"}, {"incidents", "body = '{\"opened\": 5}'"},
		{"notes", "at = 'yesterday'"}, {"snapshots", "body = '{'"}, {"end_snapshots", "body = ''"},
		{"evidence", "body = 'null and void'"}, {"evidence", "body = '{\"class\": 7}'"}, {"attempts", "body = '\"'"},
		{"verdicts", "body = '{]'"}, {"verdicts", "at = 'x'"}, {"suspends", "away = 'long'"},
		{"runs", "seen = 'now'"}, {"costs", "body = '7'"},
		{"minutes", "body = x'01ffffffffffffffffff'"}, {"minutes", "body = x''"},
		{"hours", "body = x'63'"}, {"details", "body = substr(body, 1, length(body) - 1)"},
	} {
		t.Run(edit.table+" "+edit.change, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, File), file, 0o600); err != nil {
				t.Fatal(err)
			}
			s := opened(t, dir)
			whole := readAll(t, s)
			if h, err := Check(t.Context(), dir); err != nil || len(h.Faults) > 0 {
				t.Fatalf("before: %+v, %v", h, err)
			}
			damage := fmt.Sprintf("UPDATE %[1]s SET %s WHERE %[3]s = (SELECT max(%[3]s) FROM %[1]s)", edit.table, edit.change,
				keyOf(edit.table))
			if _, err := s.db.Exec(damage); err != nil {
				t.Fatal(err)
			}
			h, err := Check(t.Context(), dir)
			if err != nil || len(h.Faults) != 1 || !strings.HasPrefix(h.Faults[0], edit.table+": row ") {
				t.Errorf("a check finds %q, %v; want the row", h.Faults, err)
			}
			// An incident takes what belongs to it along.
			if read := readAll(t, s); edit.table != "incidents" && read < whole-2 {
				t.Errorf("%d of %d are read", read, whole)
			} else if read == 0 {
				t.Error("nothing is read")
			}
			if n, err := s.SetAside(t.Context()); n != 1 || err != nil {
				t.Fatalf("%d rows set aside, %v; want 1", n, err)
			}
			if h, err := Check(t.Context(), dir); err != nil || len(h.Faults) > 0 {
				t.Errorf("after: %+v, %v", h, err)
			}
			var statement string
			if err := s.db.QueryRow("SELECT statement FROM damaged").Scan(&statement); err != nil {
				t.Fatal(err)
			}
			if _, err := s.db.Exec(statement); err != nil {
				t.Errorf("%s: %v", statement, err)
			}
			if h, err := Check(t.Context(), dir); err != nil || len(h.Faults) != 1 {
				t.Errorf("restored: %+v, %v; want the fault again", h, err)
			}
		})
	}
}

// Damaged minutes are kept when their hour is closed, and when they are replaced.
func TestDamagedMinutes(t *testing.T) {
	s := filled(t, t.TempDir())
	damage := func() {
		if _, err := s.db.Exec("UPDATE minutes SET body = x'63'; UPDATE hours SET body = x'63'; UPDATE details SET body = x'63'"); err != nil {
			t.Fatal(err)
		}
	}
	damage()
	m := rollup.Minute{At: noon.Add(2 * time.Hour), Parts: []rollup.Part{{Key: head}}}
	write(t, s, Batch{Minutes: []rollup.Minute{m}})
	wantDamaged(t, s, "minutes")
	m.At = noon // the clock was set back
	write(t, s, Batch{Minutes: []rollup.Minute{m}})
	damage()
	if err := s.Maintain(t.Context(), noon.Add(4*time.Hour), 0); err != nil {
		t.Fatal(err)
	}
	wantDamaged(t, s, "minutes", "minutes", "minutes")
}

func TestDamagedHour(t *testing.T) {
	s := filled(t, t.TempDir())
	if _, err := s.db.Exec("UPDATE hours SET body = x'63'; UPDATE details SET body = x'63'"); err != nil {
		t.Fatal(err)
	}
	m := rollup.Minute{At: noon, Parts: []rollup.Part{{Key: head}}} // the clock was set back
	write(t, s, Batch{Minutes: []rollup.Minute{m}})
	if err := s.Maintain(t.Context(), noon.Add(2*time.Hour), 0); err != nil {
		t.Fatal(err)
	}
	wantDamaged(t, s, "hours", "details")
}

func wantDamaged(t *testing.T, s *Store, want ...string) {
	t.Helper()
	var origins []string
	err := s.rows(t.Context(), "SELECT origin FROM damaged ORDER BY id", nil, func(r *sql.Rows) error {
		var origin string
		err := r.Scan(&origin)
		origins = append(origins, origin)
		return err
	})
	if diff := cmp.Diff(want, origins); diff != "" || err != nil {
		t.Errorf("damaged rows, %v (-want +got):\n%s", err, diff)
	}
}

// Whatever a power cut or a bad disk leaves of the file, the store opens, or it is moved away and a new one opens.
// Nothing panics, and what was there is still on the disk.
func TestMalformed(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	whole := fileOf(t)
	moved := 0
	for range 24 {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, File), damaged(rng, whole), 0o600); err != nil {
			t.Fatal(err)
		}
		kept := reopened(t, dir)
		if kept == "" {
			continue // the damage is where nothing was read: a check finds it, or there is none
		}
		moved++
		if now, err := os.ReadFile(kept); err != nil || len(now) == 0 {
			t.Errorf("the malformed store has %d octets, %v", len(now), err)
		}
	}
	if moved < 8 {
		t.Errorf("%d of 24 stores were moved away: the damage is too small to test anything", moved)
	}
}

// reopened opens the store as the daemon does, and returns where it was moved if it is malformed.
func reopened(t *testing.T, dir string) (moved string) {
	t.Helper()
	for range 2 {
		s, err := Open(dir)
		if err != nil {
			t.Fatalf("a damaged store: %v", err)
		}
		if s.Moved != "" {
			moved = s.Moved
		}
		_, err = s.LoadState(t.Context())
		if err == nil {
			err = s.Write(t.Context(), &Batch{Incidents: []*incident.Incident{codexDown()}})
		}
		if err == nil {
			s.Close()
			return moved
		}
		if !IsMalformed(err) {
			t.Fatalf("a damaged store: %v", err)
		}
		if moved, err = s.MoveMalformed(); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the new store cannot be used either")
	return ""
}

// damaged returns a file with its end cut off, a page of zeros, or random octets somewhere.
func damaged(rng *rand.Rand, file []byte) []byte {
	bad := append([]byte(nil), file...)
	switch at := rng.IntN(len(bad)); rng.IntN(4) {
	case 0:
		return bad[:at]
	case 1:
		clear(bad[at:min(at+4096, len(bad))])
	case 2:
		for n := range min(512, len(bad)-at) {
			bad[at+n] = byte(rng.Uint32())
		}
	default:
		clear(bad[:min(at, 4096)]) // file systems leave zeros for blocks that were never written
	}
	return bad
}

// Maintenance notices damage to what is cached.
func TestMaintainFindsDamage(t *testing.T) {
	dir := t.TempDir()
	s := filled(t, dir)
	if err := s.Maintain(t.Context(), noon.Add(2*time.Hour), 0); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"", "-wal"} {
		f, err := os.OpenFile(s.Path()+part, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte(strings.Repeat("!", 1<<20)), 4096); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	if err := s.Maintain(t.Context(), noon.Add(2*time.Hour), 0); !IsMalformed(err) {
		t.Errorf("got %v, want that it is malformed", err)
	}
}

// A disk that damages every store does not fill up with them.
func TestMalformedAgainAndAgain(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, File)
	for range malformedLimit {
		if err := os.WriteFile(path, []byte(strings.Repeat("dear diary ", 100)), 0o600); err != nil {
			t.Fatal(err)
		}
		s := opened(t, dir)
		if s.Moved == "" {
			t.Fatal("a text was not moved away")
		}
		if text, err := os.ReadFile(s.Moved); err != nil || !strings.HasPrefix(string(text), "dear diary") {
			t.Fatalf("%.20q, %v; want the text", text, err)
		}
		s.Close()
		time.Sleep(2 * time.Millisecond) // the names have milliseconds
	}
	if err := os.WriteFile(path, []byte("dear diary"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "check the disk") {
		t.Errorf("the sixth: %v, want advice", err)
	}
	if text, _ := os.ReadFile(path); string(text) != "dear diary" {
		t.Error("the file was changed")
	}
	if _, err := OpenToRead(dir); !IsMalformed(err) || !strings.Contains(err.Error(), "start the daemon") {
		t.Errorf("a command: %v, want what moves it away", err)
	}
}
