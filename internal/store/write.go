package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"netwatchd/internal/incident"
	"netwatchd/internal/ledger"
	"netwatchd/internal/probe"
	"netwatchd/internal/redact"
	"netwatchd/internal/rollup"
	"netwatchd/internal/watch"
)

// A Batch is written in one transaction.
type Batch struct {
	Incidents []*incident.Incident
	Entries   []Entry
	Minutes   []rollup.Minute
	Run       *incident.DaemonRun
}

// An Entry is one event to store.
type Entry interface {
	write(ctx context.Context, tx *sql.Tx) error
}

// Write writes all of the batch or nothing. Secrets are removed from everything that came from outside.
func (s *Store) Write(ctx context.Context, b *Batch) error {
	if err := s.checkFile(); err != nil {
		return err
	}
	known := len(s.series)
	err := s.transact(ctx, func(tx *sql.Tx) error {
		for _, i := range b.Incidents {
			if err := writeIncident(ctx, tx, i); err != nil {
				return err
			}
		}
		for _, e := range b.Entries {
			if err := e.write(ctx, tx); err != nil {
				return err
			}
		}
		for _, m := range b.Minutes {
			if err := s.writeMinute(ctx, tx, m); err != nil {
				return err
			}
		}
		return writeRun(ctx, tx, b.Run)
	})
	if err != nil && len(s.series) > known {
		s.series = make(map[ledger.Key]int64) // some of their numbers were never committed
	}
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// encode returns v as JSON without secrets.
func encode(v any) (string, error) {
	text, err := json.Marshal(v)
	if err == nil {
		text, err = redact.JSON(text)
	}
	return string(text), err
}

// writeIncident never overwrites a different incident with the same ID: two daemons on one store would destroy each
// other's.
func writeIncident(ctx context.Context, tx *sql.Tx, i *incident.Incident) error {
	body, err := encode(i)
	if err != nil {
		return err
	}
	var closed any
	if i.Closed != nil {
		closed = i.Closed.UnixMilli()
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO incidents (id, service, day, number, opened, closed, observation, body)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET closed = excluded.closed, body = excluded.body WHERE opened = excluded.opened`,
		i.ID, i.Service, i.Day, i.Number, i.Opened.UnixMilli(), closed, i.Observation, body)
	return err
}

func writeRun(ctx context.Context, tx *sql.Tx, r *incident.DaemonRun) error {
	if r == nil {
		return nil
	}
	var ended any
	if !r.Ended.IsZero() {
		ended = r.Ended.UnixMilli()
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO runs (started, version, seen, ended) VALUES (?, ?, ?, ?)
		ON CONFLICT (started) DO UPDATE SET seen = excluded.seen, ended = excluded.ended`,
		r.Started.UnixMilli(), r.Version, r.Seen.UnixMilli(), ended)
	return err
}

// A VerdictChange is an [incident.VerdictChange] to store.
type VerdictChange struct{ incident.VerdictChange }

func (v VerdictChange) write(ctx context.Context, tx *sql.Tx) error {
	body, err := encode(v.Status)
	if err != nil {
		return err
	}
	var of any
	if v.Incident != "" {
		of = v.Incident
	}
	_, err = tx.ExecContext(ctx,
		"INSERT INTO verdicts (service, at, was, cause, incident, body) VALUES (?, ?, ?, ?, ?, ?)",
		v.Status.Service, v.At.UnixMilli(), v.Was.String(), v.Status.Cause.String(), of, body)
	return err
}

// Evidence is a failed result during an incident. Of results with the same signature only the first is stored.
type Evidence struct {
	Incident  string
	Signature string
	Result    probe.Result
}

func (e Evidence) write(ctx context.Context, tx *sql.Tx) error {
	body, err := encode(e.Result)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx,
		"INSERT INTO evidence (incident, sign, at, body) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
		e.Incident, e.Signature, e.Result.Start.UnixMilli(), body)
	return err
}

// An Attempt is a run of an agent, or another attempt that is rare enough to be stored whole.
type Attempt struct {
	Result probe.Result
	Manual bool // a person made it with backtest
}

func (a Attempt) write(ctx context.Context, tx *sql.Tx) error {
	body, err := encode(a.Result)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO attempts (service, at, manual, body) VALUES (?, ?, ?, ?)",
		a.Result.Service, a.Result.Start.UnixMilli(), a.Manual, body)
	return err
}

// A Suspend is an [incident.Suspend] to store.
type Suspend struct{ incident.Suspend }

func (s Suspend) write(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO suspends (at, away) VALUES (?, ?)",
		s.At.UnixMilli(), s.Away.Milliseconds())
	return err
}

// Kept is what a service keeps from one run of the daemon to the next. Its table is named after what it held first.
type Kept struct {
	Service string
	watch.Kept
}

func (c Kept) write(ctx context.Context, tx *sql.Tx) error {
	body, err := encode(c.Kept)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO costs (service, body) VALUES (?, ?)
		ON CONFLICT (service) DO UPDATE SET body = excluded.body`, c.Service, body)
	return err
}

// A Snapshot is the state of this host when an incident began. Body is any value that can be encoded as JSON.
type Snapshot struct {
	Incident string
	Body     any
}

// An EndSnapshot is the state of this host when an incident closed. Of several, the latest is kept.
type EndSnapshot Snapshot

func (s EndSnapshot) write(ctx context.Context, tx *sql.Tx) error {
	body, err := encode(s.Body)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO end_snapshots (incident, body) VALUES (?, ?)
		ON CONFLICT (incident) DO UPDATE SET body = excluded.body`, s.Incident, body)
	return err
}

func (s Snapshot) write(ctx context.Context, tx *sql.Tx) error {
	body, err := encode(s.Body)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO snapshots (incident, body) VALUES (?, ?) ON CONFLICT DO NOTHING",
		s.Incident, body)
	return err
}

// Note adds a person's note to an incident, on one line. The daemon may be running.
func (s *Store) Note(ctx context.Context, id, text string, at time.Time) error {
	text = redact.String(text)
	text = redact.Line(text, len(text))
	err := s.transact(ctx, func(tx *sql.Tx) error {
		var found int
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM incidents WHERE id = ?", id).Scan(&found); err != nil {
			return err
		}
		if found == 0 {
			return fmt.Errorf("%q: %w", id, incident.ErrNotFound)
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO notes (incident, at, text) VALUES (?, ?, ?)", id, at.UnixMilli(), text)
		return err
	})
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// IsFull reports whether the disk was full. The store is unchanged, and can be written to again when there is space.
func IsFull(err error) bool {
	return sqliteCode(err) == sqlite3.SQLITE_FULL
}

// Shrink returns the space of the write-ahead log to the disk, as far as there is room for its pages in the database.
// Without it a log that filled the disk would stay.
func (s *Store) Shrink(ctx context.Context) {
	_, _ = s.db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)") // the disk is full: it may not succeed
}

// An Owned entry belongs to an incident, whose ID may change before the entry is written.
type Owned interface {
	Entry
	Owner() string // the incident's ID; empty: none
	Reassign(to string) Entry
}

// Owner implements [Owned].
func (v VerdictChange) Owner() string { return v.Incident }

// Reassign implements [Owned].
func (v VerdictChange) Reassign(to string) Entry { v.Incident = to; return v }

// Owner implements [Owned].
func (e Evidence) Owner() string { return e.Incident }

// Reassign implements [Owned].
func (e Evidence) Reassign(to string) Entry { e.Incident = to; return e }

// Owner implements [Owned].
func (s Snapshot) Owner() string { return s.Incident }

// Reassign implements [Owned].
func (s Snapshot) Reassign(to string) Entry { s.Incident = to; return s }

// Owner implements [Owned].
func (s EndSnapshot) Owner() string { return s.Incident }

// Reassign implements [Owned].
func (s EndSnapshot) Reassign(to string) Entry { s.Incident = to; return s }
