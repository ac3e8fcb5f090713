package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"netwatchd/internal/ledger"
	"netwatchd/internal/rollup"
)

const (
	minutesPerHour = 60

	// keepMinutes is how long minutes are kept; older history has one roll-up per hour. A week is enough to ask what
	// happened last Tuesday; for ten thousand probes it takes over a gigabyte.
	keepMinutes = 7 * 24 * time.Hour
)

func minuteOf(t time.Time) int64 { return rollup.FloorDiv(t.UnixMilli(), time.Minute.Milliseconds()) }
func hourOf(t time.Time) int64   { return rollup.FloorDiv(t.UnixMilli(), time.Hour.Milliseconds()) }

func atMinute(m int64) time.Time { return time.UnixMilli(m * time.Minute.Milliseconds()).UTC() }
func atHour(h int64) time.Time   { return time.UnixMilli(h * time.Hour.Milliseconds()).UTC() }

// writeMinute adds m to the stored minute. There is one after a restart within the minute, or after the clock was set
// back.
func (s *Store) writeMinute(ctx context.Context, tx *sql.Tx, m rollup.Minute) error {
	var p rollup.Packer
	add := p.Add
	var stored []byte
	minute := minuteOf(m.At)
	err := tx.QueryRowContext(ctx, "SELECT body FROM minutes WHERE minute = ?", minute).Scan(&stored)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	merged := make(map[uint64]*rollup.Rollup)
	if err == nil {
		add = func(number uint64, u *rollup.Rollup) { merge(merged, number, u) }
		if err := rollup.Unpack(stored, add); err != nil {
			if err := keepCopy(ctx, tx, rowRef{"minutes", strconv.FormatInt(minute, 10)}, err.Error()); err != nil {
				return err
			}
		}
	}
	for i := range m.Parts {
		number, err := s.number(ctx, tx, m.Parts[i].Key)
		if err != nil {
			return err
		}
		add(uint64(number), &m.Parts[i].Rollup)
	}
	for number, u := range merged {
		p.Add(number, u)
	}
	_, err = tx.ExecContext(ctx, "INSERT OR REPLACE INTO minutes (minute, body) VALUES (?, ?)", minute, p.Pack())
	return err
}

func merge(into map[uint64]*rollup.Rollup, number uint64, u *rollup.Rollup) {
	if known := into[number]; known != nil {
		known.Merge(u)
		return
	}
	into[number] = u
}

// number returns the row number of a series, which is added if it is new.
func (s *Store) number(ctx context.Context, tx *sql.Tx, k ledger.Key) (int64, error) {
	if n, ok := s.series[k]; ok {
		return n, nil
	}
	n, err := seriesNumber(ctx, tx, k)
	if errors.Is(err, sql.ErrNoRows) {
		err = tx.QueryRowContext(ctx, "INSERT INTO series (service, probe, kind, vantage) VALUES (?, ?, ?, ?) RETURNING id",
			k.Service, k.Probe, k.Kind.String(), k.Vantage.String()).Scan(&n)
	}
	if err == nil {
		s.series[k] = n
	}
	return n, err
}

func seriesNumber(ctx context.Context, q queryer, k ledger.Key) (n int64, err error) {
	err = q.QueryRowContext(ctx, "SELECT id FROM series WHERE service = ? AND probe = ? AND kind = ? AND vantage = ?",
		k.Service, k.Probe, k.Kind.String(), k.Vantage.String()).Scan(&n)
	return n, err
}

// closeHour moves the minutes of the oldest past hour to rows per series. It reports whether there was such an hour.
func (s *Store) closeHour(ctx context.Context, now time.Time) (more bool, err error) {
	err = s.transact(ctx, func(tx *sql.Tx) error {
		var first sql.NullInt64
		if err := tx.QueryRowContext(ctx, "SELECT min(minute) FROM minutes").Scan(&first); err != nil {
			return err
		}
		hour := rollup.FloorDiv(first.Int64, minutesPerHour)
		if more = first.Valid && hour < hourOf(now); !more {
			return nil
		}
		series := make(map[uint64]*hourly)
		const query = "SELECT rowid, minute, body FROM minutes WHERE minute >= ? AND minute < ?"
		bounds := []any{hour * minutesPerHour, (hour + 1) * minutesPerHour}
		damaged := make(map[rowRef]string)
		err := rows(ctx, tx, query, bounds, func(r *sql.Rows) error {
			row := row{Rows: r}
			if err := addMinute(&row, hour, series); err != nil {
				damaged[rowRef{"minutes", row.key}] = err.Error()
			}
			return nil
		})
		if err != nil {
			return err
		}
		for ref, reason := range damaged {
			if err := keepCopy(ctx, tx, ref, reason); err != nil {
				return err
			}
		}
		if err := writeHours(ctx, tx, hour, series); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM minutes WHERE minute < ?", (hour+1)*minutesPerHour)
		return err
	})
	return more, err
}

// hourly is one hour of one series.
type hourly struct {
	total   rollup.Rollup
	minutes rollup.Packer
}

func (h *hourly) add(minute uint64, u *rollup.Rollup) {
	h.total.Merge(u)
	h.minutes.Add(minute, u)
}

func addMinute(r *row, hour int64, series map[uint64]*hourly) error {
	var minute int64
	var body sql.RawBytes
	if err := r.Scan(&minute, &body); err != nil {
		return err
	}
	return rollup.Unpack(body, func(number uint64, u *rollup.Rollup) {
		h := series[number]
		if h == nil {
			h = new(hourly)
			series[number] = h
		}
		h.add(uint64(minute-hour*minutesPerHour), u)
	})
}

func writeHours(ctx context.Context, tx *sql.Tx, hour int64, series map[uint64]*hourly) error {
	hours, err := tx.PrepareContext(ctx,
		"INSERT INTO hours (series, hour, count, failed, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")
	if err != nil {
		return err
	}
	defer hours.Close()
	details, err := tx.PrepareContext(ctx, "INSERT OR REPLACE INTO details (series, hour, body) VALUES (?, ?, ?)")
	if err != nil {
		return err
	}
	defer details.Close()
	for number, h := range series {
		done, err := hours.ExecContext(ctx, number, hour, h.total.Count, h.total.Failed(), packOne(0, &h.total))
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			if err := mergeHour(ctx, tx, number, hour, h); err != nil {
				return err
			}
		}
		if _, err := details.ExecContext(ctx, number, hour, h.minutes.Pack()); err != nil {
			return err
		}
	}
	return nil
}

func packOne(number uint64, u *rollup.Rollup) []byte {
	var p rollup.Packer
	p.Add(number, u)
	return p.Pack()
}

// mergeHour adds h to an hour that is already stored, because the clock was set back.
func mergeHour(ctx context.Context, tx *sql.Tx, number uint64, hour int64, h *hourly) error {
	addTotal := func(_ uint64, u *rollup.Rollup) { h.total.Merge(u) }
	if err := addStored(ctx, tx, "hours", number, hour, addTotal); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "UPDATE hours SET count = ?, failed = ?, body = ? WHERE series = ? AND hour = ?",
		h.total.Count, h.total.Failed(), packOne(0, &h.total), number, hour)
	if err != nil {
		return err
	}
	// a minute may appear twice: readers add them up
	return addStored(ctx, tx, "details", number, hour, h.minutes.Add)
}

// addStored calls add for the roll-ups of a row that is about to be replaced. A copy of a damaged row is kept.
func addStored(
	ctx context.Context, tx *sql.Tx, table string, number uint64, hour int64, add func(uint64, *rollup.Rollup),
) error {
	ref := rowRef{table: table}
	var body []byte
	query := "SELECT rowid, body FROM " + table + " WHERE series = ? AND hour = ?"
	err := tx.QueryRowContext(ctx, query, number, hour).Scan(&ref.key, &body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil {
		if damage := rollup.Unpack(body, add); damage != nil {
			err = keepCopy(ctx, tx, ref, damage.Error())
		}
	}
	return err
}

// verifiedSize is up to which size Maintain reads the whole file: that takes about 0.1 s. Of a larger one, only what is
// read anyway is verified.
const verifiedSize = 16 << 20

// verify reads a small database from the disk. All of it may be cached, so that nobody would notice damage until the
// next start.
func (s *Store) verify(ctx context.Context) error {
	if info, err := os.Stat(s.path); err != nil || info.Size() > verifiedSize {
		return err
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return withHint(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "PRAGMA shrink_memory"); err != nil { // empties the cache
		return withHint(err)
	}
	var first string
	if err := conn.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&first); err != nil {
		return withHint(err)
	}
	if first != "ok" {
		return fmt.Errorf("%w: %s", errMalformed, first)
	}
	return nil
}

// Maintain rolls past hours up and deletes what is older than keep; if keep is zero, it deletes nothing. Open
// incidents are never deleted. It finds damage of a small database before anyone reads it ([IsMalformed]).
func (s *Store) Maintain(ctx context.Context, now time.Time, keep time.Duration) error {
	if err := s.checkFile(); err != nil {
		return err
	}
	if err := s.verify(ctx); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	for {
		more, err := s.closeHour(ctx, now)
		if err != nil {
			return fmt.Errorf("store: %w", err)
		}
		if !more {
			break
		}
	}
	if keep <= 0 {
		return nil
	}
	return s.prune(ctx, now, keep)
}

func (s *Store) prune(ctx context.Context, now time.Time, keep time.Duration) error {
	before := now.Add(-keep)
	for _, old := range []struct {
		delete string
		than   int64
	}{
		{"DELETE FROM details WHERE hour < ?", hourOf(now.Add(-min(keepMinutes, keep)))},
		{"DELETE FROM hours WHERE hour < ?", hourOf(before)},
		{"DELETE FROM incidents WHERE closed < ?", before.UnixMilli()},
		{"DELETE FROM notes WHERE at < ? AND incident NOT IN (SELECT id FROM incidents)", before.UnixMilli()},
		{"DELETE FROM evidence WHERE at < ? AND incident NOT IN (SELECT id FROM incidents)", before.UnixMilli()},
		{`DELETE FROM verdicts WHERE at < ? AND (incident IS NULL OR incident NOT IN (SELECT id FROM incidents))`,
			before.UnixMilli()},
		{"DELETE FROM attempts WHERE at < ?", before.UnixMilli()},
		{"DELETE FROM suspends WHERE at < ?", before.UnixMilli()},
		{"DELETE FROM runs WHERE seen < ?", before.UnixMilli()},
		{"DELETE FROM damaged WHERE found < ?", before.UnixMilli()},
	} {
		if _, err := s.db.ExecContext(ctx, old.delete, old.than); err != nil {
			return fmt.Errorf("store: %w", withHint(err))
		}
	}
	for _, table := range []string{"snapshots", "end_snapshots"} {
		query := "DELETE FROM " + table + " WHERE incident NOT IN (SELECT id FROM incidents)"
		if _, err := s.db.ExecContext(ctx, query); err != nil {
			return fmt.Errorf("store: %w", withHint(err))
		}
	}
	// Free pages are returned a few at a time: 4 MB an hour is more than is freed in an hour by default.
	if err := s.rows(ctx, "PRAGMA incremental_vacuum(1000)", nil, func(*sql.Rows) error { return nil }); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}
