package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"netwatchd/internal/ledger"
	"netwatchd/internal/probe"
	"netwatchd/internal/rollup"
	"netwatchd/internal/watch"
)

// Health is the result of checking the store.
type Health struct {
	Path    string   `json:"path"`
	Version int      `json:"version"`
	Bytes   int64    `json:"bytes"`
	Faults  []string `json:"faults"`
	Counts  []Count  `json:"counts"`
	// Malformed lists the databases that were malformed and moved away.
	Malformed []string `json:"malformed"`
}

// Count is the number of rows of a table.
type Count struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
}

// Check reads the whole store in dir, decodes every row and returns every fault it finds.
func Check(ctx context.Context, dir string) (*Health, error) {
	s, err := OpenToRead(dir)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	h := &Health{Path: s.path, Faults: []string{}, Counts: []Count{}}
	if h.Malformed, err = MalformedFiles(filepath.Dir(s.path)); err != nil {
		return nil, err
	}
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
	if err := s.checkOpen(ctx, h); err != nil {
		h.Faults = append(h.Faults, err.Error())
	}
	for _, table := range tables {
		c := Count{Table: table}
		if err := s.db.QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(&c.Rows); err != nil {
			h.Faults = append(h.Faults, err.Error())
		}
		h.Counts = append(h.Counts, c)
	}
	for _, c := range contents {
		if err := s.checkContent(ctx, h, c); err != nil {
			h.Faults = append(h.Faults, err.Error())
		}
	}
	return h, nil
}

// checkOpen checks that each service has at most one open incident.
func (s *Store) checkOpen(ctx context.Context, h *Health) error {
	const query = "SELECT service, count(*) FROM incidents WHERE closed IS NULL GROUP BY service HAVING count(*) > 1"
	return s.rows(ctx, query, nil, func(r *sql.Rows) error {
		var service string
		var n int
		err := r.Scan(&service, &n)
		h.Faults = append(h.Faults, fmt.Sprintf("service %s has %d open incidents instead of one", service, n))
		return err
	})
}

// A content is how the rows of a table are decoded. The key comes first.
type content struct {
	table, columns string
	decode         func(*row) error
}

var contents = []content{
	{"incidents", "id, opened, closed, service, day, number, body", checkIncident},
	{"notes", "id, at, text", func(r *row) error {
		var at int64
		var text string
		return r.Scan(&at, &text)
	}},
	{"snapshots", "incident, body", func(r *row) error { return decodeJSON(r, new(json.RawMessage)) }},
	{"end_snapshots", "incident, body", func(r *row) error { return decodeJSON(r, new(json.RawMessage)) }},
	{"evidence", "rowid, body", func(r *row) error { return decodeJSON(r, new(probe.Result)) }},
	{"attempts", "id, body", func(r *row) error { return decodeJSON(r, new(probe.Result)) }},
	{"verdicts", "id, at, was, body", func(r *row) error {
		_, err := decodeVerdict(r)
		return err
	}},
	{"suspends", "id, at, away", func(r *row) error {
		_, err := decodeSuspend(r)
		return err
	}},
	{"runs", "rowid, version, started, seen, ended", func(r *row) error {
		_, err := decodeRun(r)
		return err
	}},
	{"costs", "service, body", func(r *row) error { return decodeJSON(r, new(watch.Kept)) }},
	{"series", "id, service, probe, kind, vantage", func(r *row) error {
		var key ledger.Key
		var kind, vantage string
		return r.Scan(&key.Service, &key.Probe, &kind, &vantage)
	}},
	{"minutes", "rowid, body", checkPack},
	{"hours", "rowid, body", checkPack},
	{"details", "rowid, body", checkPack},
}

// checkIncident checks that an incident's body agrees with the columns that it is searched by.
func checkIncident(r *row) error {
	var opened int64
	var closed sql.NullInt64
	i, err := decodeIncident(r, &opened, &closed)
	switch {
	case err != nil:
		return err
	case i.Opened.UnixMilli() != opened:
		return fmt.Errorf("opened at %v by its body, and at %v by its column", i.Opened.UTC(), fromMillis(opened))
	case i.IsOpen() == closed.Valid, !i.IsOpen() && i.Closed.UnixMilli() != closed.Int64:
		return fmt.Errorf("its body and its column disagree on when it closed")
	}
	return nil
}

func checkPack(r *row) error {
	var body sql.RawBytes
	if err := r.Scan(&body); err != nil {
		return err
	}
	return rollup.Unpack(body, func(uint64, *rollup.Rollup) {})
}

// faultLimit is how many damaged rows of a table are listed one by one: nobody reads more.
const faultLimit = 20

func (s *Store) checkContent(ctx context.Context, h *Health, c content) error {
	damaged := 0
	err := rows(ctx, s.db, "SELECT "+c.columns+" FROM "+c.table, nil, func(r *sql.Rows) error {
		row := row{Rows: r}
		if err := c.decode(&row); err != nil {
			if damaged++; damaged <= faultLimit {
				h.Faults = append(h.Faults, fmt.Sprintf("%s: row %s is damaged: %v", c.table, row.key, err))
			}
		}
		return nil
	})
	if damaged > faultLimit {
		h.Faults = append(h.Faults, fmt.Sprintf("%s: %d more rows are damaged", c.table, damaged-faultLimit))
	}
	return err
}
