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

// A spool is a queue with a file for each entry, like a mail queue: the file appears complete, by a rename, and is
// removed when the entry is done. The directory alone restores the queue after a kill. Entries are not synced to
// disk, because that would keep a laptop's disk awake: a power cut may lose those of the last seconds.
type spool struct {
	dir    string
	limit  int64 // in bytes
	onLoss func(samples int, why string)

	mu      sync.Mutex
	entries []entry // oldest first
	size    int64
	next    uint64
	lock    *os.File // on the directory; nil: the queue is in memory
	changed chan struct{}
}

// An entry is a snapshot or a part of one.
type entry struct {
	sequence uint64
	at       int64 // in milliseconds since 1970
	samples  int
	size     int64
	body     []byte // set only if the entry is not on disk
}

// nameFormat is the file name of an entry. It holds all that must be known of it without reading it.
const nameFormat = "%016x-%d-%d" // sequence, time, samples

func newSpool(dir string, limit int64, onLoss func(int, string)) *spool {
	return &spool{dir: dir, limit: limit, onLoss: onLoss, changed: make(chan struct{}, 1)}
}

// open restores the queue that the previous daemon left. If it fails, the queue is kept in memory.
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
		return errors.Join(fmt.Errorf("%s is in use by another daemon: %w", s.dir, err), dir.Close())
	}
	files, err := dir.ReadDir(-1)
	if err != nil {
		return errors.Join(err, dir.Close())
	}
	s.lock = dir
	for _, f := range files {
		s.restore(f)
	}
	slices.SortFunc(s.entries, func(a, b entry) int { return cmp.Compare(a.sequence, b.sequence) })
	if n := len(s.entries); n > 0 {
		s.next = s.entries[n-1].sequence + 1
	}
	s.trim()
	s.notify()
	return nil
}

// restore adds a file of the queue, or removes a partly written one.
func (s *spool) restore(f fs.DirEntry) {
	var e entry
	if n, err := fmt.Sscanf(f.Name(), nameFormat, &e.sequence, &e.at, &e.samples); err != nil || n != 3 || e.name() != f.Name() {
		if filepath.Ext(f.Name()) == unfinished {
			_ = os.Remove(filepath.Join(s.dir, f.Name())) // if it stays, it does no harm
		}
		return
	}
	if info, err := f.Info(); err == nil {
		e.size = info.Size()
		s.entries, s.size = append(s.entries, e), s.size+e.size
	}
}

func (e *entry) name() string { return fmt.Sprintf(nameFormat, e.sequence, e.at, e.samples) }

// unfinished is the suffix of files that are being written.
const unfinished = ".new"

func (s *spool) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock != nil {
		_ = s.lock.Close() // nothing was written through it
	}
}

// put appends an entry, and drops the oldest ones if there is no room for it.
func (s *spool) put(at time.Time, samples int, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := entry{sequence: s.next, at: at.UnixMilli(), samples: samples, size: int64(len(body))}
	s.next++
	if s.write(e, body) != nil {
		e.body = body // the disk is full, but the receiver may still accept it
	}
	s.entries, s.size = append(s.entries, e), s.size+e.size
	s.trim()
	s.notify()
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

// memoryLimit bounds the queue when it cannot be kept on disk: a few hours of the default configuration.
const memoryLimit = 4 << 20

// trim drops the oldest entries until the rest is within the limits.
func (s *spool) trim() {
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
		s.onLoss(samples, why)
	}
}

// drop removes the n oldest entries.
func (s *spool) drop(n int) {
	for _, e := range s.entries[:n] {
		s.size -= e.size
		if e.body == nil {
			_ = os.Remove(filepath.Join(s.dir, e.name())) // if it stays, it is sent again after a restart
		}
	}
	s.entries = slices.Delete(s.entries, 0, n)
}

// notify wakes the goroutine that waits for the queue to change.
func (s *spool) notify() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// oldest returns the oldest entries, up to that many samples but at least one entry. It is empty if the queue is.
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

// read returns the body of an entry. A caller that cannot decode it must still call done.
func (s *spool) read(e entry) ([]byte, error) {
	if e.body != nil {
		return e.body, nil
	}
	return os.ReadFile(filepath.Join(s.dir, e.name()))
}

// done removes the entries up to and including e. Some of them may have been dropped in the meantime.
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
