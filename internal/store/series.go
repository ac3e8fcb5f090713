package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"
)

// Curves are what is known of some series from one moment to another, in steps of a minute or more. Where nothing was
// attempted there is no point: a gap is a gap. Where only hours are left, there are no finer points.
type Curves struct {
	From, To time.Time
	Step     time.Duration
	points   map[Key]map[int64]*Rollup // by the number of the step
}

// A Point is a step of a series.
type Point struct {
	At time.Time // its beginning
	Rollup
}

// NewCurves returns curves of keys without any point.
func NewCurves(keys []Key, from, to time.Time, step time.Duration) *Curves {
	c := &Curves{From: from, To: to, Step: max(step, time.Minute), points: make(map[Key]map[int64]*Rollup, len(keys))}
	for _, k := range keys {
		c.points[k] = make(map[int64]*Rollup)
	}
	return c
}

// Keys are the series they are of.
func (c *Curves) Keys() iter.Seq[Key] { return maps.Keys(c.points) }

// Add adds what was attempted at a time to the curve of k, if it is wanted.
func (c *Curves) Add(k Key, at time.Time, u *Rollup) {
	points := c.points[k]
	if points == nil || at.Before(c.From) || !at.Before(c.To) {
		return
	}
	n := floor(at.UnixMilli(), c.Step.Milliseconds())
	if points[n] == nil {
		points[n] = new(Rollup)
	}
	points[n].Merge(u)
}

// Points are those of k, in order.
func (c *Curves) Points(k Key) []Point {
	points := make([]Point, 0, len(c.points[k]))
	for n, u := range c.points[k] {
		points = append(points, Point{time.UnixMilli(n * c.Step.Milliseconds()).UTC(), *u})
	}
	slices.SortFunc(points, func(a, b Point) int { return a.At.Compare(b.At) })
	return points
}

// Series adds what is stored to curves.
func (s *Store) Series(ctx context.Context, c *Curves) error {
	numbers := make(map[uint64]Key, len(c.points))
	for k := range c.points {
		number, err := seriesNumber(ctx, s.db, k)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err == nil {
			numbers[uint64(number)] = k
			err = s.readHours(ctx, c, k, number)
		}
		if err != nil {
			return fmt.Errorf("store: %w", hint(err))
		}
	}
	if err := s.readMinutes(ctx, c, numbers); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

const (
	byHours   = "SELECT hour, body, 0 FROM hours WHERE series = ? AND hour BETWEEN ? AND ?"
	byMinutes = `SELECT h.hour, coalesce(d.body, h.body), d.body IS NOT NULL FROM hours h
		LEFT JOIN details d ON d.series = h.series AND d.hour = h.hour WHERE h.series = ? AND h.hour BETWEEN ? AND ?`
)

// readHours reads the hours of a series that are over: by minutes if the step wants them and where they are not gone.
func (s *Store) readHours(ctx context.Context, c *Curves, k Key, number int64) error {
	query := byMinutes
	if c.Step >= time.Hour {
		query = byHours
	}
	return s.rows(ctx, query, []any{number, hourOf(c.From), hourOf(c.To)}, func(r *sql.Rows) error {
		var hour int64
		var body sql.RawBytes
		var fine bool
		if err := r.Scan(&hour, &body, &fine); err != nil {
			return err
		}
		return unpack(body, func(minute uint64, u *Rollup) {
			if !fine {
				minute = 0
			}
			c.Add(k, atHour(hour).Add(time.Duration(minute)*time.Minute), u)
		})
	})
}

// readMinutes reads the hour that is not over yet, of all series.
func (s *Store) readMinutes(ctx context.Context, c *Curves, numbers map[uint64]Key) error {
	wanted := func(number uint64) bool { _, ok := numbers[number]; return ok }
	const query = "SELECT minute, body FROM minutes WHERE minute BETWEEN ? AND ?"
	return s.rows(ctx, query, []any{minuteOf(c.From), minuteOf(c.To)}, func(r *sql.Rows) error {
		var minute int64
		var body sql.RawBytes
		if err := r.Scan(&minute, &body); err != nil {
			return err
		}
		return unpackSome(body, wanted, func(number uint64, u *Rollup) { c.Add(numbers[number], atMinute(minute), u) })
	})
}

// Keys lists the series of services, or every one there is if none is named.
func (s *Store) Keys(ctx context.Context, services ...string) ([]Key, error) {
	query, args := "SELECT service, probe, kind, vantage FROM series", []any{}
	if len(services) > 0 {
		names, err := json.Marshal(services)
		if err != nil {
			return nil, err
		}
		query += " WHERE service IN (SELECT value FROM json_each(?))"
		args = append(args, string(names))
	}
	var keys []Key
	err := s.rows(ctx, query+" ORDER BY service, probe, vantage", args, func(r *sql.Rows) error {
		var k Key
		var kind, vantage string
		if err := r.Scan(&k.Service, &k.Probe, &kind, &vantage); err != nil {
			return err
		}
		if k.Kind.UnmarshalText([]byte(kind)) != nil || k.Vantage.UnmarshalText([]byte(vantage)) != nil {
			return nil // of a newer program
		}
		keys = append(keys, k)
		return nil
	})
	return keys, err
}

// An Absence is a span in which nothing was watched.
type Absence struct {
	From, To time.Time
	Asleep   bool // this host was; otherwise netwatchd did not run
}

// Absences lists those between two moments, in order of their beginning. The daemon's latest run is taken to go on unless
// it has said that it ended.
func (s *Store) Absences(ctx context.Context, from, to time.Time) ([]Absence, error) {
	var absences []Absence
	add := func(from, to time.Time, asleep bool) {
		if from.Before(to) {
			absences = append(absences, Absence{from, to, asleep})
		}
	}
	seen := from
	ended := true
	const runs = "SELECT started, coalesce(ended, seen), ended IS NOT NULL FROM runs WHERE seen >= ? AND started < ? ORDER BY started"
	err := s.rows(ctx, runs, []any{from.UnixMilli(), to.UnixMilli()}, func(r *sql.Rows) error {
		var started, last int64
		if err := r.Scan(&started, &last, &ended); err != nil {
			return err
		}
		add(seen, moment(started), false)
		if moment(last).After(seen) {
			seen = moment(last)
		}
		return nil
	})
	if ended {
		add(seen, to, false)
	}
	if err == nil {
		err = s.rows(ctx, "SELECT at, away FROM suspends WHERE at > ? AND at - away < ?", []any{from.UnixMilli(), to.UnixMilli()}, func(r *sql.Rows) error {
			var at, away int64
			err := r.Scan(&at, &away)
			add(moment(at-away), moment(at), true)
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	slices.SortStableFunc(absences, func(a, b Absence) int { return a.From.Compare(b.From) })
	return absences, nil
}
