package push

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// losses records what a spool reports lost.
type losses []string

func (l *losses) lost(samples int, why string) { *l = append(*l, fmt.Sprint(samples, ": ", why)) }

func (l *losses) damaged(samples int, file string, why error) {
	*l = append(*l, fmt.Sprint(samples, ": damaged ", filepath.Base(file), ": ", why))
}

func opened(t *testing.T, dir string, limit int64, l *losses) *spool {
	t.Helper()
	s := newSpool(dir, limit, l.lost, l.damaged)
	if err := s.open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

func bodies(t *testing.T, s *spool, entries []entry) []string {
	t.Helper()
	var all []string
	for _, e := range entries {
		body, err := s.read(e)
		if err != nil {
			t.Error(err)
		}
		all = append(all, fmt.Sprint(e.at, " ", string(body)))
	}
	return all
}

// The next daemon finds every entry, in order, after a kill: nothing is written at shutdown.
func TestQueueSurvivesAKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "push", "central")
	var l losses
	s := opened(t, dir, 1<<20, &l)
	for i := range 12 { // more than nine: names must sort as numbers do
		s.put(time.UnixMilli(int64(1000-i)), 5, fmt.Append(nil, "body", i)) // a clock may step back
	}
	s.done(s.oldest(10)[1]) // two of them
	if err := os.WriteFile(filepath.Join(dir, "0000000000000063-9-9"+unfinished), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.close()

	s = opened(t, dir, 1<<20, &l)
	want := []string{"998 body2", "997 body3", "996 body4"}
	if diff := cmp.Diff(want, bodies(t, s, s.oldest(17))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s.put(time.UnixMilli(2000), 1, []byte("new"))
	if got := bodies(t, s, s.oldest(1000)); len(got) != 11 || got[10] != "2000 new" {
		t.Errorf("what is put after a restart is not the last: %q", got)
	}
	if files, _ := filepath.Glob(dir + "/*" + unfinished); len(files) > 0 {
		t.Errorf("left over: %q", files)
	}
	if len(l) > 0 {
		t.Errorf("lost %q", l)
	}
}

func TestFullQueueDropsTheOldest(t *testing.T) {
	dir := t.TempDir()
	var l losses
	const size = int64(30 + sealLength)
	s := opened(t, dir, 3*size+10, &l)
	for i := range 5 {
		s.put(time.UnixMilli(int64(i)), 10+i, []byte(strings.Repeat("x", 30)))
	}
	if diff := cmp.Diff(losses{"10: the queue is full", "11: the queue is full"}, l); diff != "" {
		t.Errorf("losses (-want +got):\n%s", diff)
	}
	if got := s.oldest(1000); len(got) != 3 || got[0].at != 2 || s.bytes() != 3*size {
		t.Errorf("left are %+v, %d bytes", got, s.bytes())
	}
	if files, _ := os.ReadDir(dir); len(files) != 3 {
		t.Errorf("%d files for three entries", len(files))
	}
	s.close()
	l = nil
	s = opened(t, dir, size+10, &l) // a smaller queue is wanted after a restart
	if len(l) != 1 || l[0] != "25: the queue is full" || len(s.oldest(1000)) != 1 {
		t.Errorf("lost %q, left %d", l, len(s.oldest(1000)))
	}
}

// done must not remove other entries when those it names were dropped while they were sent.
func TestDoneAfterDropped(t *testing.T) {
	var l losses
	const size = int64(30 + sealLength)
	s := opened(t, t.TempDir(), 3*size+10, &l)
	for i := range 3 {
		s.put(time.UnixMilli(int64(i)), 1, []byte(strings.Repeat("x", 30)))
	}
	sending := s.oldest(2)
	for i := range 3 {
		s.put(time.UnixMilli(int64(10+i)), 1, []byte(strings.Repeat("y", 30)))
	}
	s.done(sending[1])
	if got := s.oldest(10); len(got) != 3 || got[0].at != 10 || s.bytes() != 3*size {
		t.Errorf("left are %+v, %d bytes", got, s.bytes())
	}
}

// Without a writable directory the queue is in memory.
func TestQueueInMemory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var l losses
	s := newSpool(filepath.Join(file, "central"), 1<<30, l.lost, l.damaged)
	if s.open() == nil {
		t.Fatal("a directory was made in a file")
	}
	large := strings.Repeat("x", memoryLimit/2)
	s.put(time.UnixMilli(1), 7, []byte("first"))
	s.put(time.UnixMilli(2), 1, []byte(large))
	if got := bodies(t, s, s.oldest(7)); len(got) != 1 || got[0] != "1 first" {
		t.Errorf("got %q", got)
	}
	s.put(time.UnixMilli(3), 1, []byte(large))
	if diff := cmp.Diff(losses{"7: the queue cannot be kept on disk"}, l); diff != "" {
		t.Errorf("losses (-want +got):\n%s", diff)
	}
}

func TestQueueIsLocked(t *testing.T) {
	dir := t.TempDir()
	var l losses
	opened(t, dir, 100, &l)
	second := newSpool(dir, 100, l.lost, l.damaged)
	if err := second.open(); err == nil || !strings.Contains(err.Error(), "in use by another daemon") {
		t.Errorf("got %v", err)
	}
}
