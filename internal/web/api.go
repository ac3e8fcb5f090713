package web

import (
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"netwatchd/internal/probe"
)

// routeAPI also answers for paths and methods that are not there, since a program expects JSON from those as well.
func (s *Server) routeAPI(mux *http.ServeMux) {
	for path, get := range map[string]http.HandlerFunc{
		"/api/v1/status":  s.apiStatus,
		"/api/v1/results": s.apiResults,
		"/api/v1/events":  s.apiEvents,
		"/api/v1/history": s.apiHistory,

		"/api/v1/incidents":      s.apiIncidents,
		"/api/v1/incidents/{id}": s.apiIncident,
	} {
		mux.HandleFunc("GET "+path, get)
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", "GET, HEAD")
			refuse(w, r, http.StatusMethodNotAllowed, "method_not_allowed", r.Method+" is not served here: use GET")
		})
	}
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, r, http.StatusNotFound, "not_found", "there is nothing at "+r.URL.Path)
	})
}

// A fault is how the API says no. Codes are stable; messages are for people.
type fault struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// refuse answers in JSON under /api, in plain text elsewhere.
func refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	if !strings.HasPrefix(r.URL.Path, "/api/") {
		http.Error(w, message, status)
		return
	}
	var f fault
	f.Error.Code, f.Error.Message = code, message
	answer(w, status, f)
}

func answer(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

func (s *Server) apiStatus(w http.ResponseWriter, r *http.Request) {
	status, err := s.status(r)
	if err != nil {
		refuse(w, r, http.StatusServiceUnavailable, "unavailable", "the watcher does not answer: "+err.Error())
		return
	}
	answer(w, http.StatusOK, status)
}

// Ten thousand probes are a normal configuration: they come in one answer of 3 MB if asked for, and a thousand of
// them unless asked for.
const (
	usualLimit = 1_000
	mostLimit  = 10_000
)

// apiResults answers with the latest result of every probe; total counts those that match, beyond the limit too.
func (s *Server) apiResults(w http.ResponseWriter, r *http.Request) {
	q, err := parseQuery(r.URL.Query())
	if err != nil {
		refuse(w, r, http.StatusBadRequest, "bad_parameter", err.Error())
		return
	}
	matching := []probe.Result{}
	for _, r := range s.Results() {
		if q.matches(r) {
			matching = append(matching, r)
		}
	}
	from := min(q.offset, len(matching))
	answer(w, http.StatusOK, struct {
		Results []probe.Result `json:"results"`
		Total   int            `json:"total"`
	}{matching[from:min(from+q.limit, len(matching))], len(matching)})
}

// A query is what /api/v1/results was asked for; every parameter may be given more than once, limit and offset aside.
type query struct {
	services, probes []string
	vantages         []probe.Vantage
	classes          []probe.Class
	limit, offset    int
}

func (q query) matches(r probe.Result) bool {
	return among(q.services, r.Service) && among(q.probes, r.Name) && among(q.vantages, r.Vantage) && among(q.classes, r.Class)
}

func among[T comparable](wanted []T, v T) bool {
	return len(wanted) == 0 || slices.Contains(wanted, v)
}

// parseQuery refuses what it does not know: a misspelt filter would otherwise pass everything.
func parseQuery(v url.Values) (query, error) {
	q := query{services: v["service"], probes: v["probe"]}
	var err error
	parsers := map[string]func() error{
		"service": func() error { return nil },
		"probe":   func() error { return nil },
		"vantage": func() error { q.vantages, err = words[probe.Vantage](v["vantage"]); return err },
		"class":   func() error { q.classes, err = words[probe.Class](v["class"]); return err },
		"limit":   func() error { q.limit, err = number(v.Get("limit"), 1, mostLimit); return err },
		"offset":  func() error { q.offset, err = number(v.Get("offset"), 0, 1<<31-1); return err },
	}
	for name := range v {
		parse := parsers[name]
		if parse == nil {
			known := slices.Sorted(maps.Keys(parsers))
			return q, fmt.Errorf("unknown parameter %q: use %s", name, strings.Join(known, ", "))
		}
		if err := parse(); err != nil {
			return q, fmt.Errorf("%s: %w", name, err)
		}
	}
	if !v.Has("limit") {
		q.limit = usualLimit
	}
	return q, nil
}

// words reads each text as one of T's closed list.
func words[T any, P interface {
	*T
	encoding.TextUnmarshaler
}](texts []string) ([]T, error) {
	read := make([]T, len(texts))
	for i, text := range texts {
		if err := P(&read[i]).UnmarshalText([]byte(text)); err != nil {
			return nil, err
		}
	}
	return read, nil
}

func number(text string, low, high int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("%q is not a whole number from %d to %d", text, low, high)
	}
	return n, nil
}
