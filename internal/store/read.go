package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"netwatchd/internal/incident"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
)

// Incidents returns the matching incidents, the latest first, and the total number that match.
func (s *Store) Incidents(ctx context.Context, f incident.Filter) (found []*incident.Incident, total int, err error) {
	where, args := "1 = 1", []any{}
	if len(f.Services) > 0 {
		names, err := json.Marshal(f.Services)
		if err != nil {
			return nil, 0, err
		}
		where, args = "service IN (SELECT value FROM json_each(?))", []any{string(names)}
	}
	if f.OpenOnly {
		where += " AND closed IS NULL"
	}
	switch f.Kind {
	case incident.AnyKind:
	case incident.Faults:
		where += " AND observation = 0"
	case incident.Observations:
		where += " AND observation = 1"
	}
	row := s.db.QueryRowContext(ctx, "SELECT count(*) FROM incidents WHERE "+where, args...)
	if err := row.Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("store: %w", withHint(err))
	}
	if f.Limit <= 0 {
		f.Limit = -1
	}
	args = append(args, f.Limit, f.Offset)
	found, err = s.incidents(ctx, "WHERE "+where+" ORDER BY opened DESC, id DESC LIMIT ? OFFSET ?", args)
	return found, total, err
}

// Incident returns one incident, or [incident.ErrNotFound].
func (s *Store) Incident(ctx context.Context, id string) (*incident.Incident, error) {
	found, err := s.incidents(ctx, "WHERE id = ?", []any{id})
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, fmt.Errorf("%q: %w", id, incident.ErrNotFound)
	}
	return found[0], nil
}

func (s *Store) incidents(ctx context.Context, which string, args []any) (found []*incident.Incident, err error) {
	const query = "SELECT id, service, day, number, body FROM incidents "
	err = s.read(ctx, s.db, "incidents", query+which, args, func(r *row) error {
		i, err := decodeIncident(r)
		if err == nil {
			found = append(found, i)
		}
		return err
	})
	if err == nil {
		err = s.addNotes(ctx, found)
	}
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return found, nil
}

// decodeIncident reads a row that ends in service, day, number and body; more are the columns before these.
func decodeIncident(r *row, more ...any) (*incident.Incident, error) {
	i := new(incident.Incident)
	var body sql.RawBytes
	var service string
	if err := r.Scan(append(more, &service, &i.Day, &i.Number, &body)...); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(body, i); err != nil {
		return nil, err
	}
	i.ID, i.Service = r.key, service
	return i, nil
}

func (s *Store) addNotes(ctx context.Context, to []*incident.Incident) error {
	ids := make([]string, len(to))
	for n, i := range to {
		ids[n], i.Notes = i.ID, nil
	}
	names, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	const query = "SELECT id, incident, at, text FROM notes WHERE incident IN (SELECT value FROM json_each(?)) ORDER BY id"
	return s.read(ctx, s.db, "notes", query, []any{string(names)}, func(r *row) error {
		var id string
		var at int64
		var n incident.Note
		if err := r.Scan(&id, &at, &n.Text); err != nil {
			return err
		}
		n.At = fromMillis(at)
		i := to[slices.Index(ids, id)]
		i.Notes = append(i.Notes, n)
		return nil
	})
}

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// A State is what the daemon needs from earlier runs.
type State struct {
	Latest  []*incident.Incident // the latest fault, and the latest observation of each kind, of each service
	Numbers map[string]int       // the highest incident number used, by "day-service"
	Kept    map[string]watch.Kept
}

// State reads it.
func (s *Store) LoadState(ctx context.Context) (*State, error) {
	p := &State{Numbers: make(map[string]int), Kept: make(map[string]watch.Kept)}
	var err error
	// An open incident is the latest, whatever the clock showed when others were opened.
	// Observations of backtests and those that agents report are of two kinds.
	p.Latest, err = s.incidents(ctx, `WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER
		(PARTITION BY service, observation, observation AND instr(body, '"agent_reports":') > 0 ORDER BY closed IS NULL DESC, opened DESC, number DESC) AS place FROM incidents) WHERE place = 1)`, nil)
	if err != nil {
		return nil, err
	}
	err = s.read(ctx, s.db, "incidents", "SELECT id, number FROM incidents", nil, func(r *row) error {
		var n int
		if err := r.Scan(&n); err != nil {
			return err
		}
		if day, service, _, ok := incident.ParseID(r.key); ok {
			p.Numbers[day+"-"+service] = max(p.Numbers[day+"-"+service], n)
		}
		return nil
	})
	if err == nil {
		err = s.read(ctx, s.db, "costs", "SELECT service, body FROM costs", nil, func(r *row) error {
			var c watch.Kept
			err := decodeJSON(r, &c)
			if err == nil {
				p.Kept[r.key] = c
			}
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return p, nil
}

// aftermath is how long after its end an incident includes runs of the agent: they confirm the recovery, and a
// scheduled run comes within the hour by default.
const aftermath = time.Hour

// detailLimit bounds each list: a fault that flaps all night has thousands of verdicts, and nobody reads more than
// these.
const detailLimit = 500

// Detail returns everything stored about an incident, or [incident.ErrNotFound].
func (s *Store) Detail(ctx context.Context, id string) (*incident.Detail, error) {
	i, err := s.Incident(ctx, id)
	if err != nil {
		return nil, err
	}
	d := &incident.Detail{Incident: i}
	until := fromMillis(1 << 62 / 1_000_000)
	if i.Closed != nil {
		until = i.Closed.Add(aftermath)
	}
	for _, read := range []func() error{
		func() error { return s.readVerdicts(ctx, d) },
		func() error {
			return s.results(ctx, &d.Evidence, "evidence",
				"SELECT rowid, body FROM evidence WHERE incident = ? ORDER BY at LIMIT ?", i.ID, detailLimit)
		},
		func() error { return s.readAttempts(ctx, d, until) },
		func() error { return s.readSuspends(ctx, d, until) },
		func() error { return s.readDaemonRuns(ctx, d, until) },
		func() error { return s.readSnapshot(ctx, &d.Snapshot, "snapshots", i.ID) },
		func() error { return s.readSnapshot(ctx, &d.End, "end_snapshots", i.ID) },
	} {
		if err := read(); err != nil {
			return nil, fmt.Errorf("store: incident %s: %w", id, err)
		}
	}
	return d, nil
}

func (s *Store) readAttempts(ctx context.Context, d *incident.Detail, until time.Time) error {
	const query = `SELECT id, body FROM attempts WHERE service = ? AND manual = ? AND at BETWEEN ? AND ?
		ORDER BY id LIMIT ?`
	from := d.Incident.Opened.Add(-aftermath).UnixMilli()
	err := s.results(ctx, &d.Attempts, "attempts", query, d.Incident.Service, 0, from, until.UnixMilli(), detailLimit)
	if err == nil {
		err = s.results(ctx, &d.Manual, "attempts", query, d.Incident.Service, 1, from, until.UnixMilli(), detailLimit)
	}
	return err
}

func (s *Store) readSnapshot(ctx context.Context, into *json.RawMessage, table, id string) error {
	query := "SELECT incident, body FROM " + table + " WHERE incident = ?"
	return s.read(ctx, s.db, table, query, []any{id}, func(r *row) error { return decodeJSON(r, into) })
}

// decodeJSON decodes a row that has nothing but its key and a body.
func decodeJSON(r *row, into any) error {
	var body sql.RawBytes
	if err := r.Scan(&body); err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

func (s *Store) readVerdicts(ctx context.Context, d *incident.Detail) error {
	const query = "SELECT id, at, was, body FROM verdicts WHERE incident = ? ORDER BY id LIMIT ?"
	return s.read(ctx, s.db, "verdicts", query, []any{d.Incident.ID, detailLimit}, func(r *row) error {
		v, err := decodeVerdict(r)
		if err == nil {
			v.Incident = d.Incident.ID
			d.Verdicts = append(d.Verdicts, v)
		}
		return err
	})
}

func decodeVerdict(r *row) (v incident.VerdictChange, err error) {
	var at int64
	var was string
	var body sql.RawBytes
	if err := r.Scan(&at, &was, &body); err != nil {
		return v, err
	}
	v.At = fromMillis(at)
	_ = v.Was.UnmarshalText([]byte(was)) // a cause of a newer version is inconclusive to this one
	return v, json.Unmarshal(body, &v.Status)
}

// results reads rows that have a key and a result as their body.
func (s *Store) results(ctx context.Context, into *[]probe.Result, table, query string, args ...any) error {
	return s.read(ctx, s.db, table, query, args, func(r *row) error {
		var result probe.Result
		err := decodeJSON(r, &result)
		if err == nil {
			*into = append(*into, result)
		}
		return err
	})
}

func (s *Store) readSuspends(ctx context.Context, d *incident.Detail, until time.Time) error {
	const query = "SELECT id, at, away FROM suspends WHERE at BETWEEN ? AND ? ORDER BY id LIMIT ?"
	args := []any{d.Incident.Opened.UnixMilli(), until.UnixMilli(), detailLimit}
	return s.read(ctx, s.db, "suspends", query, args, func(r *row) error {
		suspend, err := decodeSuspend(r)
		if err == nil {
			d.Suspends = append(d.Suspends, suspend)
		}
		return err
	})
}

func (s *Store) readDaemonRuns(ctx context.Context, d *incident.Detail, until time.Time) error {
	const query = `SELECT rowid, version, started, seen, ended FROM runs WHERE seen >= ? AND started <= ?
		ORDER BY started LIMIT ?`
	args := []any{d.Incident.Opened.UnixMilli(), until.UnixMilli(), detailLimit}
	return s.read(ctx, s.db, "runs", query, args, func(r *row) error {
		run, err := decodeRun(r)
		if err == nil {
			d.Runs = append(d.Runs, run)
		}
		return err
	})
}

func decodeRun(r *row) (run incident.DaemonRun, err error) {
	var started, seen int64
	var ended sql.NullInt64
	err = r.Scan(&run.Version, &started, &seen, &ended)
	run.Started, run.Seen = fromMillis(started), fromMillis(seen)
	if ended.Valid {
		run.Ended = fromMillis(ended.Int64)
	}
	return run, err
}

func decodeSuspend(r *row) (incident.Suspend, error) {
	var at, away int64
	err := r.Scan(&at, &away)
	return incident.Suspend{At: fromMillis(at), Away: time.Duration(away) * time.Millisecond}, err
}
