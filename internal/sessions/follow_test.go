package sessions

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A follow is a Follower of one home, scanned by hand.
type follow struct {
	testing.TB
	*Follower
	dir  string
	mu   sync.Mutex
	seen []string
}

func newFollow(t testing.TB, agent string) *follow {
	t.Helper()
	f := &follow{TB: t, dir: t.TempDir()}
	f.Follower = &Follower{
		Homes: func() []Home { return []Home{{agent, f.dir}} },
		Handle: func(h Home, e Event) {
			f.mu.Lock()
			defer f.mu.Unlock()
			if h != (Home{agent, f.dir}) || e.At.IsZero() {
				f.Errorf("an event of %v at %v", h, e.At)
			}
			f.seen = append(f.seen, describe(e))
		},
		started: time.Now().Add(-time.Second), files: make(map[string]*file), hot: make(map[string]*directory),
	}
	return f
}

// write appends text to a file below the home.
func (f *follow) write(name, text string) string {
	f.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.Fatal(err)
	}
	opened, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		f.Fatal(err)
	}
	defer opened.Close()
	if _, err := opened.WriteString(text); err != nil {
		f.Fatal(err)
	}
	return path
}

// expect compares the events since the last call, after a scan.
func (f *follow) expect(want ...string) {
	f.Helper()
	f.scan(time.Now())
	if !slices.Equal(f.seen, want) {
		f.Errorf("got %q, want %q", f.seen, want)
	}
	f.seen = nil
}

// session is where codex writes the session of a day.
const session = "sessions/2026/11/27/rollout-2026-11-27T16-42-13-0.jsonl"

// failed is the line of a turn that failed now.
func failed(code string) string {
	return fmt.Sprintf(`{"timestamp":%q,"type":"event_msg","payload":{"type":"task_complete","error":{"message":"x","codex_error_info":%q}}}`+"\n",
		time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), code)
}

const (
	limited    = "turn exec.usage_limit"
	overloaded = "turn exec.overloaded"
)

func TestOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	f := newFollow(t, "codex")
	old := strings.Replace(failed("unauthorized"), time.Now().UTC().Format("2006"), "2020", 1)
	path := f.write(session, old+"{}\n")
	f.sweep(time.Now())
	f.expect()
	line := failed("usage_limit_exceeded")
	f.write(session, line[:40])
	f.expect() // half a line
	f.write(session, line[40:]+line)
	f.expect(limited, limited)
	f.expect()
	f.write(session, old) // by a clock that was set, but written now
	f.expect("turn exec.unauthorized")

	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	f.expect()
	f.write(session, old+failed("server_overloaded"))
	f.expect("turn exec.unauthorized", overloaded)

	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	f.write(session, old+line)
	f.expect(limited) // what a new file has is history, as far as it is old
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	f.expect()
	f.write(session, line)
	f.sweep(time.Now())
	f.expect(limited)
}

func TestNewFilesAndDirectories(t *testing.T) {
	t.Parallel()
	f := newFollow(t, "codex")
	f.write("sessions/2025/01/01/rollout-a.jsonl", "{}\n")
	f.sweep(time.Now())
	f.expect()
	for _, name := range []string{"2025/01/01/rollout-b.jsonl", "2025/01/02/rollout-a.jsonl", "2026/01/02/rollout-a.jsonl"} {
		f.write("sessions/"+name, failed("usage_limit_exceeded"))
		f.expect(limited) // without another sweep
	}
	for _, name := range []string{"history.jsonl", "sessions/history.jsonl", "sessions/2026/01/02/other.jsonl",
		"sessions/2026/x/02/rollout-a.jsonl", "archived/2026/01/02/rollout-a.jsonl"} {
		f.write(name, failed("usage_limit_exceeded"))
	}
	f.sweep(time.Now())
	f.expect()
}

// The first session of a user is found at once, too.
func TestTheFirstSession(t *testing.T) {
	t.Parallel()
	f := newFollow(t, "codex")
	f.sweep(time.Now())
	f.expect()
	f.write(session, failed("usage_limit_exceeded"))
	f.expect(limited)
}

func TestOtherAgents(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	f := newFollow(t, "claude")
	f.write("projects/-home-me/one.jsonl", fmt.Sprintf(
		`{"type":"system","subtype":"api_error","error":{"status":529},"retryAttempt":3,"timestamp":%q}`+"\n", now))
	f.sweep(time.Now())
	f.expect("retry exec.overloaded 3")

	f = newFollow(t, "opencode")
	f.write("log/opencode.log", "timestamp="+now+` level=ERROR run=1 message="stream error" a=b error.error="AI_APICallError: Cannot connect to API: x"`+"\n")
	f.sweep(time.Now())
	f.expect("retry exec.network")

	f = newFollow(t, "codex")
	f.write("log/codex-tui.log", now+"  INFO session_loop{thread_id=0}: codex_core::codex: Turn error: Quota exceeded. Check your plan\n")
	f.sweep(time.Now())
	f.expect(limited)
}

// TestHostileFiles has what nobody may make the daemon read, wait for, or hold in memory.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	f := newFollow(t, "codex")
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(failed("usage_limit_exceeded")), 0o600); err != nil {
		t.Fatal(err)
	}
	path := f.write(session, "{}\n")
	day := filepath.Dir(path)
	for _, err := range []error{
		os.Symlink(secret, filepath.Join(day, "rollout-link.jsonl")),
		os.Symlink("/", filepath.Join(f.dir, "sessions/2027")),
		os.Symlink(filepath.Dir(secret), filepath.Join(f.dir, "sessions/2026/11/28")),
		os.Rename(secret, filepath.Join(filepath.Dir(secret), "rollout-secret.jsonl")),
		syscall.Mkfifo(filepath.Join(day, "rollout-pipe.jsonl"), 0o600),
		os.Mkdir(filepath.Join(day, "rollout-directory.jsonl"), 0o700),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	f.sweep(time.Now())
	f.expect()

	long := strings.Repeat("x", 3*lineLimit)
	f.write(session, long)
	f.expect()
	f.write(session, long+failed("usage_limit_exceeded")) // the end of the long line
	f.expect()
	f.write(session, failed("usage_limit_exceeded"))
	f.expect(limited)
	f.write(session, strings.Repeat(failed("other"), readLimit/100)+failed("server_overloaded")) // more than a scan reads
	f.scan(time.Now())
	if got := f.seen[len(f.seen)-1]; got != overloaded || len(f.seen) > tailLength/100 {
		t.Errorf("%d events, the last is %q", len(f.seen), got)
	}
	f.seen = nil

	// Replaced by a link after it was found.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(filepath.Dir(secret), "rollout-secret.jsonl"), path); err != nil {
		t.Fatal(err)
	}
	f.expect()
	f.sweep(time.Now())
	f.expect()
}

// TestDirectoriesThatAreLinks: a directory of an agent that is a link to / leads nowhere, at every level.
func TestDirectoriesThatAreLinks(t *testing.T) {
	t.Parallel()
	for agent, level := range map[string]string{"claude": "projects", "codex": "sessions", "opencode": "log"} {
		for _, link := range []string{level, level + "/2026"} {
			f := newFollow(t, agent)
			path := filepath.Join(f.dir, link)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("/", path); err != nil {
				t.Fatal(err)
			}
			f.sweep(time.Now())
			f.expect()
			if len(f.files) > 0 {
				t.Errorf("%s: %s is a link to /, and %d files are followed", agent, link, len(f.files))
			}
			for dir := range f.hot {
				real, err := filepath.EvalSymlinks(dir)
				if errors.Is(err, fs.ErrNotExist) { // it is waited for
					continue
				}
				if err != nil || !strings.HasPrefix(real, f.dir) {
					t.Errorf("%s: %s is followed to %s, %v", agent, dir, real, err)
				}
			}
		}
	}
}

// TestALargeFile has a hundred megabytes of history in a file with a hole, and its policy in its first line.
func TestALargeFile(t *testing.T) {
	t.Parallel()
	f := newFollow(t, "codex")
	path := f.write(session, metaExec104)
	if err := os.Truncate(path, 100<<20); err != nil {
		t.Fatal(err)
	}
	f.write(session, "\n"+failed("usage_limit_exceeded"))
	f.sweep(time.Now())
	f.expect(limited)
	f.write(session, event(`{"type":"task_complete","last_agent_message":null}`))
	f.expect("turn unknown") // 0.104 writes no reason: its version is known
}

func TestPermissionsThatComeBack(t *testing.T) {
	t.Parallel()
	f := newFollow(t, "codex")
	path := f.write(session, "{}\n")
	f.sweep(time.Now())
	f.expect()
	// A link in its place cannot be opened, by root neither.
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path+".away", path); err != nil {
		t.Fatal(err)
	}
	f.write("sessions/2026/11/27/"+filepath.Base(path)+".away", failed("usage_limit_exceeded"))
	f.expect()
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	f.expect(limited)
}

func TestOtherUsersHomes(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		if isOwnDirectory("/") {
			t.Error("/ is not ours")
		}
		return
	}
	dir := t.TempDir()
	if !isOwnDirectory(dir) {
		t.Error("our own directory is not followed")
	}
	if err := os.Chown(dir, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if isOwnDirectory(dir) {
		t.Error("the directory of another user is followed")
	}
}

// TestManySessions bounds what is followed at once: the latest.
func TestManySessions(t *testing.T) {
	t.Parallel()
	f := newFollow(t, "claude")
	for n := range 3 * fileLimit {
		path := f.write(fmt.Sprintf("projects/p%d/%d.jsonl", n%40, n), "{}\n")
		at := time.Now().Add(-time.Duration(n) * time.Minute)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	f.sweep(time.Now())
	if len(f.files) != fileLimit || len(f.hot) > hotLimit {
		t.Errorf("%d files and %d directories are followed, want %d and at most %d", len(f.files), len(f.hot), fileLimit, hotLimit)
	}
	if f.files[filepath.Join(f.dir, "projects/p0/0.jsonl")] == nil {
		t.Error("the latest one is not followed")
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	f := newFollow(t, "codex")
	f.write(session, "{}\n")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { f.Follower.Run(ctx); close(ended) }()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		f.write(session, failed("usage_limit_exceeded"))
		f.mu.Lock()
		n := len(f.seen)
		f.mu.Unlock()
		if n > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no event within a minute")
		}
	}
	cancel()
	<-ended
}

// BenchmarkFollow is one scan, as it is made each second, of ten open sessions: nothing is written, and each writes a
// line. docs/performance.md has the results.
func BenchmarkFollow(b *testing.B) {
	text, err := os.ReadFile("testdata/codex/0.171.0/exec-shell-denied.jsonl")
	if err != nil {
		b.Fatal(err)
	}
	lines := slices.Collect(bytes.Lines(text))[1:]
	for _, writes := range []bool{false, true} {
		b.Run(map[bool]string{false: "idle", true: "busy"}[writes], func(b *testing.B) {
			f := newFollow(b, "codex")
			var names []string
			for n := range 10 {
				names = append(names, fmt.Sprintf("sessions/2026/11/27/rollout-%d.jsonl", n))
				day := filepath.Dir(f.write(names[n], "{}\n"))
				settled := time.Now().Add(-time.Minute)
				if err := os.Chtimes(day, settled, settled); err != nil {
					b.Fatal(err)
				}
			}
			f.sweep(time.Now())
			f.scan(time.Now())
			b.ReportAllocs()
			var used time.Duration // CPU time, which other work on the machine does not change
			for n := 0; b.Loop(); n++ {
				if writes {
					b.StopTimer()
					for _, name := range names {
						f.write(name, string(lines[n%len(lines)]))
					}
					b.StartTimer()
				}
				before := cpuTime(b)
				f.scan(time.Now())
				used += cpuTime(b) - before
			}
			b.ReportMetric(float64(used)/float64(b.N), "cpu-ns/op")
		})
	}
}

// cpuTime is the CPU time of this process.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
