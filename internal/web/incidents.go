package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"netwatchd/internal/incident"
	"netwatchd/internal/ledger"
	"netwatchd/internal/record"
	"netwatchd/internal/rollup"
)

// History reads the past.
type History interface {
	Incidents(context.Context, incident.Filter) (found []*incident.Incident, total int, err error)
	// Record returns [incident.ErrNotFound] if there is no incident with that ID.
	Record(ctx context.Context, id string) (*record.Record, error)

	// Keys lists the series of services; without services, of all.
	Keys(ctx context.Context, services ...string) ([]ledger.Key, error)
	// Series adds the measurements to curves.
	Series(context.Context, *rollup.Curves) error
	// Begin is when netwatchd first ran; zero if that is not known.
	Begin(context.Context) (time.Time, error)
	// Gaps are the spans in which nothing was watched.
	Gaps(ctx context.Context, from, to time.Time) ([]incident.Gap, error)

	// Fault is why history cannot be written, and what to do; empty if it can.
	Fault() string
}

// apiIncidents lists the matching incidents, the latest first.
func (s *Server) apiIncidents(w http.ResponseWriter, r *http.Request) {
	var f incident.Filter
	var part window
	var open, observation string
	filter := parameters{"service": anyOf(&f.Services), "open": oneOf(&open, "true", "false"),
		"observation": oneOf(&observation, "true", "false")}
	if !part.with(defaultLimit, maxLimit, filter).read(w, r) {
		return
	}
	switch observation {
	case "true":
		f.Kind = incident.Observations
	case "false":
		f.Kind = incident.Faults
	}
	if s.History == nil {
		writeError(w, r, http.StatusServiceUnavailable, "unavailable", "there is no history")
		return
	}
	f.OpenOnly, f.Limit, f.Offset = open == "true", part.limit, part.offset
	found, total, err := s.History.Incidents(r.Context(), f)
	if err != nil {
		writeError(w, r, http.StatusServiceUnavailable, "unavailable", err.Error())
		return
	}
	writeJSON(w, http.StatusOK, struct {
		Incidents []*incident.Incident `json:"incidents"`
		list
	}{append([]*incident.Incident{}, found...), listOf(r, part, len(found), total)})
}

// apiIncident returns the record of one incident.
func (s *Server) apiIncident(w http.ResponseWriter, r *http.Request) {
	format := "json"
	if !(parameters{"format": oneOf(&format, "json", "markdown")}).read(w, r) {
		return
	}
	if s.History == nil {
		writeError(w, r, http.StatusServiceUnavailable, "unavailable", "there is no history")
		return
	}
	found, err := s.History.Record(r.Context(), r.PathValue("id"))
	switch {
	case errors.Is(err, incident.ErrNotFound):
		writeError(w, r, http.StatusNotFound, "not_found", "no such incident: "+r.PathValue("id"))
	case err != nil:
		writeError(w, r, http.StatusServiceUnavailable, "unavailable", err.Error())
	case format == "markdown":
		w.Header().Set("Content-Type", "text/markdown; charset=utf-8")
		_, _ = io.WriteString(w, found.Markdown())
	default:
		answerRecord(w, r, found)
	}
}

func answerRecord(w http.ResponseWriter, r *http.Request, found *record.Record) {
	body, err := found.JSON()
	if err != nil {
		writeError(w, r, http.StatusInternalServerError, "internal", err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}
