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
	// onDamage is called for each entry that was set aside.
	onDamage func(samples int, file string, why error)

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
	unsealed bool   // written by an earlier version, without a checksum
}

// nameFormat is the file name of an entry, before its suffix. It holds all that must be known of the entry without
// reading it.
const nameFormat = "%016x-%d-%d" // sequence, time, samples

func newSpool(dir string, limit int64, onLoss func(int, string), onDamage func(int, string, error)) *spool {
	return &spool{dir: dir, limit: limit, onLoss: onLoss, onDamage: onDamage, changed: make(chan struct{}, 1)}
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

// restore adds a file of the queue, removes a partly written one, and sets aside what cannot be an entry.
func (s *spool) restore(f fs.DirEntry) {
	e, valid := parseName(f.Name())
	switch {
	case valid && f.Type().IsRegular():
		if info, err := f.Info(); err == nil {
			e.size = info.Size()
			s.entries, s.size = append(s.entries, e), s.size+e.size
		}
	case filepath.Ext(f.Name()) == unfinished:
		_ = os.Remove(filepath.Join(s.dir, f.Name())) // if it stays, it does no harm
	case ownName.MatchString(f.Name()):
		s.moveAside(0, f.Name(), errors.New("its name is not one of an entry"))
	}
}

func (e entry) name() string {
	name := fmt.Sprintf(nameFormat, e.sequence, e.at, e.samples)
	if e.unsealed {
		return name
	}
	return name + sealedSuffix
}

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
	e := entry{sequence: s.next, at: at.UnixMilli(), samples: samples, size: int64(sealLength + len(body))}
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
	err := os.WriteFile(path+unfinished, seal(e.name(), body), 0o600)
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

// read returns the body of an entry.
func (s *spool) read(e entry) ([]byte, error) {
	if e.body != nil {
		return e.body, nil
	}
	f, err := os.Open(filepath.Join(s.dir, e.name()))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := readBounded(f)
	if err != nil || e.unsealed {
		return b, err
	}
	return unseal(e.name(), b)
}

// setAside takes a damaged entry out of the queue and moves its file to a directory below the queue's, for whoever
// wants to know what happened to it.
func (s *spool) setAside(e entry, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.entries, func(o entry) bool { return o.sequence == e.sequence && o.unsealed == e.unsealed })
	if i < 0 {
		return // dropped in the meantime, and counted
	}
	s.size -= s.entries[i].size
	s.entries = slices.Delete(s.entries, i, i+1)
	if e.body != nil {
		s.onDamage(e.samples, "", why)
		return
	}
	s.moveAside(e.samples, e.name(), why)
}

const (
	// damagedDir is the directory in which damaged entries are kept.
	damagedDir = "damaged"
	// damagedKept bounds it: an entry has a few hundred kilobytes, and some tell as much as all.
	damagedKept = 32
)

func (s *spool) moveAside(samples int, name string, why error) {
	dir := filepath.Join(s.dir, damagedDir)
	err := os.Mkdir(dir, 0o700)
	if err == nil || errors.Is(err, fs.ErrExist) {
		err = os.Rename(filepath.Join(s.dir, name), filepath.Join(dir, name))
	}
	if err != nil { // it is out of the queue; after a restart it is found again
		s.onDamage(samples, filepath.Join(s.dir, name), errors.Join(why, err))
		return
	}
	if files, err := os.ReadDir(dir); err == nil && len(files) > damagedKept { // sorted by name: the oldest first
		for _, f := range files[:len(files)-damagedKept] {
			_ = os.RemoveAll(filepath.Join(dir, f.Name())) // if it stays, the next one to come removes it
		}
	}
	s.onDamage(samples, filepath.Join(dir, name), why)
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
