package push

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// A spool is a queue of which every entry is a file, like a mail queue: a name that appears at once and whole, and is gone when
// the entry is done with. Nothing else need be remembered to find it again after a kill. Entries are not synced to the disk,
// which would keep a laptop's awake: a power cut may cost those of the last seconds.
type spool struct {
	dir   string
	limit int64 // in bytes
	lost  func(samples int, why string)

	mu      sync.Mutex
	entries []entry // oldest first
	size    int64
	next    uint64
	lock    *os.File // of the directory; nil: the queue is in memory
	changed chan struct{}
}

// An entry is what was collected at one moment, or a part of it.
type entry struct {
	sequence uint64
	at       int64 // in milliseconds since 1970
	samples  int
	size     int64
	body     []byte // set if it is in memory only
}

// name is all that must be known of an entry without reading it.
const name = "%016x-%d-%d" // sequence, time, samples

func newSpool(dir string, limit int64, lost func(int, string)) *spool {
	return &spool{dir: dir, limit: limit, lost: lost, changed: make(chan struct{}, 1)}
}

// open finds what the daemon before left. Without a directory to write to, the queue is in memory.
func (s *spool) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	dir, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.Join(fmt.Errorf("%s is another daemon's: %w", s.dir, err), dir.Close())
	}
	files, err := dir.ReadDir(-1)
	if err != nil {
		return errors.Join(err, dir.Close())
	}
	s.lock = dir
	for _, f := range files {
		s.find(f)
	}
	slices.SortFunc(s.entries, func(a, b entry) int { return cmp.Compare(a.sequence, b.sequence) })
	if n := len(s.entries); n > 0 {
		s.next = s.entries[n-1].sequence + 1
	}
	s.bound()
	s.wake()
	return nil
}

// find takes up a file of the queue, and removes one that was not finished.
func (s *spool) find(f fs.DirEntry) {
	var e entry
	if n, err := fmt.Sscanf(f.Name(), name, &e.sequence, &e.at, &e.samples); err != nil || n != 3 || e.name() != f.Name() {
		if filepath.Ext(f.Name()) == unfinished {
			_ = os.Remove(filepath.Join(s.dir, f.Name())) // if it stays, it is in nobody's way
		}
		return
	}
	if info, err := f.Info(); err == nil {
		e.size = info.Size()
		s.entries, s.size = append(s.entries, e), s.size+e.size
	}
}

func (e *entry) name() string { return fmt.Sprintf(name, e.sequence, e.at, e.samples) }

// unfinished ends the names of files that are being written.
const unfinished = ".new"

func (s *spool) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock != nil {
		_ = s.lock.Close() // nothing was written through it
	}
}

// put appends an entry. The oldest ones make room for it.
func (s *spool) put(at time.Time, samples int, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := entry{sequence: s.next, at: at.UnixMilli(), samples: samples, size: int64(len(body))}
	s.next++
	if s.write(e, body) != nil {
		e.body = body // a full disk is no reason to be silent: as long as the receiver takes it, it need not be kept
	}
	s.entries, s.size = append(s.entries, e), s.size+e.size
	s.bound()
	s.wake()
}

var errInMemory = errors.New("the queue is in memory")

func (s *spool) write(e entry, body []byte) error {
	if s.lock == nil {
		return errInMemory
	}
	path := filepath.Join(s.dir, e.name())
	err := os.WriteFile(path+unfinished, body, 0o600)
	if err == nil {
		err = os.Rename(path+unfinished, path)
	}
	if err != nil {
		_ = os.Remove(path + unfinished)
	}
	return err
}

// memoryLimit bounds what is kept in memory when it cannot be kept on disk: with the usual metrics, a few hours.
const memoryLimit = 4 << 20

// bound drops the oldest entries until the rest is within the limits.
func (s *spool) bound() {
	var inMemory int64
	for _, e := range s.entries {
		inMemory += int64(len(e.body))
	}
	lost := make(map[string]int)
	for len(s.entries) > 0 && (s.size > s.limit || inMemory > memoryLimit) {
		why := "the queue is full"
		if s.size <= s.limit {
			why = "the queue cannot be kept on disk"
		}
		lost[why] += s.entries[0].samples
		inMemory -= int64(len(s.entries[0].body))
		s.drop(1)
	}
	for why, samples := range lost {
		s.lost(samples, why)
	}
}

// drop removes the n oldest entries.
func (s *spool) drop(n int) {
	for _, e := range s.entries[:n] {
		s.size -= e.size
		if e.body == nil {
			_ = os.Remove(filepath.Join(s.dir, e.name())) // if it stays, it is sent again after the next start
		}
	}
	s.entries = slices.Delete(s.entries, 0, n)
}

// wake wakes whoever waits for the queue to change.
func (s *spool) wake() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// oldest are the entries that are due, up to so many samples, but one at least. It is empty if the queue is.
func (s *spool) oldest(samples int) []entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for n < len(s.entries) && (n == 0 || samples >= s.entries[n].samples) {
		samples -= s.entries[n].samples
		n++
	}
	return slices.Clone(s.entries[:n])
}

// read returns what was put. Whoever cannot make sense of it calls done with it all the same.
func (s *spool) read(e entry) ([]byte, error) {
	if e.body != nil {
		return e.body, nil
	}
	return os.ReadFile(filepath.Join(s.dir, e.name()))
}

// done removes the entries up to and with e. Some of them may have been dropped meanwhile.
func (s *spool) done(e entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for n < len(s.entries) && s.entries[n].sequence <= e.sequence {
		n++
	}
	s.drop(n)
}

func (s *spool) bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size
}
