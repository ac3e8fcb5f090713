package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// A row that cannot be decoded must not hide the others: it is left out of what is read, and [Store.SetAside] moves it
// to the table damaged.

// A rowRef names a row: its table and the value of the table's key.
type rowRef struct{ table, key string }

// keys has the key of the tables without a rowid.
var keys = map[string]string{
	"incidents": "id", "snapshots": "incident", "end_snapshots": "incident", "costs": "service",
}

func keyOf(table string) string {
	if key, ok := keys[table]; ok {
		return key
	}
	return "rowid"
}

// A row is a row of a query whose first column is the key of its table.
type row struct {
	*sql.Rows
	key string
}

// Scan copies the columns after the key.
func (r *row) Scan(columns ...any) error { return r.Rows.Scan(append([]any{&r.key}, columns...)...) }

// read calls each for every row of a query on a table; the query's first column is the table's key. A row for which
// each returns an error is damaged: it is skipped.
func (s *Store) read(ctx context.Context, q queryer, table, query string, args []any, each func(*row) error) error {
	return rows(ctx, q, query, args, func(r *sql.Rows) error {
		row := row{Rows: r}
		if err := each(&row); err != nil {
			s.skip(table, row.key, err)
		}
		return nil
	})
}

// skippedLimit bounds what is remembered of damaged rows until they are set aside. The rest is found afterwards.
const skippedLimit = 1000

func (s *Store) skip(table, key string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.skipped) < skippedLimit {
		s.skipped[rowRef{table, key}] = err.Error()
	}
}

// SetAside moves the damaged rows found since the last call to the table damaged, and returns how many. Each is kept as
// the statement that inserts it again.
func (s *Store) SetAside(ctx context.Context) (n int, err error) {
	s.mu.Lock()
	found := s.skipped
	s.skipped = make(map[rowRef]string)
	s.mu.Unlock()
	if len(found) == 0 {
		return 0, nil
	}
	err = s.transact(ctx, func(tx *sql.Tx) error {
		for ref, reason := range found {
			if err := setAside(ctx, tx, ref, reason); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("store: setting damaged rows aside: %w", err)
	}
	return len(found), nil
}

// setAside moves one row to the table damaged.
func setAside(ctx context.Context, tx *sql.Tx, ref rowRef, reason string) error {
	if err := keepCopy(ctx, tx, ref, reason); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "DELETE FROM "+ref.table+" WHERE "+keyOf(ref.table)+" = ?", ref.key)
	return err
}

// keepCopy copies one row to the table damaged.
func keepCopy(ctx context.Context, tx *sql.Tx, ref rowRef, reason string) error {
	var columns, values []string
	const query = "SELECT name FROM pragma_table_info(?) ORDER BY cid"
	err := rows(ctx, tx, query, []any{ref.table}, func(r *sql.Rows) error {
		var name string
		err := r.Scan(&name)
		columns, values = append(columns, name), append(values, "quote("+name+")")
		return err
	})
	if err != nil {
		return err
	}
	copy := fmt.Sprintf(`INSERT INTO damaged (found, origin, reason, statement)
		SELECT ?, ?, ?, 'INSERT INTO %[1]s (%[2]s) VALUES (' || %[3]s || ')' FROM %[1]s WHERE %[4]s = ?`,
		ref.table, strings.Join(columns, ", "), strings.Join(values, " || ', ' || "), keyOf(ref.table))
	_, err = tx.ExecContext(ctx, copy, time.Now().UnixMilli(), ref.table, reason, ref.key)
	return err
}

// IsMalformed reports whether the database file itself is damaged, so that none of its rows can be relied on.
func IsMalformed(err error) bool {
	if errors.Is(err, errMalformed) {
		return true
	}
	code := sqliteCode(err)
	return code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB
}

// sqliteCode returns the primary result code (https://sqlite.org/rescode.html) of an error, or 0.
func sqliteCode(err error) int {
	if sqliteErr, ok := errors.AsType[*sqlite.Error](err); ok {
		return sqliteErr.Code() & 0xff
	}
	return 0
}

// errMalformed means that the file does not begin as an SQLite file does.
var errMalformed = errors.New("the store is malformed")

// malformedSuffix and a time are added to the name of a malformed database.
const malformedSuffix = ".corrupt-"

// malformedLimit is how many malformed databases are kept. A disk that damages more than these needs a person, and
// moving on would fill it.
const malformedLimit = 5

// MoveMalformed closes the store and gives its malformed file another name, so that the next Open creates a new one. It
// returns the new name.
func (s *Store) MoveMalformed() (string, error) {
	err := s.db.Close()
	moved, moveErr := moveMalformed(s.path, time.Now())
	if s.lock != nil {
		s.lock.Close()
	}
	return moved, errors.Join(err, moveErr)
}

// moveMalformed renames the database at path, with its write-ahead log: without it a repair would lose the last
// transactions.
func moveMalformed(path string, now time.Time) (string, error) {
	earlier, err := MalformedFiles(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	if len(earlier) >= malformedLimit {
		return "", fmt.Errorf("store: %s is malformed, and there are already %d malformed ones beside it: "+
			"check the disk, then move them away", path, len(earlier))
	}
	moved := path + malformedSuffix + now.UTC().Format("20060102T150405.000Z")
	for _, part := range []string{"-wal", "-shm", ""} { // the database last: until then a retry finds all of them
		if err := os.Rename(path+part, moved+part); err != nil && (part == "" || !errors.Is(err, os.ErrNotExist)) {
			return "", fmt.Errorf("store: moving a malformed database away: %w", err)
		}
	}
	return moved, nil
}

// MalformedFiles lists the malformed databases that were moved away in dir.
func MalformedFiles(dir string) ([]string, error) {
	found, err := filepath.Glob(filepath.Join(escape(dir), File+malformedSuffix+"*Z"))
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return found, nil
}

// escape makes filepath.Glob take path literally.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
