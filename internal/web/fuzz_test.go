package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

// No path or query makes the server fail: it answers, or says what is wrong with the request.
func FuzzRequest(f *testing.F) {
	for _, target := range []string{"/", "/api/v1/status", "/api/v1/incidents?service=codex&limit=5&offset=1", "/api/v1/incidents/x",
		"/api/v1/series?service=codex&from=now-1h&to=now&step=1m", "/api/v1/series?from=9999999999999&step=-1s",
		"/incidents/20261123-codex-1", "/static/../../etc/passwd", "/%2e%2e/x", "/api/v1/results?service=%00"} {
		f.Add(target)
	}
	var handler http.Handler
	f.Fuzz(func(t *testing.T, target string) {
		if handler == nil {
			handler = newTestServer(t).Handler()
		}
		u, err := url.Parse(target)
		if err != nil || u.Path == "/api/v1/events" { // a stream without end
			return
		}
		u.Scheme, u.Host = "http", "127.0.0.1"
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u.String(), nil)
		if err != nil {
			return
		}
		r.RequestURI, r.RemoteAddr = u.RequestURI(), "127.0.0.1:4711"
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code >= 500 && w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	})
}
