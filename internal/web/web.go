// Package web serves the page, the API and the metrics.
package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"netwatchd/internal/incident"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
)

// A Source returns the present status.
type Source interface {
	Status(context.Context) (*watch.Status, error)
}

// A Server answers requests from the state of others; it keeps none itself.
type Server struct {
	Source  Source
	Results func() []probe.Result           // the latest result of every probe
	History History                         // nil: no history
	Events  *Events                         // observes the verdicts of Source
	Ready   <-chan struct{}                 // closed after the first full round
	Reload  func(ctx context.Context) error // nil: reloading is not served

	// RecordBacktest records runs that a person made, and returns the incident whose record has them, if any; nil: that is
	// not served.
	RecordBacktest func(ctx context.Context, b *incident.Backtest) *incident.Incident

	Metrics http.Handler
	Version string
	Log     *slog.Logger

	Hosts         []string        // host names accepted besides addresses and local names
	Authenticated func() bool     // reports whether clients must authenticate; nil: they need not
	TokenFile     string          // the token that other hosts need to change something, if clients need not authenticate
	Warnings      func() []string // problems of netwatchd itself that the pages show; nil: none
	Profiling     bool            // serve /debug/pprof/

	reloading sync.Mutex
}

// Handler serves everything.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, serve := range s.routes() {
		mux.HandleFunc(pattern, serve)
	}
	s.rejectOthers(mux)
	routeAssets(mux)
	if s.Profiling {
		profile(mux)
	}
	return s.guard(mux)
}

// routes are all paths except the assets. openapi.yaml describes those that are not pages.
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
		"GET /api/v1/openapi.yaml":   s.apiSpec,
	}
	if s.Reload != nil {
		all["POST /-/reload"] = s.reload
		all["PUT /-/reload"] = s.reload // as in Prometheus
	}
	if s.RecordBacktest != nil {
		all["POST /api/v1/backtests"] = s.apiBacktest
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

// statusTimeout is how long the watcher may take to respond: it needs microseconds unless it is stuck.
const statusTimeout = time.Second

func (s *Server) status(r *http.Request) (*watch.Status, error) {
	ctx, cancel := context.WithTimeout(r.Context(), statusTimeout)
	defer cancel()
	return s.Source.Status(ctx)
}

func (s *Server) healthy(w http.ResponseWriter, r *http.Request) {
	if _, err := s.status(r); err != nil {
		http.Error(w, "netwatchd is not healthy: the watcher does not respond: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	writeText(w, "netwatchd is healthy.")
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	select {
	case <-s.Ready:
		writeText(w, "netwatchd is ready.")
	default:
		http.Error(w, "netwatchd is not ready: the first round is still running.", http.StatusServiceUnavailable)
	}
}

// reloadTimeout is less than writeTimeout, so that the response can still be written.
const reloadTimeout = 20 * time.Second

func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	s.reloading.Lock() // one at a time: the last request reads the newest file
	defer s.reloading.Unlock()
	// A client that disconnects must not stop a reload halfway.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), reloadTimeout)
	defer cancel()
	if err := s.Reload(ctx); err != nil {
		http.Error(w, "reload failed, the previous configuration stays active:\n"+err.Error(), http.StatusInternalServerError)
		return
	}
	writeText(w, "configuration reloaded.")
}

func writeText(w http.ResponseWriter, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(line + "\n"))
}
