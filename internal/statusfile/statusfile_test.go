package statusfile

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
	"netwatchd/internal/statusfile/content"
	"netwatchd/internal/watch"
)

func statusOf(services int) *watch.Status {
	s := &watch.Status{At: time.Now().Round(0).UTC(), Version: "1.4.0", Sandboxed: watch.Sandboxed{Signals: []string{}}}
	for range services {
		s.Services = append(s.Services, watch.ServiceStatus{
			Verdict: diagnose.Verdict{
				Service: "codex", Cause: causes.Upstream, Severity: causes.Page, Title: "the service is down", Advice: "wait",
				Also: []diagnose.Finding{}, Blocked: []string{}, Missing: []string{"sandbox"},
				Evidence: []probe.Result{{Class: probe.TCPRefused, Why: strings.Repeat("refused ", 20)}},
			},
			Since: time.Now().Round(0).UTC(), Delay: 1.2,
		})
	}
	return s
}

func TestWriteThenRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status.json")
	want := statusOf(3)
	defer syscall.Umask(syscall.Umask(0o077))
	if err := Write(path, want); err != nil {
		t.Fatal(err)
	}
	got, age, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if age < 0 || age > time.Minute {
		t.Errorf("got an age of %v", age)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o644 {
		t.Errorf("got mode %v, want 0644 whatever the umask", info.Mode().Perm())
	}
	onlyFile(t, path)
}

func onlyFile(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != filepath.Base(path) {
			t.Errorf("left behind: %s", e.Name())
		}
	}
}

func TestReadersSeeWholeFilesOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status.json")
	if err := Write(path, statusOf(1)); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	sizes := make(chan int, 4)
	var waiting atomic.Int32 // readers that have not seen both versions yet
	waiting.Store(int32(cap(sizes)))
	for range cap(sizes) {
		readers.Go(func() {
			var served sync.Once
			seen := map[int]bool{}
			for {
				select {
				case <-done:
					sizes <- len(seen)
					return
				default:
				}
				s, _, err := Read(path)
				if err != nil {
					t.Errorf("a reader saw: %v", err)
					<-done
					sizes <- 0
					return
				}
				if seen[len(s.Services)] = true; len(seen) == 2 {
					served.Do(func() { waiting.Add(-1) })
				}
			}
		})
	}
	deadline := time.Now().Add(10 * time.Second)                                    // enough for a busy machine
	for i := 0; i < 100 || waiting.Load() > 0 && time.Now().Before(deadline); i++ { // each write may be caught half-done
		if err := Write(path, statusOf(1+i%2*10)); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	readers.Wait()
	close(sizes)
	for n := range sizes {
		if n != 2 {
			t.Errorf("a reader saw %d versions, want both: the test proves nothing", n)
		}
	}
}

func TestWriteReplacesLeftover(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status.json")
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, path+".new"); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, statusOf(1)); err != nil {
		t.Fatal(err)
	}
	onlyFile(t, path)
	if got, _ := os.ReadFile(victim); string(got) != "precious" {
		t.Errorf("wrote through a link: got %q", got)
	}
}

func TestWriteErrorHint(t *testing.T) {
	err := Write("/proc/no-directory-can-be-made-here/status.json", statusOf(1))
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "set status_file to another path") {
		t.Errorf("got %v", err)
	}
}

func TestWriteMakesTheDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run", "netwatchd")
	if err := Write(filepath.Join(dir, "status.json"), statusOf(1)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v: want a directory that everyone can enter", info, err)
	}
}

// asNobody runs f as another user, on a thread that ends with it.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: to become another user")
	}
	var done sync.WaitGroup
	done.Go(func() {
		runtime.LockOSThread() // never unlocked: no other goroutine may run on this thread
		const nobody = 65534
		if err := unix.Setfsuid(nobody); err != nil {
			t.Error(err)
			return
		}
		f()
	})
	done.Wait()
}

func TestEveryoneReadsNobodyWrites(t *testing.T) {
	dir := t.TempDir()
	for d := dir; d != filepath.Clean(os.TempDir()); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "status.json")
	if err := Write(path, statusOf(1)); err != nil {
		t.Fatal(err)
	}
	asNobody(t, func() {
		if _, _, err := Read(path); err != nil {
			t.Errorf("reading as nobody: %v", err)
		}
		err := Write(path, statusOf(2))
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "give the daemon's user write permission") {
			t.Errorf("writing as nobody: got %v", err)
		}
	})
}

func TestFullDiskKeepsOldStatus(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: a small tmpfs")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("needs CAP_SYS_ADMIN: a small tmpfs: %v", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	path := filepath.Join(dir, "status.json")
	if err := Write(path, statusOf(2)); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, statusOf(500)); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("got %v, want %v", err, syscall.ENOSPC)
	}
	onlyFile(t, path)
	s, _, err := Read(path)
	if err != nil || len(s.Services) != 2 {
		t.Errorf("got %v, %v; want the old status", s, err)
	}
}

func TestReadErrors(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	huge := write("huge", "")
	if err := os.Truncate(huge, content.SizeLimit+1); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ path, want string }{
		{filepath.Join(dir, "absent"), "no such file"},
		{write("half", `{"at":"2026-02-20T02:22:45Z","serv`), "another version of netwatchd"},
		{write("strange", `{"services":[{"cause":"gremlins"}]}`), `unknown cause "gremlins"`},
		{write("empty", `{}`), "the time is missing"},
		{dir, "not a regular file"},
		{fifo, "not a regular file"},
		{huge, "larger than 32 MB"},
	} {
		_, _, err := Read(test.path)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q in it", filepath.Base(test.path), err, test.want)
		}
	}
}

func TestFileFromTheFuture(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status.json")
	s := statusOf(1)
	s.At = time.Now().Add(content.FutureLimit / 2) // a small step of the clock
	if err := Write(path, s); err != nil {
		t.Fatal(err)
	}
	if _, age, err := Read(path); err != nil || age != 0 {
		t.Errorf("got %v, %v; want age zero", age, err)
	}
	s.At = time.Now().Add(time.Hour)
	if err := Write(path, s); err != nil {
		t.Fatal(err)
	}
	if _, age, err := Read(path); err == nil || !strings.Contains(err.Error(), "in the future") {
		t.Errorf("an hour ahead: got an age of %v, %v; want an error", age, err)
	}
}

// A file that another user planted is refused. That of a daemon with a user and a directory of its own is read.
func TestOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: giving files to other users")
	}
	const daemon, planter = 4201, 4202
	for _, test := range []struct {
		name      string
		dir, file int
		mode      os.FileMode
		refused   bool
	}{
		{"the daemon's", daemon, daemon, 0o755, false},
		{"root's", daemon, 0, 0o755, false},
		{"planted in /tmp", 0, planter, 0o777 | os.ModeSticky, true},
		{"planted in a directory that a group can write to", daemon, planter, 0o775, true},
		{"planted in the planter's own /tmp", planter, planter, 0o777, true},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "status.json")
		err := errors.Join(Write(path, statusOf(1)), os.Chown(path, test.file, -1), os.Chown(dir, test.dir, -1),
			os.Chmod(dir, test.mode))
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = Read(path)
		if refused := err != nil && strings.Contains(err.Error(), "belongs to user 4202"); refused != test.refused ||
			err != nil && !refused {
			t.Errorf("%s: %v, want refused %v", test.name, err, test.refused)
		}
	}
}

type source struct{ calls atomic.Int32 }

func (s *source) Status(ctx context.Context) (*watch.Status, error) {
	s.calls.Add(1)
	return statusOf(1), ctx.Err()
}

func TestWriterInterval(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status.json")
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		src := &source{}
		w := NewWriter(path, src, slog.New(slog.NewTextHandler(&log, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { w.Run(ctx) })

		time.Sleep(time.Minute + time.Second)
		if got, want := src.calls.Swap(0), int32(1+4); got != want {
			t.Errorf("a quiet minute: got %d writes, want %d", got, want)
		}
		for range 1000 {
			w.Judged(watch.ServiceStatus{}, causes.Healthy)
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		if got := src.calls.Load(); got < 3 || got > 5 {
			t.Errorf("a busy second: got %d writes, want about 4", got)
		}
		if _, _, err := Read(path); err != nil {
			t.Error(err)
		}
		cancel()
		running.Wait()
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after the stop: got %v, want no file", err)
		}
		if log.Len() > 0 {
			t.Errorf("got %s; want no log lines without errors", &log)
		}
	})
}

func TestWriterLogsChangesOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "taken")
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // a file where the directory should be
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		w := NewWriter(filepath.Join(dir, "status.json"), &source{}, slog.New(slog.NewTextHandler(&log, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { w.Run(ctx) })
		time.Sleep(5 * time.Minute)
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		cancel()
		running.Wait()
		if got := strings.Count(log.String(), "\n"); got != 2 || !strings.Contains(log.String(), "written again") {
			t.Errorf("got %d lines, want one for the failure and one for its end:\n%s", got, &log)
		}
	})
}

var _ watch.Observer = (*Writer)(nil)

func TestWriterWithoutPath(t *testing.T) {
	var log bytes.Buffer
	src := &source{}
	w := NewWriter("", src, slog.New(slog.NewTextHandler(&log, nil)))
	w.Judged(watch.ServiceStatus{}, causes.Healthy)
	w.Run(t.Context()) // returns at once
	if src.calls.Load() > 0 || log.Len() > 0 {
		t.Errorf("asked for the status %d times and logged %q, want neither", src.calls.Load(), &log)
	}
}

func TestLatest(t *testing.T) {
	dir := t.TempDir()
	old, young, broken, absent := filepath.Join(dir, "old"), filepath.Join(dir, "young"), filepath.Join(dir, "broken"), filepath.Join(dir, "absent")
	for path, age := range map[string]time.Duration{old: time.Hour, young: time.Minute} {
		if err := Write(path, &watch.Status{At: time.Now().Add(-age), Version: filepath.Base(path)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, paths := range [][]string{{young}, {old, young}, {young, old}, {absent, young, broken}} {
		s, age, err := Latest(paths...)
		if err != nil || s.Version != "young" || age < time.Minute || age > 2*time.Minute {
			t.Errorf("%v: got %v, %v, %v; want the newest", paths, s, age, err)
		}
	}
	if _, _, err := Latest(absent, absent); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want ErrNotExist", err)
	}
	if _, _, err := Latest(absent, broken, absent); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want the error of the broken file", err)
	}
}
