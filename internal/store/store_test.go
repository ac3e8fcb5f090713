package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/incident"
	"netwatchd/internal/ledger"
	"netwatchd/internal/probe"
	"netwatchd/internal/rollup"
	"netwatchd/internal/watch"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func opened(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func write(t *testing.T, s *Store, b Batch) {
	t.Helper()
	if err := s.Write(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
}

func codexDown() *incident.Incident {
	b := incident.NewBook()
	i, _ := b.Enter(diagnose.Verdict{Service: "codex", Cause: causes.Resolver, Severity: causes.Ticket, Title: "codex: names"}, noon)
	b.Enter(diagnose.Verdict{Service: "codex", Cause: causes.Upstream, Severity: causes.Page, Title: "codex: down"}, noon.Add(time.Minute))
	return i
}

func TestIncidents(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, dir)
	i := codexDown()
	write(t, s, Batch{Incidents: []*incident.Incident{i}})
	closed := noon.Add(time.Hour)
	i.Closed = &closed
	write(t, s, Batch{Incidents: []*incident.Incident{i}})
	if err := s.Note(t.Context(), i.ID, "the router; api_key=Pl4nt3d", noon); err != nil {
		t.Fatal(err)
	}
	s.Close()

	s, err := OpenToRead(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, total, err := s.Incidents(t.Context(), incident.Filter{Services: []string{"codex"}, Limit: 10})
	if err != nil || total != 1 || len(got) != 1 {
		t.Fatalf("%d of %d incidents, %v; want one", len(got), total, err)
	}
	i.Notes = []incident.Note{{At: noon, Text: "the router; api_key=[secret]"}}
	if diff := cmp.Diff(i, got[0]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, total, _ := s.Incidents(t.Context(), incident.Filter{OpenOnly: true}); total != 0 {
		t.Errorf("%d open incidents, want none", total)
	}
	if err := s.Note(t.Context(), "20261123-codex-9", "x", noon); !errors.Is(err, incident.ErrNotFound) {
		t.Errorf("a note to no incident: %v", err)
	}
	if info, err := os.Stat(s.Path()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want a file that only its owner can read", info.Mode(), err)
	}
}

// Two daemons on one store must not overwrite each other's incidents.
func TestSameID(t *testing.T) {
	s := opened(t, t.TempDir())
	first, second := codexDown(), codexDown()
	second.Opened = noon.Add(time.Second)
	second.Title = "another"
	write(t, s, Batch{Incidents: []*incident.Incident{first}})
	write(t, s, Batch{Incidents: []*incident.Incident{second}})
	if got, err := s.Incident(t.Context(), first.ID); err != nil || got.Title != first.Title {
		t.Errorf("title %q, %v; want the first one's", got.Title, err)
	}
}

func TestLoadState(t *testing.T) {
	s := opened(t, t.TempDir())
	older, newer := codexDown(), codexDown()
	older.ID, older.Number = "20261122-codex-3", 3
	older.Opened = noon.Add(time.Hour) // the clock was set back, and this one is open
	closed := noon.Add(2 * time.Hour)
	newer.Closed = &closed
	spent := watch.Kept{Costs: watch.Costs{Spent: []time.Time{noon}, Backoff: time.Hour, BackoffSince: noon},
		Known: watch.Known{Addresses: []netip.Addr{netip.MustParseAddr("10.1.2.3")}, At: noon}}
	write(t, s, Batch{Incidents: []*incident.Incident{older, newer}, Entries: []Entry{Kept{"codex", spent}, Kept{"codex", spent}}})
	p, err := s.LoadState(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Latest) != 1 || p.Latest[0].ID != older.ID {
		t.Errorf("latest %v, want the open one", p.Latest)
	}
	if diff := cmp.Diff(map[string]int{"20261122-codex": 3, "20261123-codex": 1}, p.Numbers); diff != "" {
		t.Errorf("numbers (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]watch.Kept{"codex": spent}, p.Kept, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("costs (-want +got):\n%s", diff)
	}
}

func TestDetail(t *testing.T) {
	s := opened(t, t.TempDir())
	i := codexDown()
	result := probe.Result{Spec: probe.Spec{Service: "codex", Name: "head", Kind: probe.KindHTTP, Target: "https://me:Pl4nt3d@chatgpt.com/"},
		Start: noon, Class: probe.TCPRefused, Why: "Authorization: Bearer Pl4nt3dPl4nt3d"}
	standing := watch.ServiceStatus{Verdict: diagnose.NotReady("codex", causes.Upstream), Since: noon}
	standing.Evidence = []probe.Result{result}
	write(t, s, Batch{
		Incidents: []*incident.Incident{i},
		Entries: []Entry{
			VerdictChange{incident.VerdictChange{At: noon, Was: causes.Healthy, Incident: i.ID, Status: standing}}, VerdictChange{incident.VerdictChange{At: noon, Was: causes.Healthy, Incident: "", Status: standing}},
			Evidence{i.ID, "head", result}, Evidence{i.ID, "head", result}, Evidence{"another", "head", result},
			Attempt{Result: result}, Attempt{Result: result, Manual: true}, EndSnapshot{i.ID, map[string]string{"token": "Pl4nt3d"}}, EndSnapshot{i.ID, map[string]string{"kernel": "6.7"}}, Suspend{incident.Suspend{At: noon.Add(time.Minute), Away: time.Hour}}, Snapshot{i.ID, map[string]string{"kernel": "6.6", "token": "Pl4nt3d"}},
		},
		Run: &incident.DaemonRun{Version: "1", Started: noon.Add(-time.Hour), Seen: noon.Add(time.Hour)},
	})
	detail, err := s.Detail(t.Context(), i.ID)
	if err != nil {
		t.Fatal(err)
	}
	got := []int{len(detail.Verdicts), len(detail.Evidence), len(detail.Attempts), len(detail.Manual), len(detail.Suspends), len(detail.Runs)}
	if diff := cmp.Diff([]int{1, 1, 1, 1, 1, 1}, got); diff != "" {
		t.Errorf("verdicts, evidence, attempts, manual runs, suspends, runs (-want +got):\n%s", diff)
	}
	if detail.Evidence[0].Target != "https://[secret]@chatgpt.com/" || strings.Contains(fmt.Sprint(detail, string(detail.Snapshot), string(detail.End)), "Pl4nt3d") {
		t.Errorf("a secret is in the store: %+v %s", detail, detail.Snapshot)
	}
	if want := `{"kernel":"6.7"}`; string(detail.End) != want {
		t.Errorf("the end is %s, want the latest: %s", detail.End, want)
	}
	if raw, _ := os.ReadFile(s.Path() + "-wal"); strings.Contains(string(raw), "Pl4nt3d") {
		t.Error("a secret is on the disk")
	}
	if _, err := s.Detail(t.Context(), "20261123-codex-7"); !errors.Is(err, incident.ErrNotFound) {
		t.Errorf("an absent incident: %v", err)
	}
}

// A foreign file, or one of a newer version, is rejected and not changed.
func TestRefused(t *testing.T) {
	newer := func(t *testing.T, path string) {
		s := opened(t, filepath.Dir(path))
		if _, err := s.db.Exec("PRAGMA user_version = 99"); err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	foreign := func(t *testing.T, path string) {
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec("CREATE TABLE theirs (a); PRAGMA user_version = 1"); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		plant func(t *testing.T, path string)
		want  error
	}{
		"a newer version":   {newer, errNewer},
		"another program's": {foreign, errForeign},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), File)
			tt.plant(t, path)
			before, _ := os.ReadFile(path)
			if s, err := Open(filepath.Dir(path)); !errors.Is(err, tt.want) {
				s.Close()
				t.Errorf("Open: %v, want %v", err, tt.want)
			}
			if _, err := OpenToRead(filepath.Dir(path)); !errors.Is(err, tt.want) {
				t.Errorf("OpenToRead: %v, want %v", err, tt.want)
			}
			if after, _ := os.ReadFile(path); string(after) != string(before) {
				t.Error("the file was changed")
			}
		})
	}
	if _, err := OpenToRead(t.TempDir()); !errors.Is(err, errNoStore) {
		t.Errorf("no store: %v", err)
	}
	if _, err := Open(filepath.Join(os.DevNull, "store")); err == nil || !strings.Contains(err.Error(), "storage.path") {
		t.Errorf("a directory that cannot be created: %v, want advice", err)
	}
}

// A version that is committed only in the write-ahead log is also read: kill -9 leaves it there.
func TestNewerInTheLog(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, dir)
	if _, err := s.db.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	head, _ := os.ReadFile(s.Path())
	if v := binary.BigEndian.Uint32(head[versionAt:]); v == 99 {
		t.Skip("needs a log that was not checkpointed")
	}
	s.lock.Close() // like a kill
	if _, err := Open(dir); !errors.Is(err, errNewer) {
		t.Errorf("Open: %v, want %v", err, errNewer)
	}
}

func TestCreated(t *testing.T) {
	s := opened(t, filepath.Join(t.TempDir(), "a", "with space?#%"))
	for pragma, want := range map[string]string{"auto_vacuum": "2", "journal_mode": "wal", "synchronous": "2", "cache_size": "-512", "user_version": fmt.Sprint(len(migrations))} {
		var got string
		if err := s.db.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, %v; want %s", pragma, got, err, want)
		}
	}
	var listed []string
	err := s.rows(t.Context(), "SELECT name FROM sqlite_schema WHERE type = 'table'", nil, func(r *sql.Rows) error {
		var name string
		err := r.Scan(&name)
		listed = append(listed, name)
		return err
	})
	if err != nil || len(listed) != len(tables) {
		t.Errorf("%d tables, %v; a check counts %d", len(listed), err, len(tables))
	}
}

// Several processes start at once without a store: one opens it, and the others get an error that names its owner.
func TestOpenedByMany(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	var won atomic.Int32
	for range 8 {
		all.Go(func() {
			s, err := Open(dir)
			switch {
			case err == nil:
				won.Add(1)
				t.Cleanup(func() { s.Close() })
			case !errors.Is(err, errInUse):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of them opened it, want one", won.Load())
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("(process %d)", os.Getpid())) {
		t.Errorf("another one: %v, want its owner", err)
	}
	if h, err := Check(t.Context(), dir); err != nil || len(h.Faults) > 0 {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestRemoved(t *testing.T) {
	s := opened(t, t.TempDir())
	if err := os.Remove(s.Path()); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(t.Context(), &Batch{}); !errors.Is(err, errRemoved) {
		t.Errorf("Write: %v, want %v", err, errRemoved)
	}
}

func TestBackupAndCheck(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, dir)
	i := codexDown()
	write(t, s, Batch{Incidents: []*incident.Incident{i}})
	other := t.TempDir()
	file := filepath.Join(other, File)
	if err := Backup(t.Context(), dir, file); err != nil {
		t.Fatal(err)
	}
	write(t, s, Batch{}) // the daemon keeps running
	if err := Backup(t.Context(), dir, file); err == nil {
		t.Error("a backup over an existing file: no error")
	}
	copied, err := OpenToRead(other)
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	if _, err := copied.Incident(t.Context(), i.ID); err != nil {
		t.Errorf("the copy has no incident: %v", err)
	}
	if info, _ := os.Stat(file); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want a file that only its owner can read", info.Mode())
	}
	h, err := Check(t.Context(), dir)
	if err != nil || len(h.Faults) > 0 || h.Counts[0] != (Count{"incidents", 1}) {
		t.Errorf("%+v, %v; want no faults and one incident", h, err)
	}
}

func TestCheckFinds(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, dir)
	one, two := codexDown(), codexDown()
	two.ID = "20261123-codex-2"
	write(t, s, Batch{Incidents: []*incident.Incident{one, two}})
	if h, err := Check(t.Context(), dir); err != nil || len(h.Faults) != 1 {
		t.Errorf("%+v, %v; want one fault, two open incidents", h, err)
	}
	s.Close()
	f, err := os.OpenFile(filepath.Join(dir, File), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(strings.Repeat("!", 8000)), 4096); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if h, err := Check(t.Context(), dir); err == nil && len(h.Faults) == 0 {
		t.Error("a damaged file has no faults")
	}
}

// A full disk is an error. After space is freed, the same batch is written.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("needs root: mounting a small file system: %s", out)
	}
	t.Cleanup(func() { exec.Command("umount", "-l", dir).Run() })
	s := opened(t, dir)
	write(t, s, Batch{Incidents: []*incident.Incident{codexDown()}})
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, make([]byte, 1<<20), 0o600); err == nil {
		t.Fatal("the file system is larger than it should be")
	}
	i := codexDown()
	i.ID, i.Service, i.Title = "20261123-shop-1", "shop", strings.Repeat("long ", 500)
	batch := &Batch{Incidents: []*incident.Incident{i}}
	var err error
	for n := 0; n < 1000 && err == nil; n++ {
		batch.Entries = append(batch.Entries, Attempt{Result: probe.Result{Why: strings.Repeat("w", 4000)}})
		err = s.Write(t.Context(), batch)
	}
	if err == nil || !strings.Contains(err.Error(), "free space") {
		t.Fatalf("a full disk: %v, want an error that says what to do", err)
	}
	if err := os.Remove(big); err != nil {
		t.Fatal(err)
	}
	batch.Entries = batch.Entries[:1]
	write(t, s, *batch)
	if _, err := s.Incident(t.Context(), i.ID); err != nil {
		t.Error(err)
	}
}

func TestMaintain(t *testing.T) {
	s := opened(t, t.TempDir())
	const day = 24 * time.Hour
	open, old := codexDown(), codexDown()
	old.ID, old.Closed = "20261123-shop-1", &noon
	write(t, s, Batch{Incidents: []*incident.Incident{open, old}, Entries: []Entry{
		Evidence{open.ID, "a", probe.Result{Start: noon}}, Evidence{old.ID, "a", probe.Result{Start: noon}},
		Attempt{Result: probe.Result{Start: noon}}, Snapshot{old.ID, 1}, Suspend{incident.Suspend{At: noon}},
		VerdictChange{incident.VerdictChange{At: noon, Was: 0, Incident: old.ID, Status: watch.ServiceStatus{}}}, VerdictChange{incident.VerdictChange{At: noon, Was: 0, Incident: open.ID, Status: watch.ServiceStatus{}}},
	}})
	if err := s.Maintain(t.Context(), noon.Add(89*day), 90*day); err != nil {
		t.Fatal(err)
	}
	if _, total, _ := s.Incidents(t.Context(), incident.Filter{}); total != 2 {
		t.Errorf("%d incidents on the 89th day, want 2", total)
	}
	if err := s.Maintain(t.Context(), noon.Add(91*day), 90*day); err != nil {
		t.Fatal(err)
	}
	for table, want := range map[string]int{"incidents": 1, "evidence": 1, "verdicts": 1, "attempts": 0, "snapshots": 0, "suspends": 0} {
		var got int
		if err := s.db.QueryRow("SELECT count(*) FROM " + table).Scan(&got); err != nil || got != want {
			t.Errorf("%s: %d rows, %v; want %d", table, got, err, want)
		}
	}
}

// The store can be read while it is written.
func TestReadWhileWriting(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, dir)
	ctx, stop := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			parts := []rollup.Part{{Key: ledger.Key{Service: "codex"}, Rollup: rollup.Rollup{Count: 1}}}
			at := noon.Add(time.Duration(n) * time.Minute)
			if err := s.Write(context.Background(), &Batch{Minutes: []rollup.Minute{{At: at, Parts: parts}}}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 20 {
		r, err := OpenToRead(dir)
		if err != nil {
			t.Error(err)
			break
		}
		if _, _, err := r.Incidents(t.Context(), incident.Filter{}); err != nil {
			t.Error(err)
		}
		r.Close()
	}
	stop()
	writer.Wait()
}

// blocked returns a backtest whose run inside the sandbox failed.
func blocked(at time.Time) (incident.Backtest, *incident.Incident) {
	run := probe.Result{Spec: probe.Spec{Service: "codex", Name: "exec", Kind: probe.KindExec, Vantage: probe.FromSandbox},
		Start: at, Elapsed: 1, Class: probe.ExecNetwork}
	b := incident.Backtest{Service: "codex", Want: "closed", Runs: []probe.Result{run},
		Status: watch.ServiceStatus{Verdict: diagnose.Verdict{Service: "codex", Cause: causes.Sandbox}}}
	from, to := b.Span()
	return b, incident.NewBook().Observe(b.Verdict(), from, to)
}

// Faults and observations are stored side by side, and selected by kind.
func TestKinds(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, dir)
	_, observed := blocked(noon.Add(time.Hour))
	observed.ID, observed.Number = "20261123-codex-2", 2
	write(t, s, Batch{Incidents: []*incident.Incident{codexDown(), observed}})
	for kind, want := range map[incident.Kind]int{incident.AnyKind: 2, incident.Faults: 1, incident.Observations: 1} {
		found, total, err := s.Incidents(t.Context(), incident.Filter{Kind: kind})
		if err != nil || total != want || len(found) != want || !kind.Has(found[0]) {
			t.Errorf("kind %d: %d of %d, %v; want %d", kind, len(found), total, err, want)
		}
	}
	state, err := s.LoadState(t.Context())
	if err != nil || len(state.Latest) != 2 {
		t.Errorf("latest %v, %v; want the fault and the observation", state.Latest, err)
	}
	if h, err := Check(t.Context(), dir); err != nil || len(h.Faults) > 0 {
		t.Errorf("%+v, %v; want no faults", h, err)
	}
}

// A store of the first version is migrated, and loses nothing.
func TestMigratesFirstVersion(t *testing.T) {
	dir := t.TempDir()
	db, err := sql.Open("sqlite", filepath.Join(dir, File))
	if err != nil {
		t.Fatal(err)
	}
	const rows = `INSERT INTO incidents (id, service, day, number, opened, closed, body)
			VALUES ('20261123-codex-1', 'codex', '20261123', 1, 1795435200000, 1795435260000,
			'{"title":"down","opened":"2026-11-23T12:00:00Z","closed":"2026-11-23T12:01:00Z"}');
		INSERT INTO attempts (service, at, body) VALUES ('codex', 1795435200000, '{"class":"ok"}');`
	mark := fmt.Sprintf(";PRAGMA application_id=%d;PRAGMA user_version=1", application)
	if _, err := db.Exec(migrations[0] + mark + ";" + rows); err != nil {
		t.Fatal(err)
	}
	db.Close()
	if _, err := OpenToRead(dir); err == nil || !strings.Contains(err.Error(), "older version 1") {
		t.Errorf("a command reads the old store: %v", err)
	}
	s := opened(t, dir)
	_, observed := blocked(noon)
	observed.ID = "20261123-codex-2"
	write(t, s, Batch{Incidents: []*incident.Incident{observed}})
	faults, _, err := s.Incidents(t.Context(), incident.Filter{Kind: incident.Faults})
	if err != nil || len(faults) != 1 || faults[0].Title != "down" {
		t.Errorf("faults %v, %v; want the old incident", faults, err)
	}
	if d, err := s.Detail(t.Context(), "20261123-codex-1"); err != nil || len(d.Attempts) != 1 || len(d.Manual) != 0 {
		t.Errorf("detail %+v, %v; want the old run", d, err)
	}
	if h, err := Check(t.Context(), dir); err != nil || len(h.Faults) > 0 || h.Version != len(migrations) {
		t.Errorf("%+v, %v; want no faults", h, err)
	}
}
