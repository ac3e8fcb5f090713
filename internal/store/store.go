// Package store keeps history in an embedded database: incidents with their evidence, and the roll-ups of every probe.
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
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"netwatchd/internal/ledger"
)

// File is the name of the database in the storage directory.
const File = "netwatchd.db"

var (
	// errNewer means that a newer netwatchd wrote the store. Nothing in it is changed.
	errNewer = errors.New("the store was written by a newer netwatchd: run that version, or set a different storage.path")
	// errForeign means that the file was not written by netwatchd.
	errForeign = errors.New("this file is not a netwatchd store: set storage.path to a directory of its own")
	// errNoStore means that there is no store yet.
	errNoStore = errors.New("there is no store yet: 'netwatchd run' creates it")
	// errRemoved means that the file was removed or replaced while it was open.
	errRemoved = errors.New("the store was removed while it was in use")
)

// A Store is an open database. It is safe for concurrent use. Other processes may read it and write notes at the same
// time.
type Store struct {
	path string
	self fs.FileInfo // the file that was opened
	db   *sql.DB
	lock *os.File // nil: opened with OpenToRead

	// Moved is where Open moved a malformed database, in whose place this one was created; empty: there was none.
	Moved string

	// The row numbers of all series that this process has written.
	series map[ledger.Key]int64

	mu      sync.Mutex
	skipped map[rowRef]string // the damaged rows that were found, with the reason
}

// Open opens the store in dir for writing, and creates or migrates it if necessary. Only one process can do so at a
// time ([ErrInUse]). A malformed database is moved away, and a new one created.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("store: %w; set storage.path to a directory that this user can write to", err)
	}
	claim, err := lock(dir)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, File)
	s, err := openToWrite(path)
	moved := ""
	if IsMalformed(err) {
		if moved, err = moveMalformed(path, time.Now()); err == nil {
			s, err = openToWrite(path)
		}
	}
	if err != nil {
		claim.Close()
		return nil, err
	}
	s.lock, s.Moved = claim, moved
	return s, nil
}

func openToWrite(path string) (*Store, error) {
	// Created here so that no other user can read it: SQLite would create it with the umask.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("store: %w; set storage.path to a directory that this user can write to", err)
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

// OpenToRead opens the store in dir for a command: it creates and migrates nothing. Notes can still be written.
func OpenToRead(dir string) (*Store, error) {
	path := filepath.Join(dir, File)
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("store: %s: %w", path, errNoStore)
	case err != nil:
		return nil, fmt.Errorf("store: %w; run this as the daemon's user", err)
	}
	err = checkHeader(f)
	f.Close()
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", path, withHint(err))
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

// busyTimeout is how long a statement waits for another process. A note may have to wait for the daemon's hourly
// maintenance, which takes under a second with ten thousand probes.
const busyTimeout = 5 * time.Second

// settings apply to every connection. The cache is small because there are few rows and large ones are read once;
// nothing is memory-mapped, so that resident memory stays small. A commit is synced to disk: there are a few a minute,
// and an incident that was announced must survive the power cut it may have been about.
var settings = []string{
	fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()),
	"cache_size(-512)", "mmap_size(0)", "synchronous(full)", "foreign_keys(0)", "trusted_schema(0)",
	"wal_autocheckpoint(256)",     // pages: a checkpoint writes 1 MB at a time
	"journal_size_limit(4194304)", // bytes: the size of the log after a large transaction
}

func open(path, mode string, first ...string) (*Store, error) {
	pragmas := slices.Concat(settings[:1], first, settings[1:])
	q := url.Values{"mode": {mode}, "_txlock": {"immediate"}, "_pragma": pragmas}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	dsn := url.URL{Scheme: "file", Path: absolute, RawQuery: q.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	// One to write and one to read at the same time; the second is closed after use, because each has its own cache.
	db.SetMaxOpenConns(2)
	db.SetMaxIdleConns(1)
	s := &Store{path: path, db: db, series: make(map[ledger.Key]int64), skipped: make(map[rowRef]string)}
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

// Close closes the store.
func (s *Store) Close() error {
	err := s.db.Close()
	if s.lock != nil {
		s.lock.Close()
	}
	return err
}

// Path returns the path of the database file.
func (s *Store) Path() string { return s.path }

// checkFile returns errRemoved unless the open file is still the one at its path.
func (s *Store) checkFile() error {
	if now, err := os.Stat(s.path); err != nil || !os.SameFile(now, s.self) {
		return fmt.Errorf("store: %s: %w", s.path, errRemoved)
	}
	return nil
}

// The header of an SQLite file (https://sqlite.org/fileformat.html, section 1.3).
const (
	magic         = "SQLite format 3\x00"
	versionAt     = 60
	applicationAt = 68
	headSize      = 100
	application   = 0x6e657477 // "netw"
)

// checkHeader checks a file before SQLite can change it: it must be empty, or ours and not of a newer version.
func checkHeader(f io.Reader) error {
	head := make([]byte, headSize)
	n, err := io.ReadFull(f, head)
	switch {
	case n == 0 && errors.Is(err, io.EOF):
		return nil
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return err
	case err != nil || string(head[:len(magic)]) != magic:
		return errMalformed
	}
	version, owner := binary.BigEndian.Uint32(head[versionAt:]), binary.BigEndian.Uint32(head[applicationAt:])
	return checkVersion(int(version), int(owner))
}

// checkVersion reports whether a file can be used. Version 0 without an owner is a file whose creation was
// interrupted.
func checkVersion(version, owner int) error {
	switch {
	case owner != application && (owner != 0 || version != 0):
		return errForeign
	case version > len(migrations):
		return fmt.Errorf("%w (store version %d; this program supports up to %d)", errNewer, version, len(migrations))
	}
	return nil
}

func (s *Store) version(ctx context.Context, q queryer) (version, owner int, err error) {
	if err = q.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err == nil {
		err = q.QueryRowContext(ctx, "PRAGMA application_id").Scan(&owner)
	}
	return version, owner, err
}

// checkCurrent checks that the store has the version that this program reads.
func (s *Store) checkCurrent() error {
	version, owner, err := s.version(context.Background(), s.db)
	if err == nil {
		err = checkVersion(version, owner)
	}
	switch {
	case err != nil:
		return err
	case version == 0:
		return errNoStore
	case version < len(migrations):
		return fmt.Errorf("the store has the older version %d: 'netwatchd run' migrates it to %d", version, len(migrations))
	}
	return nil
}

// migrate brings the store to the version of this program. Each step is one transaction.
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
					return errForeign
				}
			}
			mark := fmt.Sprintf(";PRAGMA application_id=%d;PRAGMA user_version=%d", application, version+1)
			_, err = tx.ExecContext(ctx, migrations[version]+mark)
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

// transact runs f in a transaction and commits it unless f returns an error.
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

// withHint adds what to do to an error from SQLite.
func withHint(err error) error {
	if err == nil {
		return nil
	}
	for _, h := range []struct{ words, do string }{
		{"readonly", "let the daemon's user write to storage.path"},
		{"unable to open", "let this user read and write storage.path"},
		{"full", "free space on its disk"},
		{"malformed", "restore a backup, or start the daemon: it moves the file away and begins a new one"},
		{"not a database", "restore a backup, or start the daemon: it moves the file away and begins a new one"},
	} {
		if strings.Contains(err.Error(), h.words) {
			return fmt.Errorf("%w; %s", err, h.do)
		}
	}
	return err
}

// Backup writes a copy of the store in dir to a new file. The daemon may be running.
func Backup(ctx context.Context, dir, file string) error {
	s, err := OpenToRead(dir)
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("store: %s already exists: choose a new file name", file)
	}
	// Created here so that no other user can read it; VACUUM INTO accepts an empty file.
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
