package web

import (
	"net/http"
	"slices"

	"netwatchd/internal/probe"
)

// Ten thousand probes are a normal configuration. One response may hold all of them, which is 3 MB; by default it
// holds a thousand.
const (
	defaultLimit = 1_000
	maxLimit     = 10_000
)

// apiResults lists the latest result of every matching probe, by service, probe, kind and vantage.
func (s *Server) apiResults(w http.ResponseWriter, r *http.Request) {
	var f filter
	var part window
	known := part.with(defaultLimit, maxLimit, parameters{
		"service": anyOf(&f.services),
		"probe":   anyOf(&f.probes),
		"vantage": wordsOf(&f.vantages),
		"class":   wordsOf(&f.classes),
	})
	if !known.read(w, r) {
		return
	}
	matching := slices.DeleteFunc(s.Results(), func(r probe.Result) bool { return !f.matches(r) })
	from := min(part.offset, len(matching))
	shown := matching[from:min(from+part.limit, len(matching))]
	writeJSON(w, http.StatusOK, struct {
		Results []probe.Result `json:"results"`
		list
	}{append([]probe.Result{}, shown...), listOf(r, part, len(shown), len(matching))})
}

// A filter selects results. An empty list matches everything.
type filter struct {
	services, probes []string
	vantages         []probe.Vantage
	classes          []probe.Class
}

func (f filter) matches(r probe.Result) bool {
	return among(f.services, r.Service) && among(f.probes, r.Name) && among(f.vantages, r.Vantage) &&
		among(f.classes, r.Class)
}

func among[T comparable](wanted []T, v T) bool {
	return len(wanted) == 0 || slices.Contains(wanted, v)
}
