package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"netwatchd/internal/incident"
	"netwatchd/internal/ledger"
	"netwatchd/internal/rollup"
)

// Series adds the stored measurements to curves.
func (s *Store) Series(ctx context.Context, c *rollup.Curves) error {
	numbers := make(map[uint64]ledger.Key)
	for k := range c.Keys() {
		number, err := seriesNumber(ctx, s.db, k)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err == nil {
			numbers[uint64(number)] = k
			err = s.readHours(ctx, c, k, number)
		}
		if err != nil {
			return fmt.Errorf("store: %w", withHint(err))
		}
	}
	if err := s.readMinutes(ctx, c, numbers); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

const (
	hourQuery   = "SELECT rowid, hour, body, 0 FROM hours WHERE series = ? AND hour BETWEEN ? AND ?"
	minuteQuery = `SELECT coalesce(d.rowid, h.rowid), h.hour, coalesce(d.body, h.body), d.body IS NOT NULL FROM hours h
		LEFT JOIN details d ON d.series = h.series AND d.hour = h.hour WHERE h.series = ? AND h.hour BETWEEN ? AND ?`
)

// readHours reads the past hours of a series: minute by minute if the step is under an hour and the minutes are still
// kept.
func (s *Store) readHours(ctx context.Context, c *rollup.Curves, k ledger.Key, number int64) error {
	query := minuteQuery
	if c.Step >= time.Hour {
		query = hourQuery
	}
	return s.read(ctx, s.db, "hours", query, []any{number, hourOf(c.From), hourOf(c.To)}, func(r *row) error {
		var hour int64
		var body sql.RawBytes
		var fine bool
		if err := r.Scan(&hour, &body, &fine); err != nil {
			return err
		}
		err := rollup.Unpack(body, func(minute uint64, u *rollup.Rollup) {
			if !fine {
				minute = 0
			}
			c.Add(k, atHour(hour).Add(time.Duration(minute)*time.Minute), u)
		})
		if err != nil && fine {
			s.skip("details", r.key, err)
			return nil
		}
		return err
	})
}

// readMinutes reads the current hour of all series.
func (s *Store) readMinutes(ctx context.Context, c *rollup.Curves, numbers map[uint64]ledger.Key) error {
	wanted := func(number uint64) bool { _, ok := numbers[number]; return ok }
	const query = "SELECT rowid, minute, body FROM minutes WHERE minute BETWEEN ? AND ?"
	return s.read(ctx, s.db, "minutes", query, []any{minuteOf(c.From), minuteOf(c.To)}, func(r *row) error {
		var minute int64
		var body sql.RawBytes
		if err := r.Scan(&minute, &body); err != nil {
			return err
		}
		return rollup.UnpackSome(body, wanted, func(number uint64, u *rollup.Rollup) {
			c.Add(numbers[number], atMinute(minute), u)
		})
	})
}

// Keys lists the series of services; without services, of all.
func (s *Store) Keys(ctx context.Context, services ...string) ([]ledger.Key, error) {
	query, args := "SELECT id, service, probe, kind, vantage FROM series", []any{}
	if len(services) > 0 {
		names, err := json.Marshal(services)
		if err != nil {
			return nil, err
		}
		query += " WHERE service IN (SELECT value FROM json_each(?))"
		args = append(args, string(names))
	}
	var keys []ledger.Key
	err := s.read(ctx, s.db, "series", query+" ORDER BY service, probe, vantage", args, func(r *row) error {
		var k ledger.Key
		var kind, vantage string
		if err := r.Scan(&k.Service, &k.Probe, &kind, &vantage); err != nil {
			return err
		}
		if k.Kind.UnmarshalText([]byte(kind)) != nil || k.Vantage.UnmarshalText([]byte(vantage)) != nil {
			return nil // written by a newer version
		}
		keys = append(keys, k)
		return nil
	})
	return keys, err
}

// Begin returns when netwatchd first ran, as far as the store remembers; the zero time if it never did.
func (s *Store) Begin(ctx context.Context) (time.Time, error) {
	var first sql.NullInt64
	if err := s.db.QueryRowContext(ctx, "SELECT min(started) FROM runs").Scan(&first); err != nil {
		return time.Time{}, fmt.Errorf("store: %w", err)
	}
	if !first.Valid {
		return time.Time{}, nil
	}
	return fromMillis(first.Int64), nil
}

// Gaps lists the spans without monitoring between from and to, in order of their start. The daemon's latest run is
// assumed to continue unless its end is stored.
func (s *Store) Gaps(ctx context.Context, from, to time.Time) ([]incident.Gap, error) {
	var absences []incident.Gap
	add := func(from, to time.Time, asleep bool) {
		if from.Before(to) {
			absences = append(absences, incident.Gap{From: from, To: to, Suspended: asleep})
		}
	}
	seen := from
	ended := true
	const runs = `SELECT rowid, started, coalesce(ended, seen), ended IS NOT NULL FROM runs
		WHERE seen >= ? AND started < ? ORDER BY started`
	span := []any{from.UnixMilli(), to.UnixMilli()}
	err := s.read(ctx, s.db, "runs", runs, span, func(r *row) error {
		var started, last int64
		if err := r.Scan(&started, &last, &ended); err != nil {
			return err
		}
		add(seen, fromMillis(started), false)
		if fromMillis(last).After(seen) {
			seen = fromMillis(last)
		}
		return nil
	})
	if ended {
		add(seen, to, false)
	}
	if err == nil {
		const suspends = "SELECT id, at, away FROM suspends WHERE at > ? AND at - away < ?"
		err = s.read(ctx, s.db, "suspends", suspends, span, func(r *row) error {
			suspend, err := decodeSuspend(r)
			if err == nil {
				add(suspend.At.Add(-suspend.Away), suspend.At, true)
			}
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	slices.SortStableFunc(absences, func(a, b incident.Gap) int { return a.From.Compare(b.From) })
	return absences, nil
}
