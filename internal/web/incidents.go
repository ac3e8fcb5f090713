package web

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"netwatchd/internal/incident"
	"netwatchd/internal/ledger"
	"netwatchd/internal/record"
	"netwatchd/internal/store"
)

// History says what was.
type History interface {
	Incidents(context.Context, store.Filter) (found []*incident.Incident, total int, err error)
	// Record's error is [store.ErrNoIncident] if there is none of that ID.
	Record(ctx context.Context, id string) (*record.Record, error)

	// Keys lists the series of services, all of them if none is named.
	Keys(ctx context.Context, services ...string) ([]ledger.Key, error)
	// Series adds what was measured to curves.
	Series(context.Context, *store.Curves) error
	// Absences are the spans in which nothing was watched.
	Absences(ctx context.Context, from, to time.Time) ([]store.Absence, error)

	// Fault says why history is not being kept, and what to do; empty: it is.
	Fault() string
}

// apiIncidents answers with incidents, the latest first; total counts those that match, beyond the limit too.
func (s *Server) apiIncidents(w http.ResponseWriter, r *http.Request) {
	f, err := parseFilter(r.URL.Query())
	if err != nil {
		refuse(w, r, http.StatusBadRequest, "bad_parameter", err.Error())
		return
	}
	if s.History == nil {
		refuse(w, r, http.StatusServiceUnavailable, "unavailable", "no history is kept")
		return
	}
	found, total, err := s.History.Incidents(r.Context(), f)
	if err != nil {
		refuse(w, r, http.StatusServiceUnavailable, "unavailable", err.Error())
		return
	}
	answer(w, http.StatusOK, struct {
		Incidents []*incident.Incident `json:"incidents"`
		Total     int                  `json:"total"`
	}{append([]*incident.Incident{}, found...), total})
}

// apiIncident answers with the record of one incident.
func (s *Server) apiIncident(w http.ResponseWriter, r *http.Request) {
	if s.History == nil {
		refuse(w, r, http.StatusServiceUnavailable, "unavailable", "no history is kept")
		return
	}
	found, err := s.History.Record(r.Context(), r.PathValue("id"))
	switch {
	case errors.Is(err, store.ErrNoIncident):
		refuse(w, r, http.StatusNotFound, "not_found", "there is no incident "+r.PathValue("id"))
		return
	case err != nil:
		refuse(w, r, http.StatusServiceUnavailable, "unavailable", err.Error())
		return
	}
	body, err := found.JSON()
	if err != nil {
		refuse(w, r, http.StatusInternalServerError, "internal", err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

// parseFilter refuses what it does not know: a misspelt filter would otherwise pass everything.
func parseFilter(v url.Values) (store.Filter, error) {
	f := store.Filter{Services: v["service"], Limit: usualLimit}
	var err error
	parsers := map[string]func() error{
		"service": func() error { return nil },
		"open":    func() error { f.OpenOnly, err = flag(v.Get("open")); return err },
		"limit":   func() error { f.Limit, err = number(v.Get("limit"), 1, mostLimit); return err },
		"offset":  func() error { f.Offset, err = number(v.Get("offset"), 0, 1<<31-1); return err },
	}
	for name := range v {
		parse := parsers[name]
		if parse == nil {
			return f, fmt.Errorf("unknown parameter %q: use %s", name, strings.Join(slices.Sorted(maps.Keys(parsers)), ", "))
		}
		if err := parse(); err != nil {
			return f, fmt.Errorf("%s: %w", name, err)
		}
	}
	return f, nil
}

func flag(text string) (bool, error) {
	switch text {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", text)
}
