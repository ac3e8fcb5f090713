package sessions

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"netwatchd/internal/userfile"
)

const (
	// scanEvery is how soon a new line is seen: a verdict is promised within two seconds. Files are polled, because
	// inotify sees nothing on drvfs and 9p (Windows' drives in WSL) and because a stat of each costs a microsecond.
	scanEvery = time.Second

	// slowScan bounds how rarely files are looked at where each stat takes a millisecond (drvfs). See costShare.
	slowScan = 5 * time.Second

	// costShare keeps scans under a thousandth of the time.
	costShare = 1000

	// sweepEvery is how soon a file is found that is in no directory of the last days: a session of last week that is
	// resumed.
	sweepEvery = 30 * time.Second

	// recent is how long after its last line a session is followed closely: the user returns to it the next day.
	recent = 24 * time.Hour

	// fileLimit bounds how many sessions are followed at once, the latest ones first. People have up to ten open.
	fileLimit = 32

	// hotLimit bounds the directories in which new files are looked for at each scan, the latest ones first.
	hotLimit = 32

	// entryLimit bounds how many directory entries of a home one sweep reads, the newest ones first. A year of heavy use
	// has three thousand sessions of codex.
	entryLimit = 4096
)

// A Follower follows the session files of this user.
type Follower struct {
	// Homes returns the homes to follow. It is called at each sweep.
	Homes func() []Home
	// Handle is called for each event, in the goroutine of Run.
	Handle func(home Home, e Event)

	started time.Time
	files   map[string]*file      // by path
	hot     map[string]*directory // by path
	buffer  []byte
	entries int // directory entries that this sweep may still read
}

// A directory is one in which new files may appear.
type directory struct {
	home    Home
	tree    *tree
	level   int
	path    string
	changed time.Time // when it had changed, as it was listed last
	settled bool      // what changes from now on changes that time
}

// Run follows until ctx ends.
func (f *Follower) Run(ctx context.Context) {
	f.started = time.Now()
	f.files, f.hot = make(map[string]*file), make(map[string]*directory)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var swept time.Time
	var cost time.Duration // of a scan, without the time that other programs take on a busy host: the least of late
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		begun := time.Now()
		if begun.Sub(swept) >= sweepEvery {
			f.sweep(begun)
			swept = begun
		}
		f.scan(begun)
		took := time.Since(begun)
		if cost += cost / 4; cost == 0 || took < cost {
			cost = took
		}
		timer.Reset(min(max(scanEvery, costShare*cost), slowScan))
	}
}

// scan looks for new files, and reads what was appended to those that are known.
func (f *Follower) scan(now time.Time) {
	for _, d := range slices.Collect(maps.Values(f.hot)) {
		info, err := os.Lstat(d.path)
		if err == nil && d.settled && info.ModTime().Equal(d.changed) {
			continue
		}
		delete(f.hot, d.path)
		f.entries = entryLimit
		f.walk(d.home, d.tree, d.path, d.level, now, nil)
	}
	since := later(f.started, now.Add(-freshFor))
	for path, file := range f.files {
		info, err := os.Lstat(path)
		if err != nil {
			delete(f.files, path) // if it comes back, the next sweep finds it
			continue
		}
		if info.Size() == file.size && idOf(info) == file.id {
			continue
		}
		if f.buffer == nil {
			f.buffer = make([]byte, lineLimit)
		}
		file.changed = info.ModTime()
		// A file that cannot be read now is tried again: its permissions may come back.
		_ = file.read(f.buffer, now, since, func(e Event) { f.Handle(file.home, e) })
	}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// sweep looks for the files and directories that scans look at.
func (f *Follower) sweep(now time.Time) {
	clear(f.hot)
	found := make(map[string]bool)
	for _, home := range f.Homes() {
		if !isOwnDirectory(home.Dir) {
			continue
		}
		f.entries = entryLimit
		for i := range trees[home.Agent] {
			f.walk(home, &trees[home.Agent][i], home.Dir, 0, now, found)
		}
	}
	for path := range f.files {
		if !found[path] {
			delete(f.files, path)
		}
	}
	f.limit()
}

// isOwnDirectory reports whether dir may be followed: it belongs to this user, and its file system cannot hang.
func isOwnDirectory(dir string) bool {
	home, err := os.UserHomeDir()
	if err != nil || userfile.ReadMounts().MayHang(dir, home) {
		return false
	}
	info, err := os.Stat(dir)
	return err == nil && info.IsDir() && ownerOf(info) == os.Geteuid()
}

// walk looks at dir, a directory of a tree at that level, and below it. It adds to found, unless that is nil, the files
// that have changed recently.
func (f *Follower) walk(home Home, t *tree, dir string, level int, now time.Time, found map[string]bool) {
	info, err := os.Lstat(dir)
	if level == 0 {
		info, err = os.Stat(dir) // a home may be a link; below it a link may lead anywhere, also to /
	}
	if err != nil && level == 1 { // the agent makes it with its first session
		f.hot[dir] = &directory{home: home, tree: t, level: level, path: dir}
	}
	if err != nil || !info.IsDir() || f.entries <= 0 {
		return
	}
	if level > 0 && level < len(t.levels) || now.Sub(info.ModTime()) <= 2*recent {
		// Changes within a tick of the file system's clock, up to 2 s on FAT, leave the time as it is.
		settled := now.Sub(info.ModTime()) > 2*time.Second
		f.hot[dir] = &directory{home, t, level, dir, info.ModTime(), settled}
	}
	if level == 0 { // its files are no sessions, and it changes often
		delete(f.hot, dir)
		f.walk(home, t, filepath.Join(dir, t.levels[0]), 1, now, found)
		return
	}
	for _, name := range f.list(dir) {
		switch path := filepath.Join(dir, name); {
		case level < len(t.levels):
			if matches(t.levels[level], name) {
				f.walk(home, t, path, level+1, now, found)
			}
		case matches(t.files, name):
			f.find(home, t, path, now, found)
		}
	}
}

// list returns the names in a directory within the limit of the sweep, those with the latest dates first.
func (f *Follower) list(dir string) []string {
	opened, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer opened.Close()
	names, _ := opened.Readdirnames(max(f.entries, 1)) // what was read before an error is there
	f.entries -= len(names)
	slices.Sort(names)
	slices.Reverse(names)
	return names
}

// find adds a file that has changed recently.
func (f *Follower) find(home Home, t *tree, path string, now time.Time, found map[string]bool) {
	info, err := os.Lstat(path)
	if err != nil || isOurs(info) != nil || now.Sub(info.ModTime()) > recent {
		return
	}
	if found != nil {
		found[path] = true
	}
	switch {
	case f.files[path] != nil:
	case found != nil, len(f.files) < 2*fileLimit: // the next sweep drops the oldest
		f.files[path] = &file{path: path, kind: t, home: home, size: -1, changed: info.ModTime()}
	}
}

// limit drops the oldest files and directories over the limits.
func (f *Follower) limit() {
	keepLatest(f.hot, hotLimit, func(d *directory) time.Time { return d.changed })
	keepLatest(f.files, fileLimit, func(f *file) time.Time { return f.changed })
}

func keepLatest[T any](all map[string]T, limit int, changed func(T) time.Time) {
	if len(all) <= limit {
		return
	}
	paths := slices.SortedFunc(maps.Keys(all), func(a, b string) int { return changed(all[b]).Compare(changed(all[a])) })
	for _, path := range paths[limit:] {
		delete(all, path)
	}
}
