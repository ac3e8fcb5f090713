package web

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/incident"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
	"netwatchd/internal/webtoken"
)

type source struct {
	status *watch.Status
	err    error
	stuck  bool
}

func (s *source) Status(ctx context.Context) (*watch.Status, error) {
	if s.stuck {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.status, s.err
}

func attempt(service, name string, kind probe.Kind, v probe.Vantage, phase probe.Phase, class probe.Class, why string) probe.Result {
	r := probe.Result{Spec: probe.Spec{Service: service, Name: name, Kind: kind, Target: "chatgpt.com", Vantage: v},
		Start: time.Now(), Elapsed: .084, Class: class, Why: why}
	r.Phase = phase
	return r
}

func results() []probe.Result {
	return []probe.Result{
		attempt("codex", "dns", probe.KindDNS, probe.FromHost, probe.Resolve, probe.OK, ""),
		attempt("codex", "head", probe.KindHTTP, probe.FromHost, probe.Connect, probe.TCPRefused, "<script>alert(1)</script>"),
		attempt("codex", "head", probe.KindHTTP, probe.FromSandbox, probe.Resolve, probe.LocalDenied, "operation not permitted"),
		attempt("shop", "head", probe.KindHTTP, probe.FromHost, probe.Response, probe.OK, ""),
	}
}

// diagnosed is the verdict on results, with a control that answers.
func diagnosed(service string, all []probe.Result) watch.ServiceStatus {
	control := attempt("", "gstatic", probe.KindHTTP, probe.FromHost, probe.Response, probe.OK, "")
	control.Role = probe.ControlByName
	round := diagnose.Round{Service: service, Results: append(slices.Clone(all), control), Expect: diagnose.Expect{Sandbox: diagnose.WantClosed}}
	return watch.ServiceStatus{Verdict: diagnose.Of(round), Results: round.Results, Since: time.Now()}
}

func newTestServer(t *testing.T) *Server {
	t.Helper()
	all := results()
	ready := make(chan struct{})
	close(ready)
	return &Server{
		Source: &source{status: &watch.Status{At: time.Now(), Version: "1.4.0", Services: []watch.ServiceStatus{
			diagnosed("shop", all[3:]), diagnosed("codex", all[:3]),
		}}},
		Results: results,
		Ready:   ready,
		Reload:  func(context.Context) error { return nil },
		RecordBacktest: func(_ context.Context, b *incident.Backtest) *incident.Incident {
			from, to := b.Span()
			return incident.NewBook().Observe(b.Verdict(), from, to)
		},
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeText(w, "netwatchd_test_seconds_count 1") }),
		Events:  NewEvents(),
		Version: "1.4.0",
		Log:     slog.New(slog.DiscardHandler),
	}
}

func at(t *testing.T, s *Server) string {
	t.Helper()
	return "http://" + serving(t, Config{Listen: []string{"127.0.0.1:0"}}, s.Handler())[0]
}

func method(m string) func(*http.Request) { return func(r *http.Request) { r.Method = m } }

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func TestEveryPath(t *testing.T) {
	base := at(t, newTestServer(t))
	for _, test := range []struct {
		method, path string
		status       int
		contentType  string
		body         string
	}{
		{"GET", "/", 200, "text/html; charset=utf-8", "The service refuses connections"},
		{"HEAD", "/", 200, "text/html; charset=utf-8", ""},
		{"GET", "/metrics", 200, "text/plain; charset=utf-8", "netwatchd_test_seconds_count 1"},
		{"GET", "/-/healthy", 200, "text/plain; charset=utf-8", "netwatchd is healthy.\n"},
		{"GET", "/-/ready", 200, "text/plain; charset=utf-8", "netwatchd is ready.\n"},
		{"POST", "/-/reload", 200, "text/plain; charset=utf-8", "configuration reloaded.\n"},
		{"PUT", "/-/reload", 200, "text/plain; charset=utf-8", "configuration reloaded.\n"},
		{"GET", "/-/reload", 405, "text/plain; charset=utf-8", ""},
		{"GET", "/api/v1/status", 200, "application/json", `"cause":"upstream"`},
		{"GET", "/api/v1/results", 200, "application/json", `"total":4`},
		{"POST", "/api/v1/status", 405, "application/json", `{"error":{"code":"method_not_allowed",`},
		{"GET", "/api/v1/status?service=codex", 400, "application/json", `{"error":{"code":"bad_parameter","message":"unknown parameter`},
		{"GET", "/api/v1/openapi.yaml", 200, "application/yaml", "openapi: 3.1"},
		{"GET", "/api/v2/status", 404, "application/json", `{"error":{"code":"not_found",`},
		{"GET", "/absent", 404, "text/plain; charset=utf-8", ""},
		{"GET", "/debug/pprof/", 404, "text/plain; charset=utf-8", ""},
	} {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			got := get(t, http.DefaultClient, base+test.path, method(test.method))
			if got.status != test.status || got.header.Get("Content-Type") != test.contentType || !strings.Contains(got.body, test.body) {
				t.Errorf("got %d %s\n%s\nwant %d %s with %q", got.status, got.header.Get("Content-Type"), got.body, test.status, test.contentType, test.body)
			}
			if got.status == 405 && got.header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
			for _, name := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy"} {
				if got.header.Get(name) == "" {
					t.Errorf("no %s", name)
				}
			}
		})
	}
}

func TestFailuresAreReported(t *testing.T) {
	s := newTestServer(t)
	s.Source, s.Ready = &source{err: watch.ErrStopped}, make(chan struct{})
	s.Reload = func(context.Context) error {
		return errors.New("probes[2] \"codex\": timeout 40s must be under the interval 30s")
	}
	base := at(t, s)
	for _, test := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/-/healthy", 503, "the watcher has stopped"},
		{"GET", "/-/ready", 503, "the first round is still running"},
		{"GET", "/api/v1/status", 503, `{"error":{"code":"unavailable"`},
		{"GET", "/", 503, "the watcher has stopped"},
		{"POST", "/-/reload", 500, "must be under the interval"},
	} {
		got := get(t, http.DefaultClient, base+test.path, method(test.method))
		if got.status != test.status || !strings.Contains(got.body, test.body) {
			t.Errorf("%s: got %d %s, want %d with %q", test.path, got.status, got.body, test.status, test.body)
		}
	}
}

func TestStuckWatcherIsNotHealthy(t *testing.T) {
	s := newTestServer(t)
	s.Source = &source{stuck: true}
	start := time.Now()
	if got := get(t, http.DefaultClient, at(t, s)+"/-/healthy"); got.status != 503 {
		t.Errorf("got %d", got.status)
	}
	if took := time.Since(start); took > 3*statusTimeout {
		t.Errorf("took %v, want about %v", took, statusTimeout)
	}
}

func TestResultsAreFiltered(t *testing.T) {
	base := at(t, newTestServer(t))
	for _, test := range []struct {
		query string
		names []string
		total int
		fault string
	}{
		{"service=codex", []string{"dns", "head", "head"}, 3, ""},
		{"service=codex&service=shop&probe=head", []string{"head", "head", "head"}, 3, ""},
		{"vantage=sandbox", []string{"head"}, 1, ""},
		{"class=tcp.refused&class=ok", []string{"dns", "head", "head"}, 3, ""},
		{"service=absent", []string{}, 0, ""},
		{"limit=1&offset=1", []string{"head"}, 4, ""},
		{"offset=9", []string{}, 4, ""},
		{"class=tcp.refusd", nil, 0, `class: unknown class "tcp.refusd": use one of unknown, ok`},
		{"limit=0", nil, 0, `limit: "0" is not a whole number from 1 to 10000`},
		{"limit=10001", nil, 0, "from 1 to 10000"},
		{"offset=-1", nil, 0, "offset"},
		{"limit=1&limit=2", nil, 0, "limit: given more than once"},
		{"service=%zz", nil, 0, "malformed query"},
		{"servce=codex", nil, 0, `unknown parameter "servce": use class, limit, offset, probe, service, vantage`},
	} {
		t.Run(test.query, func(t *testing.T) {
			got := get(t, http.DefaultClient, base+"/api/v1/results?"+test.query)
			if test.fault != "" {
				var f apiError
				if err := json.Unmarshal([]byte(got.body), &f); err != nil || got.status != 400 || f.Error.Code != "bad_parameter" || !strings.Contains(f.Error.Message, test.fault) {
					t.Errorf("got %d %s", got.status, got.body)
				}
				return
			}
			var page struct {
				Results *[]probe.Result
				Total   int
			}
			if err := json.Unmarshal([]byte(got.body), &page); err != nil || page.Results == nil {
				t.Fatalf("%v: %s", err, got.body)
			}
			names := []string{}
			for _, r := range *page.Results {
				names = append(names, r.Name)
			}
			if diff := cmp.Diff(test.names, names); diff != "" || page.Total != test.total {
				t.Errorf("got a total of %d, want %d (-want +got):\n%s", page.Total, test.total, diff)
			}
		})
	}
}

// Following next returns everything once, in order.
func TestPages(t *testing.T) {
	base := at(t, newTestServer(t))
	var names []string
	for next := "/api/v1/results?limit=2&service=codex&service=shop"; next != ""; {
		var page struct {
			Results []probe.Result
			Next    string
		}
		got := get(t, http.DefaultClient, base+next)
		if err := json.Unmarshal([]byte(got.body), &page); err != nil || len(page.Results) == 0 {
			t.Fatalf("%s: %v: %s", next, err, got.body)
		}
		for _, r := range page.Results {
			names = append(names, r.Service+"/"+r.Name+"/"+r.Vantage.String())
		}
		next = page.Next
	}
	if diff := cmp.Diff([]string{"codex/dns/host", "codex/head/host", "codex/head/sandbox", "shop/head/host"}, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEmptyListsAreLists(t *testing.T) {
	got := get(t, http.DefaultClient, at(t, newTestServer(t))+"/api/v1/status")
	if strings.Contains(got.body, "null") {
		t.Errorf("null instead of an empty list, on which jq fails:\n%s", got.body)
	}
	var s watch.Status
	if err := json.Unmarshal([]byte(got.body), &s); err != nil || len(s.Services) != 2 {
		t.Errorf("cannot be read back: %v", err)
	}
}

func TestOtherSitesAreRejected(t *testing.T) {
	s := newTestServer(t)
	reloads := 0
	s.Reload = func(context.Context) error { reloads++; return nil }
	s.Hosts = []string{"watch.example.com"}
	base := at(t, s)
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	for _, test := range []struct {
		name   string
		path   string
		status int
		edits  []func(*http.Request)
	}{
		{"curl", "/-/reload", 200, nil},
		{"our own page", "/-/reload", 200, []func(*http.Request){header("Sec-Fetch-Site", "same-origin")}},
		{"a page of others", "/-/reload", 403, []func(*http.Request){header("Sec-Fetch-Site", "cross-site")}},
		{"an old browser", "/-/reload", 403, []func(*http.Request){header("Origin", "https://evil.example.com")}},
		{"a rebound name", "/-/reload", 421, []func(*http.Request){host("evil.example.com:19405")}},
		{"a rebound name reads", "/api/v1/status", 421, []func(*http.Request){method("GET"), host("evil.example.com:19405")}},
		{"localhost", "/-/reload", 200, []func(*http.Request){host("LOCALHOST:19405")}},
		{"IPv6", "/-/reload", 200, []func(*http.Request){host("[::1]:19405")}},
		{"Docker", "/-/reload", 200, []func(*http.Request){host("host.docker.internal:19405")}},
		{"a neighbour", "/-/reload", 200, []func(*http.Request){host("netwatchd:19405")}},
		{"a proxy's name", "/-/reload", 200, []func(*http.Request){host("watch.example.com")}},
		{"another service's name in it", "/-/reload", 421, []func(*http.Request){host("localhost.example.com")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := reloads
			got := get(t, http.DefaultClient, base+test.path, append([]func(*http.Request){method("POST")}, test.edits...)...)
			if got.status != test.status {
				t.Errorf("got %d %s, want %d", got.status, got.body, test.status)
			}
			if reloaded := reloads > before; reloaded != (test.status == 200) {
				t.Errorf("reloaded: %v", reloaded)
			}
		})
	}
}

// remote serves a request that came to an address that is not loopback.
func remote(s *Server, method, host, path string, edits ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.Host = host
	for _, edit := range edits {
		edit(r)
	}
	address := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 19405}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, address)))
	return w
}

// On an address that others can reach, names are checked too, and nothing changes without authentication.
func TestRemoteListener(t *testing.T) {
	s := newTestServer(t)
	s.Reload = func(context.Context) error { return nil }
	s.Hosts = []string{"Watch.Example.com"}
	authenticated := false
	s.Authenticated = func() bool { return authenticated }
	for _, test := range []struct {
		method, host, path string
		authenticated      bool
		status             int
	}{
		{"GET", "192.0.2.1:19405", "/api/v1/status", false, 200},
		{"GET", "watch.example.com", "/api/v1/status", false, 200},
		{"GET", "box:19405", "/metrics", false, 200},
		{"GET", "evil.example.com:19405", "/api/v1/status", false, 421},
		{"GET", "evil.example.com:19405", "/metrics", true, 421},
		{"POST", "evil.example.com:19405", "/-/reload", true, 421},
		{"POST", "192.0.2.1:19405", "/-/reload", false, 401},
		{"PUT", "watch.example.com", "/-/reload", false, 401},
		{"POST", "192.0.2.1:19405", "/-/reload", true, 200},
	} {
		authenticated = test.authenticated
		if got := remote(s, test.method, test.host, test.path); got.Code != test.status {
			t.Errorf("%s http://%s%s, authenticated: %v: got %d %s, want %d", test.method, test.host, test.path,
				test.authenticated, got.Code, got.Body, test.status)
		}
	}
}

// On an address that others can reach, whatever is not a GET, HEAD, OPTIONS or TRACE needs the token; elsewhere it does
// not.
func TestToken(t *testing.T) {
	s := newTestServer(t)
	s.TokenFile = filepath.Join(t.TempDir(), webtoken.Name)
	refused := func(path string, edits ...func(*http.Request)) {
		t.Helper()
		got := remote(s, "POST", "192.0.2.1:19405", path, edits...)
		if got.Code != 401 || !strings.HasPrefix(got.Header().Get("WWW-Authenticate"), "Bearer ") ||
			!strings.Contains(got.Body.String(), s.TokenFile) {
			t.Errorf("got %d %v %s, want 401 that names %s", got.Code, got.Header(), got.Body, s.TokenFile)
		}
	}
	refused("/-/reload") // there is no token yet
	if err := webtoken.Make(s.TokenFile); err != nil {
		t.Fatal(err)
	}
	token, err := webtoken.Read(s.TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	for pattern := range s.routes() {
		if method, path, _ := strings.Cut(pattern, " "); !isSafe(method) {
			refused(path)
			refused(path, header("Authorization", "Bearer "+token[1:]))
		}
	}
	refused("/a/path/that/does/not/exist")
	for _, method := range []string{"POST", "PUT"} {
		got := remote(s, method, "192.0.2.1:19405", "/-/reload", header("Authorization", "Bearer "+token))
		if got.Code != 200 {
			t.Errorf("%s with the token: got %d %s", method, got.Code, got.Body)
		}
	}
	if got := get(t, http.DefaultClient, at(t, s)+"/-/reload", method("POST")); got.status != 200 {
		t.Errorf("over loopback: got %d %s", got.status, got.body)
	}
}

// A Unix socket is protected by its permissions.
func TestUnixSocket(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Serve(ctx, []net.Listener{l}, Config{}, newTestServer(t).Handler(), slog.New(slog.DiscardHandler))
	}()
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", l.Addr().String())
	}}
	if got := get(t, &http.Client{Transport: transport}, "http://localhost/-/reload", method("POST")); got.status != 200 {
		t.Errorf("got %d %s", got.status, got.body)
	}
	transport.CloseIdleConnections()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// The page shows what is wrong with netwatchd itself.
func TestWarningsOnThePage(t *testing.T) {
	s := newTestServer(t)
	s.Warnings = func() []string { return []string{"this host is out of descriptors"} }
	if got := get(t, http.DefaultClient, at(t, s)+"/"); !strings.Contains(got.body, "This host is out of descriptors.") {
		t.Errorf("the warning is not on the page:\n%s", got.body)
	}
}

func TestProfilingIsOptIn(t *testing.T) {
	s := newTestServer(t)
	s.Profiling = true
	if got := get(t, http.DefaultClient, at(t, s)+"/debug/pprof/cmdline"); got.status != 200 {
		t.Errorf("got %d", got.status)
	}
}
