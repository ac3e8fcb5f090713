package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"time"

	"netwatchd/internal/incident"
	"netwatchd/internal/probe"
	"netwatchd/internal/snapshot"
	"netwatchd/internal/watch"
)

const (
	// backtestLimit bounds the body, in bytes: 40 runs and a round take about 100 KB, a snapshot with the agent's largest
	// configuration 256 KB.
	backtestLimit = 2 << 20
	// runsLimit is twice the most runs of one backtest: on the host, and again in the sandbox.
	runsLimit = 40
	// resultsLimit bounds the round.
	resultsLimit = 500
	// backtestAge is how old its runs may be: 40 runs of 90 s take an hour.
	backtestAge = 24 * time.Hour
	// recordTimeout bounds how long the response waits for the disk. After that the backtest is in memory, and written
	// later.
	recordTimeout = 3 * time.Second
)

// apiBacktest records what 'netwatchd backtest' did. It has the protection of a reload: no cross-origin request, no
// unknown host name.
func (s *Server) apiBacktest(w http.ResponseWriter, r *http.Request) {
	if !(parameters{}).read(w, r) {
		return
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		writeError(w, r, http.StatusUnsupportedMediaType, "unsupported_media_type", "send application/json")
		return
	}
	b, err := readBacktest(http.MaxBytesReader(w, r.Body, backtestLimit), time.Now())
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		writeError(w, r, http.StatusRequestEntityTooLarge, "too_large", err.Error())
		return
	} else if err != nil {
		writeError(w, r, http.StatusBadRequest, "bad_backtest", err.Error())
		return
	}
	status, err := s.status(r)
	if err != nil {
		writeError(w, r, http.StatusServiceUnavailable, "unavailable", "the watcher does not respond: "+err.Error())
		return
	}
	if !slices.ContainsFunc(status.Services, func(one watch.ServiceStatus) bool { return one.Service == b.Service }) {
		writeError(w, r, http.StatusNotFound, "not_found", fmt.Sprintf("no such service: %q", b.Service))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), recordTimeout)
	defer cancel()
	found := s.RecordBacktest(ctx, b)
	writeJSON(w, http.StatusOK, struct {
		Incident *incident.Incident `json:"incident"`
	}{found})
}

// readBacktest reads a backtest and checks what the history relies on: any program of this host can send one.
func readBacktest(body io.Reader, now time.Time) (*incident.Backtest, error) {
	b := new(incident.Backtest)
	if err := json.NewDecoder(body).Decode(b); err != nil {
		return nil, fmt.Errorf("malformed backtest: %w", err)
	}
	switch {
	case len(b.Runs) == 0 || len(b.Runs) > runsLimit:
		return nil, fmt.Errorf("%d runs: send 1 to %d", len(b.Runs), runsLimit)
	case len(b.Status.Results) > resultsLimit || len(b.Status.Evidence) > resultsLimit:
		return nil, fmt.Errorf("a round with more than %d results", resultsLimit)
	}
	for _, r := range b.Runs {
		if r.Service != b.Service || r.Kind != probe.KindExec || r.Role != probe.OfService {
			return nil, errors.New("a run is not an exec probe of the service")
		}
	}
	for _, r := range slices.Concat(b.Status.Results, b.Status.Evidence) {
		if r.Start.Before(now.Add(-backtestAge)) || r.Start.After(now.Add(time.Minute)) {
			return nil, errors.New("a result is too old, or in the future")
		}
	}
	if from, to := b.Span(); from.Before(now.Add(-backtestAge)) || to.After(now.Add(time.Minute)) {
		return nil, errors.New("a run is too old, or in the future")
	}
	if len(b.Snapshot) > 0 { // keep only what a snapshot has
		var s snapshot.Snapshot
		if err := json.Unmarshal(b.Snapshot, &s); err != nil {
			return nil, fmt.Errorf("malformed snapshot: %w", err)
		}
		var err error
		if b.Snapshot, err = json.Marshal(s); err != nil {
			return nil, err
		}
	}
	return b, nil
}
