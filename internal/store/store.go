// Package store keeps history in an embedded database: incidents with what showed them, and the roll-ups of every probe.
package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"netwatchd/internal/ledger"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// File is the name of the database in the storage directory.
const File = "netwatchd.db"

var (
	// ErrNewer says that a newer netwatchd wrote the store. It is left as it is.
	ErrNewer = errors.New("the store was written by a newer netwatchd: run that one, or give this one another storage.path")
	// ErrForeign says that the file is not one of netwatchd's.
	ErrForeign = errors.New("it is not a store of netwatchd: give storage.path a directory of its own")
	// ErrNoStore says that there is no store yet.
	ErrNoStore = errors.New("there is no store yet: netwatchd run makes it")
	// ErrRemoved says that the file has been removed, or replaced, while it was open.
	ErrRemoved = errors.New("the store was removed while it was in use")
)

// A Store is an open database. It is safe for concurrent use; other processes may read it meanwhile, and write notes.
type Store struct {
	path string
	self fs.FileInfo // the file that was opened
	db   *sql.DB
	lock *os.File // nil: it was opened to read

	// Rows are found by number; the numbers of all series that were ever written by this process.
	series map[ledger.Key]int64
}

// Open opens the store in dir to write to it, and makes or migrates it if it must. One process may do so at a time
// ([ErrInUse]).
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("store: %w; let storage.path be a directory this user may write", err)
	}
	claim, err := lock(dir)
	if err != nil {
		return nil, err
	}
	s, err := openToWrite(filepath.Join(dir, File))
	if err != nil {
		claim.Close()
		return nil, err
	}
	s.lock = claim
	return s, nil
}

func openToWrite(path string) (*Store, error) {
	// The file is made here, so that it is nobody else's to read: the database's own would follow the umask.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("store: %w; let storage.path be a directory this user may write", err)
	}
	err = checkHeader(f)
	f.Close()
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", path, err)
	}
	s, err := open(path, "rw", "auto_vacuum(2)", "journal_mode(wal)")
	if err != nil {
		return nil, err
	}
	if err := s.migrate(context.Background()); err != nil {
		s.Close()
		return nil, fmt.Errorf("store: %s: %w", path, err)
	}
	return s, nil
}

// OpenToRead opens the store in dir as a command does: it makes and migrates nothing. Notes can be written all the same.
func OpenToRead(dir string) (*Store, error) {
	path := filepath.Join(dir, File)
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("store: %s: %w", path, ErrNoStore)
	case err != nil:
		return nil, fmt.Errorf("store: %w; run this as the daemon's user", err)
	}
	err = checkHeader(f)
	f.Close()
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", path, err)
	}
	s, err := open(path, "rw")
	if err != nil {
		return nil, err
	}
	if err := s.checkCurrent(); err != nil {
		s.Close()
		return nil, fmt.Errorf("store: %s: %w", path, err)
	}
	return s, nil
}

// busy is how long a statement waits for another process: a note for the daemon's hourly work on ten thousand probes,
// which takes under a second.
const busy = 5 * time.Second

// settings are those of every connection. The cache is small since rows are few and large ones are read once; nothing is
// mapped, so that memory stays what it is. A transaction is on the disk when it is committed: there are a few a minute,
// and an incident that was told of must survive the power cut it may have been about.
var settings = []string{
	fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()),
	"cache_size(-512)", "mmap_size(0)", "synchronous(full)", "foreign_keys(0)", "trusted_schema(0)",
	"wal_autocheckpoint(256)",     // pages, 1 MB: what a checkpoint writes at once
	"journal_size_limit(4194304)", // bytes that the log keeps after a large transaction
}

func open(path, mode string, first ...string) (*Store, error) {
	q := url.Values{"mode": {mode}, "_txlock": {"immediate"}, "_pragma": append(append([]string{settings[0]}, first...), settings[1:]...)}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	dsn := url.URL{Scheme: "file", Path: absolute, RawQuery: q.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	// One to write and one to read meanwhile, and the latter not for longer than it is needed: each has its own cache.
	db.SetMaxOpenConns(2)
	db.SetMaxIdleConns(1)
	s := &Store{path: path, db: db, series: make(map[ledger.Key]int64)}
	if err := db.Ping(); err != nil {
		db.Close()
		return nil, fmt.Errorf("store: %s: %w", path, withHint(err))
	}
	if s.self, err = os.Stat(path); err != nil {
		db.Close()
		return nil, fmt.Errorf("store: %w", err)
	}
	return s, nil
}

// Close closes it.
func (s *Store) Close() error {
	err := s.db.Close()
	if s.lock != nil {
		s.lock.Close()
	}
	return err
}

// Path is where its file is.
func (s *Store) Path() string { return s.path }

// there reports whether the open file is still the one that others would open.
func (s *Store) checkFile() error {
	if now, err := os.Stat(s.path); err != nil || !os.SameFile(now, s.self) {
		return fmt.Errorf("store: %s: %w", s.path, ErrRemoved)
	}
	return nil
}

// The marks in the head of an SQLite file (https://sqlite.org/fileformat.html, section 1.3).
const (
	magic         = "SQLite format 3\x00"
	versionAt     = 60
	applicationAt = 68
	headSize      = 100
	application   = 0x6e657477 // "netw"
)

// checkHeader looks at a file before the database library may change it: it is empty, or ours and not of a newer version.
func checkHeader(f io.Reader) error {
	head := make([]byte, headSize)
	n, err := io.ReadFull(f, head)
	switch {
	case n == 0 && errors.Is(err, io.EOF):
		return nil
	case err != nil || string(head[:len(magic)]) != magic:
		return ErrForeign
	}
	version, owner := binary.BigEndian.Uint32(head[versionAt:]), binary.BigEndian.Uint32(head[applicationAt:])
	return checkVersion(int(version), int(owner))
}

// judge says whether a file of this version may be used. One of version 0 and of nobody is one whose making was cut short.
func checkVersion(version, owner int) error {
	switch {
	case owner != application && (owner != 0 || version != 0):
		return ErrForeign
	case version > len(migrations):
		return fmt.Errorf("%w (its version is %d, this program knows %d)", ErrNewer, version, len(migrations))
	}
	return nil
}

func (s *Store) version(ctx context.Context, q queryer) (version, owner int, err error) {
	if err = q.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err == nil {
		err = q.QueryRowContext(ctx, "PRAGMA application_id").Scan(&owner)
	}
	return version, owner, err
}

// current reports whether the store is of the version that this program reads.
func (s *Store) checkCurrent() error {
	version, owner, err := s.version(context.Background(), s.db)
	if err == nil {
		err = checkVersion(version, owner)
	}
	switch {
	case err != nil:
		return err
	case version == 0:
		return ErrNoStore
	case version < len(migrations):
		return fmt.Errorf("it is of version %d, an older one: netwatchd run migrates it to %d", version, len(migrations))
	}
	return nil
}

// migrate takes the store to the version of this program, one step after the other, each whole or not at all.
func (s *Store) migrate(ctx context.Context) error {
	for {
		done := false
		err := s.transact(ctx, func(tx *sql.Tx) error {
			version, owner, err := s.version(ctx, tx)
			if err == nil {
				err = checkVersion(version, owner)
			}
			if err != nil || version == len(migrations) {
				done = true
				return err
			}
			if version == 0 {
				var tables int
				if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
					return err
				} else if tables > 0 {
					return ErrForeign
				}
			}
			_, err = tx.ExecContext(ctx, migrations[version]+fmt.Sprintf(";PRAGMA application_id=%d;PRAGMA user_version=%d", application, version+1))
			return err
		})
		if err != nil || done {
			return err
		}
	}
}

// A queryer is a database or a transaction.
type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// transact runs f in a transaction, which is committed if f fails in nothing.
func (s *Store) transact(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return withHint(err)
	}
	if err := f(tx); err != nil {
		_ = tx.Rollback()
		return withHint(err)
	}
	return withHint(tx.Commit())
}

// hint adds what to do to what the database says.
func withHint(err error) error {
	if err == nil {
		return nil
	}
	for _, h := range []struct{ words, do string }{
		{"readonly", "let the daemon's user write to storage.path"},
		{"unable to open", "let this user read and write storage.path"},
		{"full", "make room on its disk"},
		{"malformed", "stop the daemon, then move the file away or restore a backup"},
		{"not a database", "move the file away or restore a backup"},
	} {
		if strings.Contains(err.Error(), h.words) {
			return fmt.Errorf("%w; %s", err, h.do)
		}
	}
	return err
}

// Backup writes a copy of the store in dir to file, which must not be there yet, while the daemon runs on.
func Backup(ctx context.Context, dir, file string) error {
	s, err := OpenToRead(dir)
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("store: %s is there already: name a file that is not", file)
	}
	// Made first, so that it is nobody else's to read; VACUUM INTO takes an empty file.
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	f.Close()
	if _, err := s.db.ExecContext(ctx, "VACUUM INTO ?", file); err != nil {
		os.Remove(file)
		return fmt.Errorf("store: backing up to %s: %w", file, withHint(err))
	}
	return nil
}

// Health is what a check of the store found.
type Health struct {
	Path    string   `json:"path"`
	Version int      `json:"version"`
	Bytes   int64    `json:"bytes"`
	Faults  []string `json:"faults"`
	Counts  []Count  `json:"counts"`
}

// Count is how many rows a table has.
type Count struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
}

// Check reads all of the store in dir, and says what is wrong with it.
func Check(ctx context.Context, dir string) (*Health, error) {
	s, err := OpenToRead(dir)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	h := &Health{Path: s.path, Faults: []string{}, Counts: []Count{}}
	if h.Version, _, err = s.version(ctx, s.db); err != nil {
		return nil, fmt.Errorf("store: %w", withHint(err))
	}
	if info, err := os.Stat(s.path); err == nil {
		h.Bytes = info.Size()
	}
	err = s.rows(ctx, "PRAGMA integrity_check", nil, func(r *sql.Rows) error {
		var line string
		err := r.Scan(&line)
		if line != "ok" {
			h.Faults = append(h.Faults, line)
		}
		return err
	})
	if err != nil {
		h.Faults = append(h.Faults, err.Error())
		return h, nil
	}
	if err := s.checkIncidents(ctx, h); err != nil {
		h.Faults = append(h.Faults, err.Error())
	}
	for _, table := range tables {
		c := Count{Table: table}
		if err := s.db.QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(&c.Rows); err != nil {
			h.Faults = append(h.Faults, err.Error())
		}
		h.Counts = append(h.Counts, c)
	}
	return h, nil
}

// checkIncidents holds the book to what must always be so: a service has one open incident at the most.
func (s *Store) checkIncidents(ctx context.Context, h *Health) error {
	return s.rows(ctx, "SELECT service, count(*) FROM incidents WHERE closed IS NULL GROUP BY service HAVING count(*) > 1", nil, func(r *sql.Rows) error {
		var service string
		var n int
		err := r.Scan(&service, &n)
		h.Faults = append(h.Faults, fmt.Sprintf("%s has %d open incidents", service, n))
		return err
	})
}

// rows calls each for every row of a query.
func (s *Store) rows(ctx context.Context, query string, args []any, each func(*sql.Rows) error) error {
	return rows(ctx, s.db, query, args, each)
}

func rows(ctx context.Context, q queryer, query string, args []any, each func(*sql.Rows) error) error {
	r, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return withHint(err)
	}
	defer r.Close()
	for r.Next() {
		if err := each(r); err != nil {
			return err
		}
	}
	return withHint(r.Err())
}
