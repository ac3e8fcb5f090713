package history

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/incident"
	"netwatchd/internal/ledger"
	"netwatchd/internal/probe"
	"netwatchd/internal/rollup"
	"netwatchd/internal/store"
	"netwatchd/internal/watch"
)

// A life is one run of a Recorder.
type life struct {
	*Recorder
	log  *lockedLog
	stop func()
}

type lockedLog struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.String()
}

func (l *lockedLog) lines() int { return strings.Count(l.String(), "\n") }

func live(t *testing.T, dir string) *life {
	t.Helper()
	l := &life{log: new(lockedLog)}
	l.Recorder = New(Options{Dir: dir, Keep: func() time.Duration { return 90 * 24 * time.Hour }, Version: "1",
		Log: slog.New(slog.NewTextHandler(l.log, nil)), Snapshot: func(context.Context) any { return map[string]string{"kernel": "6.6"} }})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { l.Run(ctx) })
	l.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(l.stop)
	return l
}

func judged(l *life, service string, cause, was causes.Cause) {
	s := watch.ServiceStatus{Verdict: diagnose.NotReady(service, cause), Since: time.Now()}
	if cause.Fault() {
		s.Evidence = []probe.Result{{Spec: probe.Spec{Service: service, Name: "head", Kind: probe.KindHTTP, Target: "https://h/"},
			Start: time.Now(), Class: probe.TCPRefused, Why: "refused; api_key=Pl4nt3d"}}
	}
	l.Judged(s, was)
}

// attempt has n runs of the agent, of 3 KB each, stored whole.
func attempt(l *life, n int) {
	for range n {
		l.Attempted(probe.Result{Spec: probe.Spec{Service: "codex", Name: "exec", Kind: probe.KindExec}, Start: time.Now(),
			Why: strings.Repeat("w", 3000)}, 0)
	}
}

// eventually waits for the effect of another goroutine.
func eventually(t *testing.T, is func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if err = is(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// stored reads the store like another process.
func stored(t *testing.T, dir string) (found []string) {
	t.Helper()
	s, err := store.OpenToRead(dir)
	if err != nil {
		return nil
	}
	defer s.Close()
	all, _, err := s.Incidents(t.Context(), incident.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		var words strings.Builder
		words.WriteString(i.ID[len("20261123-"):])
		for _, span := range i.Causes {
			words.WriteString(" " + span.Cause.String())
		}
		if i.IsOpen() {
			words.WriteString(" open")
		}
		found = append(found, words.String())
	}
	return found
}

func wants(t *testing.T, dir string, want ...string) {
	t.Helper()
	eventually(t, func() error {
		if got := stored(t, dir); strings.Join(got, "; ") != strings.Join(want, "; ") {
			return fmt.Errorf("stored %q, want %q", got, want)
		}
		return nil
	})
}

func TestRestart(t *testing.T) {
	dir := t.TempDir()
	l := live(t, dir)
	judged(l, "codex", causes.Healthy, causes.Starting)
	judged(l, "codex", causes.Resolver, causes.Healthy)
	l.Remember("codex", watch.Kept{Costs: watch.Costs{Spent: []time.Time{time.Now()}}})
	wants(t, dir, "codex-1 resolver open") // while it runs
	l.stop()

	l = live(t, dir)
	if len(l.Recall("codex").Spent) != 1 {
		t.Error("a restart lost the costs")
	}
	if cause, since, open := l.Ongoing("codex"); !open || cause != causes.Resolver || since.IsZero() {
		t.Errorf("ongoing: %v since %v, %v; want the resolver's fault", cause, since, open)
	}
	judged(l, "codex", causes.Upstream, causes.Starting)
	judged(l, "codex", causes.Healthy, causes.Upstream)
	l.stop()
	wants(t, dir, "codex-1 resolver upstream")

	l = live(t, dir)
	if cause, _, open := l.Ongoing("codex"); open {
		t.Errorf("ongoing: %v, after it has ended", cause)
	}
	id := time.Now().UTC().Format("20060102") + "-codex-1"
	r, err := l.Record(t.Context(), id)
	if err != nil || len(r.Transitions) == 0 || r.Runtime == nil {
		t.Fatalf("record %+v, %v; want what happened, and a snapshot", r, err)
	}
	if text, _ := r.JSON(); bytes.Contains(text, []byte("Pl4nt3d")) || len(r.Evidence) == 0 {
		t.Errorf("want evidence without the secret: %s", text)
	}
	if _, err := l.Record(t.Context(), "20260101-codex-1"); !errors.Is(err, incident.ErrNotFound) && err == nil {
		t.Error("a record of an absent incident")
	}
	l.CloseUnwatched(nil)
	if l.Errors() != 0 {
		t.Errorf("%v errors: %s", l.Errors(), l.log)
	}
}

func TestServiceRemoved(t *testing.T) {
	dir := t.TempDir()
	l := live(t, dir)
	judged(l, "codex", causes.Resolver, causes.Healthy)
	judged(l, "shop", causes.Resolver, causes.Healthy)
	l.CloseUnwatched([]string{"shop"})
	eventually(t, func() error {
		s, err := store.OpenToRead(dir)
		if err != nil {
			return err
		}
		defer s.Close()
		open, _, err := s.Incidents(t.Context(), incident.Filter{OpenOnly: true})
		if err != nil || len(open) != 1 || open[0].Service != "shop" {
			return fmt.Errorf("open: %v, %v; want shop's", open, err)
		}
		return nil
	})
}

// The store is deleted while it is in use: a new one is created, with the open incidents.
func TestDeleted(t *testing.T) {
	dir := t.TempDir()
	l := live(t, dir)
	judged(l, "codex", causes.Resolver, causes.Healthy)
	wants(t, dir, "codex-1 resolver open")
	for _, name := range []string{store.File, store.File + "-wal", store.File + "-shm"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	judged(l, "codex", causes.Upstream, causes.Resolver)
	wants(t, dir, "codex-1 resolver upstream open")
	if l.Errors() == 0 {
		t.Error("the deletion was not counted as an error")
	}
}

// The file is damaged while it is in use: it is moved away, and a new one is begun with the open incidents, whether a
// write or a reader notices it first.
func TestMalformed(t *testing.T) {
	for name, notice := range map[string]func(*life){
		"write": func(l *life) { judged(l, "codex", causes.Upstream, causes.Resolver) },
		"read": func(l *life) {
			_, _, _ = l.Incidents(context.Background(), incident.Filter{})
			_, _ = l.Record(context.Background(), time.Now().UTC().Format("20060102")+"-codex-1")
			_, _ = l.Keys(context.Background())
			_, _ = l.Gaps(context.Background(), time.Now().Add(-time.Hour), time.Now())
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := live(t, dir)
			judged(l, "codex", causes.Resolver, causes.Healthy)
			wants(t, dir, "codex-1 resolver open")
			attempt(l, 400) // more than a connection caches
			eventually(t, func() error {
				if l.queued() {
					return errors.New("not all is written")
				}
				return nil
			})
			damage(t, filepath.Join(dir, store.File))
			eventually(t, func() error {
				notice(l)
				if kept, err := store.MalformedFiles(dir); len(kept) != 1 || err != nil || l.Moved() != kept[0] {
					return fmt.Errorf("moved away: %q, %v, said to be %q", kept, err, l.Moved())
				}
				return nil
			})
			judged(l, "codex", causes.Stream, causes.Upstream)
			eventually(t, func() error {
				if got := stored(t, dir); len(got) != 1 || !strings.HasPrefix(got[0], "codex-1 resolver ") {
					return fmt.Errorf("stored %q, want the incident from its beginning", got)
				}
				return nil
			})
			eventually(t, func() error {
				if l.Fault() != "" {
					return errors.New(l.Fault())
				}
				return nil
			})
		})
	}
}

// edit changes a database as another program does.
func edit(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

// damage overwrites everything but the first page of the database, and removes its log's content.
func damage(t *testing.T, path string) {
	t.Helper()
	for _, part := range []string{"", "-wal"} {
		info, err := os.Stat(path + part)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path+part, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(bytes.Repeat([]byte("!"), int(max(info.Size(), 64<<10))), 4096); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
}

// A damaged row is counted, logged and moved away. The other incidents are listed.
func TestDamagedRow(t *testing.T) {
	dir := t.TempDir()
	first := live(t, dir)
	judged(first, "codex", causes.Resolver, causes.Healthy)
	judged(first, "shop", causes.Upstream, causes.Healthy)
	wants(t, dir, "shop-1 upstream open", "codex-1 resolver open")
	first.stop()
	edit(t, filepath.Join(dir, store.File), "UPDATE incidents SET body = '{' WHERE service = 'codex'")
	second := live(t, dir)
	if second.DamagedRows() != 1 || second.Fault() != "" || !strings.Contains(second.log.String(), "damaged") {
		t.Errorf("%v damaged rows, fault %q, log %s", second.DamagedRows(), second.Fault(), second.log)
	}
	judged(second, "codex", causes.Proxy, causes.Healthy)
	wants(t, dir, "codex-2 proxy open", "shop-1 upstream open") // the number of the damaged one is taken
}

// What cannot be written before the end is named.
func TestLostAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "taken"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l := live(t, filepath.Join(dir, "taken", "storage")) // no directory can be created here
	judged(l, "codex", causes.Resolver, causes.Healthy)
	l.stop()
	if text := l.log.String(); !strings.Contains(text, "history is lost") || !strings.Contains(text, "-codex-1") {
		t.Errorf("log: %s", text)
	}
}

// A disk of 2 MB that was full is written to again once it has some space, although not for all at once.
func TestSmallDiskFull(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("needs root: mounting a small file system: %s", out)
	}
	t.Cleanup(func() { exec.Command("umount", "-l", dir).Run() })
	l := live(t, dir)
	judged(l, "codex", causes.Resolver, causes.Healthy)
	wants(t, dir, "codex-1 resolver open")
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, make([]byte, 4<<20), 0o600); err == nil {
		t.Fatal("the file system is larger than it should be")
	}
	attempt(l, 300) // a megabyte, and as much again in the log
	judged(l, "codex", causes.Upstream, causes.Resolver)
	eventually(t, func() error {
		if l.Errors() < 2 {
			return fmt.Errorf("a full disk: %v errors, log %q", l.Errors(), l.log)
		}
		return nil
	})
	if err := os.Remove(big); err != nil {
		t.Fatal(err)
	}
	wants(t, dir, "codex-1 resolver upstream open")
	eventually(t, func() error {
		if l.Fault() != "" {
			return errors.New(l.Fault())
		}
		return nil
	})
	l.stop()
	if h, err := store.Check(t.Context(), dir); err != nil || len(h.Faults) > 0 {
		t.Errorf("%+v, %v", h, err)
	}
}

// An unusable store does not stop the Recorder. Once it can be used, everything in memory is written.
func TestNoStoreAtStart(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, store.File)
	edit(t, path, "CREATE TABLE theirs (a); PRAGMA user_version = 1") // another program's
	l := live(t, dir)
	judged(l, "codex", causes.Resolver, causes.Healthy)
	judged(l, "codex", causes.Upstream, causes.Resolver)
	found, total, err := l.Incidents(t.Context(), incident.Filter{})
	if err != nil || total != 1 || len(found) != 1 {
		t.Errorf("%d incidents, %v; want the one in memory", total, err)
	}
	if _, err := l.Record(t.Context(), found[0].ID); err != nil {
		t.Errorf("the record of what is in memory: %v", err)
	}
	eventually(t, func() error {
		if l.Errors() < 2 {
			return fmt.Errorf("%v errors, want another try", l.Errors())
		}
		return nil
	})
	if l.log.lines() != 1 {
		t.Errorf("%d lines, want one for all: %s", l.log.lines(), l.log)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	wants(t, dir, "codex-1 resolver upstream open")
	eventually(t, func() error {
		if l.log.lines() != 2 {
			return fmt.Errorf("want a line that it works again: %s", l.log)
		}
		return nil
	})
}

// Two daemons on one store would each take the other's incidents for their own: the second runs without it until the
// first has stopped.
func TestTwoAtOnce(t *testing.T) {
	dir := t.TempDir()
	first, second := live(t, dir), live(t, dir)
	judged(first, "codex", causes.Resolver, causes.Healthy)
	judged(second, "codex", causes.Resolver, causes.Healthy)
	judged(second, "shop", causes.Upstream, causes.Healthy)
	wants(t, dir, "codex-1 resolver open")
	if want := fmt.Sprintf("another netwatchd is using this store: stop it, or set a different storage.path (process %d)", os.Getpid()); !strings.Contains(second.Fault(), want) {
		t.Errorf("the second reports %q, want %q", second.Fault(), want)
	}
	first.stop()
	wants(t, dir, "shop-1 upstream open", "codex-1 resolver open")
	eventually(t, func() error {
		if fault := second.Fault(); fault != "" {
			return fmt.Errorf("the first has stopped, and the second reports %q", fault)
		}
		return nil
	})
}

// The stored state of an earlier run is combined with what happened before it could be read.
func TestContinuesStored(t *testing.T) {
	dir := t.TempDir()
	l := live(t, dir)
	judged(l, "codex", causes.Resolver, causes.Healthy)
	judged(l, "shop", causes.Resolver, causes.Healthy)
	judged(l, "shop", causes.Healthy, causes.Resolver)
	l.stop()
	path := filepath.Join(dir, store.File)
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	l = live(t, dir)
	judged(l, "codex", causes.Upstream, causes.Starting)
	judged(l, "shop", causes.Upstream, causes.Starting)
	if err := errors.Join(os.Remove(path), os.Rename(path+".away", path)); err != nil {
		t.Fatal(err)
	}
	wants(t, dir, "shop-1 resolver upstream open", "codex-1 resolver upstream open")
}

// A full disk is counted and logged once. Everything in memory is written after space is freed.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("needs root: mounting a small file system: %s", out)
	}
	t.Cleanup(func() { exec.Command("umount", "-l", dir).Run() })
	l := live(t, dir)
	judged(l, "codex", causes.Resolver, causes.Healthy)
	wants(t, dir, "codex-1 resolver open")
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, make([]byte, 2<<20), 0o600); err == nil {
		t.Fatal("the file system is larger than it should be")
	}
	attempt(l, 1000)
	eventually(t, func() error {
		if l.Errors() == 0 || l.log.lines() == 0 {
			return fmt.Errorf("a full disk: %v errors, log %q", l.Errors(), l.log)
		}
		return nil
	})
	judged(l, "codex", causes.Upstream, causes.Resolver)
	judged(l, "codex", causes.Healthy, causes.Upstream)
	judged(l, "shop", causes.Upstream, causes.Healthy)
	unwritten(t, l)
	if err := os.Remove(big); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-o", "remount,size=64m", dir).CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
	wants(t, dir, "shop-1 upstream open", "codex-1 resolver upstream")
	if h, err := store.Check(t.Context(), dir); err != nil || len(h.Faults) > 0 {
		t.Errorf("%+v, %v", h, err)
	}
}

// unwritten checks what is known but not stored: codex has recovered, shop has not.
func unwritten(t *testing.T, l *life) {
	t.Helper()
	for _, test := range []struct {
		filter incident.Filter
		want   string
		total  int
	}{
		{incident.Filter{}, "shop upstream open; codex resolver upstream", 2},
		{incident.Filter{OpenOnly: true}, "shop upstream open", 1},
		{incident.Filter{Limit: 1}, "shop upstream open", 2},
		{incident.Filter{Limit: 1, Offset: 1}, "codex resolver upstream", 2},
		{incident.Filter{Limit: 1, Offset: 2}, "", 2},
		{incident.Filter{Services: []string{"codex"}}, "codex resolver upstream", 1},
	} {
		found, total, err := l.Incidents(t.Context(), test.filter)
		var words []string
		for _, i := range found {
			var word strings.Builder
			word.WriteString(i.Service)
			for _, span := range i.Causes {
				word.WriteString(" " + span.Cause.String())
			}
			if i.IsOpen() {
				word.WriteString(" open")
			}
			words = append(words, word.String())
		}
		if got := strings.Join(words, "; "); got != test.want || total != test.total || err != nil {
			t.Errorf("%+v: %q of %d, %v; want %q of %d", test.filter, got, total, err, test.want, test.total)
		}
	}
	found, _, _ := l.Incidents(t.Context(), incident.Filter{Services: []string{"shop"}})
	if r, err := l.Record(t.Context(), found[0].ID); err != nil || len(r.Evidence) == 0 || len(r.Transitions) == 0 {
		t.Errorf("the record of what could not be written: %+v, %v", r, err)
	}
}

// The watcher never waits for the disk.
func TestNeverWaits(t *testing.T) {
	l := live(t, t.TempDir())
	const services = 2000
	started := time.Now()
	for n := range services {
		judged(l, fmt.Sprint("service", n), causes.Upstream, causes.Healthy)
	}
	if took := time.Since(started) / services; took > 2*time.Millisecond {
		t.Errorf("%v a verdict; want microseconds", took)
	}
	l.mu.Lock()
	weight := l.weight
	l.mu.Unlock()
	if weight > weightLimit {
		t.Errorf("%d results wait, want at most %d", weight, weightLimit)
	}
	eventually(t, func() error {
		_, total, err := l.Incidents(t.Context(), incident.Filter{})
		if err != nil || total != services {
			return fmt.Errorf("%d incidents, %v; want %d, none lost", total, err, services)
		}
		return nil
	})
}

func TestCompact(t *testing.T) {
	var minutes []rollup.Minute
	for n := range 100 {
		m := rollup.Minute{At: time.Unix(int64(60*n), 0)}
		for p := range 1000 {
			var u rollup.Rollup
			u.Add(probe.OK, 0.01)
			m.Parts = append(m.Parts, rollup.Part{Key: ledger.Key{Probe: fmt.Sprint(p)}, Rollup: u})
		}
		minutes = compact(append(minutes, m))
	}
	var count uint64
	parts := 0
	for _, m := range minutes {
		for _, p := range m.Parts {
			count += p.Count
		}
		parts += len(m.Parts)
	}
	if count != 100_000 || parts > partLimit {
		t.Errorf("%d attempts in %d roll-ups; want all 100000 in at most %d", count, parts, partLimit)
	}
}

func TestClockIsSteady(t *testing.T) {
	started := time.Now()
	rec := &Recorder{started: started}
	if rec.clockIsSteady(started.Add(time.Minute)) {
		t.Error("a daemon that has just started deletes history")
	}
	if !rec.clockIsSteady(started.Add(2 * time.Hour)) {
		t.Error("after two hours nothing is deleted")
	}
	rec.started = started.Add(2 * time.Hour) // the start is in the future, because the clock was set back
	if rec.clockIsSteady(started.Add(3 * time.Hour).Round(0).Add(-10 * time.Hour)) {
		t.Error("a clock that was set is trusted")
	}
}

// Measurements can be read at once, written or not, with a store or without.
func TestSeriesIsKnownBeforeItIsWritten(t *testing.T) {
	for _, test := range []struct {
		name   string
		broken bool
	}{{"with a store", false}, {"without", true}} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			if test.broken {
				dir = filepath.Join(dir, "file")
				if err := os.WriteFile(dir, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			l := New(Options{Dir: dir, Log: slog.New(slog.DiscardHandler)}) // it does not run: nothing is written
			defer l.close()
			r := probe.Result{Spec: probe.Spec{Service: "codex", Name: "head", Kind: probe.KindHTTP}, Start: time.Now(), Class: probe.OK, Elapsed: .1}
			l.Attempted(r, time.Second)
			keys, err := l.Keys(t.Context(), "codex")
			if err != nil || len(keys) != 1 {
				t.Fatalf("keys %v, %v; want one", keys, err)
			}
			read := func() uint64 {
				c := rollup.NewCurves(keys, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), time.Hour)
				if err := l.Series(t.Context(), c); err != nil {
					t.Error(err)
				}
				var all uint64
				for _, p := range c.Points(keys[0]) {
					all += p.Count
				}
				return all
			}
			if got := read(); got != 1 {
				t.Errorf("%d attempts, want the one", got)
			}
			l.endMinute(time.Now())
			l.Attempted(r, time.Second)
			if got := read(); got != 2 {
				t.Errorf("%d attempts after the minute's end, want both", got)
			}
			if fault := l.Fault(); (fault != "") != test.broken {
				t.Errorf("fault %q", fault)
			}
		})
	}
}
