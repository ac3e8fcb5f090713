package sessions

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// followed are the files of each agent: where one is, a line that is an event, and what it shows.
var followed = map[string]struct {
	path string
	line func(at time.Time) string
	want string
}{
	"codex": {session, func(time.Time) string { return failed("usage_limit_exceeded") }, limited},
	"claude": {"projects/-home-me/one.jsonl", func(at time.Time) string {
		return fmt.Sprintf(`{"type":"system","subtype":"api_error","error":{"status":529},"retryAttempt":3,"timestamp":%q}`+"\n",
			at.UTC().Format(timeFormat))
	}, "retry exec.overloaded 3"},
	"opencode": {"log/opencode.log", func(at time.Time) string {
		return "timestamp=" + at.UTC().Format(timeFormat) + ` level=ERROR run=1 message="stream error" a=b ` +
			`error.error="AI_APICallError: Cannot connect to API: x"` + "\n"
	}, "retry exec.network"},
}

const timeFormat = "2006-01-02T15:04:05.000Z"

// TestEachAgentsFiles has the file of each agent written in pieces, truncated, rotated, removed, and replaced by a link.
func TestEachAgentsFiles(t *testing.T) {
	t.Parallel()
	for agent, test := range followed {
		t.Run(agent, func(t *testing.T) {
			t.Parallel()
			f := newFollow(t, agent)
			line := test.line(time.Now())
			path := f.write(test.path, "{}\n")
			f.sweep(time.Now())
			f.expect()
			f.write(test.path, line[:40])
			f.expect() // half a line
			f.write(test.path, line[40:]+line)
			f.expect(test.want, test.want)

			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
			f.expect()
			f.write(test.path, line)
			f.expect(test.want)

			if err := os.Rename(path, path+".1"); err != nil {
				t.Fatal(err)
			}
			f.write(test.path, line)
			f.expect(test.want)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			f.expect()
			f.write(test.path, line)
			f.sweep(time.Now())
			f.expect(test.want)

			secret := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(secret, []byte(line), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(secret, path); err != nil {
				t.Fatal(err)
			}
			f.expect()
			f.sweep(time.Now())
			f.expect()
		})
	}
}

// TestEventsHaveNoText writes text of a user into each part of a line that may have some. An event has closed codes and
// numbers only, so its description has none of the text.
func TestEventsHaveNoText(t *testing.T) {
	t.Parallel()
	const private = "hunter2"
	for agent, test := range followed {
		f := newFollow(t, agent)
		f.Handle = func(_ Home, e Event) {
			f.seen = append(f.seen, describe(e))
			if all := fmt.Sprintf("%+v", e); strings.Contains(all, private) {
				t.Errorf("%s: an event has text: %s", agent, all)
			}
		}
		line := strings.NewReplacer(`"message":"x"`, `"message":"`+private+`"`, `API: x"`, `API: `+private+`"`,
			`"status":529`, `"status":529,"message":"`+private+`"`).Replace(test.line(time.Now()))
		if !strings.Contains(line, private) {
			t.Fatalf("%s: no text in %s", agent, line)
		}
		f.write(test.path, line)
		f.sweep(time.Now())
		f.expect(test.want)
	}
}

// TestSeenWithinTwoSeconds: a verdict is promised within two seconds of a line.
func TestSeenWithinTwoSeconds(t *testing.T) {
	t.Parallel()
	for agent, test := range followed {
		t.Run(agent, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				f := &follow{TB: t, dir: dir}
				var mu sync.Mutex
				seen := 0
				f.Follower = &Follower{
					Homes: func() []Home { return []Home{{agent, dir}} },
					Handle: func(Home, Event) {
						mu.Lock()
						defer mu.Unlock()
						seen++
					},
				}
				f.write(test.path, "{}\n")
				ctx, cancel := context.WithCancel(t.Context())
				var running sync.WaitGroup
				running.Go(func() { f.Run(ctx) })
				for n := range 40 {
					time.Sleep(1700 * time.Millisecond) // at another point between two scans each time
					f.write(test.path, test.line(time.Now()))
					time.Sleep(2 * time.Second)
					synctest.Wait()
					mu.Lock()
					got := seen
					mu.Unlock()
					if got != n+1 {
						t.Fatalf("%d of %d lines are seen two seconds after the last", got, n+1)
					}
				}
				cancel()
				running.Wait()
			})
		})
	}
}

// TestMemoryOfTenSessions bounds what is held for ten open sessions of 4 MB each. It does not run in parallel: what
// other tests hold would count.
func TestMemoryOfTenSessions(t *testing.T) {
	f := newFollow(t, "codex")
	f.seen = make([]string, 0, 1000)
	filler := strings.Repeat(strings.Repeat("x", 999)+"\n", 4<<10)
	before := heap()
	for n := range 10 {
		name := fmt.Sprintf("sessions/2026/11/27/rollout-%d.jsonl", n)
		f.write(name, "{}\n")
		f.sweep(time.Now())
		f.scan(time.Now())
		f.write(name, filler+failed("usage_limit_exceeded"))
	}
	f.scan(time.Now())
	if len(f.seen) != 10 {
		t.Errorf("%d events, want one of each session", len(f.seen))
	}
	if held := heap() - before; held > 2<<20 {
		t.Errorf("%d bytes are held, want at most 2 MB", held)
	}
	runtime.KeepAlive(f)
	runtime.KeepAlive(filler)
}

// heap is how much of the heap is reachable.
func heap() int64 {
	runtime.GC()
	runtime.GC() // the first one only moves what pools hold
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
