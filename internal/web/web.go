// Package web serves the page, the API and the metrics.
package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
)

// A Source says what is known now.
type Source interface {
	Status(context.Context) (*watch.Status, error)
}

// A Server answers from what others know; it knows nothing itself.
type Server struct {
	Source  Source
	Results func() []probe.Result           // the latest of every probe
	History History                         // nil: none is kept
	Events  *Events                         // an observer of what Source knows
	Ready   <-chan struct{}                 // closed after the first full round
	Reload  func(ctx context.Context) error // nil: there is nothing to reload
	Metrics http.Handler
	Version string
	Log     *slog.Logger

	Hosts     []string // names this server may be asked by on loopback, beside those nobody else can own
	Profiling bool     // serve /debug/pprof/

	reloading sync.Mutex
}

// Handler returns the whole of it.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, serve := range s.routes() {
		mux.HandleFunc(pattern, serve)
	}
	s.refuseTheRest(mux)
	routeAssets(mux)
	if s.Profiling {
		profile(mux)
	}
	return s.guard(mux)
}

// routes are all that is served, assets aside. openapi.yaml describes those that are not pages.
func (s *Server) routes() map[string]http.HandlerFunc {
	all := map[string]http.HandlerFunc{
		"GET /{$}":                   s.page,
		"GET /services/{service}":    s.page,
		"GET /incidents":             s.incidentsPage,
		"GET /incidents/{id}":        s.incidentPage,
		"GET /incidents/{id}/{file}": s.download,
		"GET /badge/{picture}":       s.badge,

		"GET /metrics":   s.Metrics.ServeHTTP,
		"GET /-/healthy": s.healthy,
		"GET /-/ready":   s.ready,

		"GET /api/v1/status":         s.apiStatus,
		"GET /api/v1/results":        s.apiResults,
		"GET /api/v1/events":         s.apiEvents,
		"GET /api/v1/history":        s.apiHistory,
		"GET /api/v1/incidents":      s.apiIncidents,
		"GET /api/v1/incidents/{id}": s.apiIncident,
		"GET /api/v1/openapi.yaml":   s.apiDocument,
	}
	if s.Reload != nil {
		all["POST /-/reload"] = s.reload
		all["PUT /-/reload"] = s.reload // as Prometheus has it
	}
	return all
}

func profile(mux *http.ServeMux) {
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
}

// answerWait bounds how long the watcher may take to answer: it does so within microseconds, unless it is stuck.
const answerWait = time.Second

func (s *Server) status(r *http.Request) (*watch.Status, error) {
	ctx, cancel := context.WithTimeout(r.Context(), answerWait)
	defer cancel()
	return s.Source.Status(ctx)
}

func (s *Server) healthy(w http.ResponseWriter, r *http.Request) {
	if _, err := s.status(r); err != nil {
		http.Error(w, "netwatchd is not healthy: the watcher does not answer: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	say(w, "netwatchd is healthy.")
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	select {
	case <-s.Ready:
		say(w, "netwatchd is ready.")
	default:
		http.Error(w, "netwatchd is not ready: the first round is not over.", http.StatusServiceUnavailable)
	}
}

// reloadWait is under writeTimeout, so that the answer still gets out.
const reloadWait = 20 * time.Second

func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	s.reloading.Lock() // one after the other: the last to ask gets the file as it is then
	defer s.reloading.Unlock()
	// A caller that hangs up must not leave a reload half done.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), reloadWait)
	defer cancel()
	if err := s.Reload(ctx); err != nil {
		http.Error(w, "the configuration was not reloaded, the one before stays in force:\n"+err.Error(), http.StatusInternalServerError)
		return
	}
	say(w, "the configuration was reloaded.")
}

func say(w http.ResponseWriter, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(line + "\n"))
}
