package httpprobe

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/probetest"
)

// unsupportedCountry is OpenAI's answer to an address in a country that it does not serve (openai/codex#9714).
const unsupportedCountry = `{"error":{"code":"unsupported_country_region_territory",` +
	`"message":"Country, region, or territory not supported","param":null,"type":"request_forbidden"}}`

func TestRefusals(t *testing.T) {
	json := []string{"Content-Type", "application/json", "Server", "cloudflare", "Cf-Ray", "9c1a-CCS"}
	of := func(code string) *probe.Refusal { return &probe.Refusal{Code: code} }
	country := &probe.Refusal{Code: "unsupported_country_region_territory", Location: true}
	for _, tt := range []struct {
		name    string
		probe   Request
		answer  http.HandlerFunc
		class   probe.Class
		why     string
		refusal *probe.Refusal
	}{
		{"the country, HEAD", Request{Method: "HEAD", Status: []int{405}}, probetest.Answering(403, unsupportedCountry, json...),
			probe.HTTPEdgeBlocked, "got 403, want 405: the service refuses this country or region " +
				"(unsupported_country_region_territory: Country, region, or territory not supported)", country},
		{"the country, GET, 2xx expected", Request{}, probetest.Answering(403, unsupportedCountry, json...), probe.HTTPEdgeBlocked,
			"the service refuses this country or region", country},
		{"the country, any application", Request{Method: "HEAD", AnyStatus: true}, probetest.Answering(403, unsupportedCountry, json...),
			probe.HTTPEdgeBlocked, "want any answer of the application", country},
		{"the country, in Google's words", Request{}, probetest.Answering(400, `{"error":{"code":400,"status":"FAILED_PRECONDITION",`+
			`"message":"User location is not supported for the API use."}}`), probe.HTTPEdgeBlocked,
			"FAILED_PRECONDITION: User location is not supported for the API use.", &probe.Refusal{Code: "FAILED_PRECONDITION", Location: true}},
		{"the country, named by the CDN", Request{Method: "HEAD", Status: []int{405}}, probetest.Answering(403,
			"<h2>Access denied</h2> The owner of this website has banned the country or region your IP address is in (IR) from accessing this website.",
			"Server", "cloudflare", "Cf-Ray", "8c1-FRA", "Content-Type", "text/html"), probe.HTTPEdgeBlocked, "cf-ray 8c1-FRA",
			&probe.Refusal{Location: true, Country: "IR"}},
		{"a rule of the CDN", Request{Method: "HEAD", Status: []int{405}}, probetest.Answering(403, "error code: 1020", "Server", "cloudflare",
			"Cf-Ray", "8c1-FRA", "Content-Type", "text/plain"), probe.HTTPEdgeBlocked, "cf-ray 8c1-FRA", of("1020")},
		{"for legal reasons", Request{}, probetest.Answering(451, "blocked by order"), probe.HTTPEdgeBlocked,
			"got 451, want 2xx: the service refuses this client for legal reasons", nil},
		{"before any sign-in", Request{Method: "HEAD", Status: []int{405, 401}}, probetest.Answering(403, `{"error":{"type":"forbidden",`+
			`"message":"Request not allowed"}}`, json...), probe.HTTPEdgeBlocked, "before any sign-in (forbidden: Request not allowed)", of("forbidden")},
		{"before any sign-in, without a body", Request{Method: "HEAD", Status: []int{405}}, probetest.Answering(403, ""), probe.HTTPEdgeBlocked,
			"got 403, want 405: the service refuses this address before any sign-in", nil},

		{"for want of a sign-in", Request{}, probetest.Answering(403, `{"detail":"Authentication credentials were not provided."}`, json...),
			probe.HTTPUnexpectedStatus, "got 403, want 2xx", nil},
		{"an application's own, any answer wanted", Request{AnyStatus: true}, probetest.Answering(403, `{"error":{"status":"PERMISSION_DENIED"}}`),
			probe.OK, "", nil},
		{"404", Request{Method: "HEAD", Status: []int{405}}, probetest.Answering(404, `{"error":"no such country"}`), probe.HTTPUnexpectedStatus, "", nil},
		{"the server fails", Request{}, probetest.Answering(500, unsupportedCountry), probe.HTTPServerError, "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := tt.probe
			p.URL, p.Options = at(t, "http", probetest.Serving(t, nil, tt.answer), "/")
			r := probetest.Attempt(t, &p, 5*time.Second)
			probetest.WantEnd(t, r, tt.class, probe.Response, tt.why)
			if diff := cmp.Diff(tt.refusal, r.Refusal); diff != "" {
				t.Errorf("refusal (-want +got):\n%s", diff)
			}
		})
	}
}

// A refused HEAD is followed by one GET, and nothing else is.
func TestRefusedHeadIsExplainedOnce(t *testing.T) {
	for _, tt := range []struct {
		name   string
		probe  Request
		status int
		want   []string
	}{
		{"refused", Request{Method: "HEAD", Status: []int{405}}, 403, []string{"HEAD", "GET"}},
		{"refused as expected", Request{Method: "HEAD", Status: []int{403}}, 403, []string{"HEAD"}},
		{"as expected", Request{Method: "HEAD", Status: []int{405}}, 405, []string{"HEAD"}},
		{"GET", Request{Status: []int{405}}, 403, []string{"GET"}},
		{"another status", Request{Method: "HEAD"}, 404, []string{"HEAD"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var mu sync.Mutex
			var got []string
			server := probetest.Serving(t, nil, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, r.Method)
				w.WriteHeader(tt.status)
			})
			p := tt.probe
			p.URL, p.Options = at(t, "http", server, "/")
			r := probetest.Attempt(t, &p, 5*time.Second)
			if r.Status != tt.status || r.Phase != probe.Response {
				t.Errorf("status %d in %q, want %d of the first request", r.Status, r.Phase, tt.status)
			}
			mu.Lock()
			defer mu.Unlock()
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

// The GET that explains a refusal may fail in its own way: the HEAD's answer stands.
func TestRefusalThatCannotBeExplained(t *testing.T) {
	if !probetest.InOwnProcess(t) {
		return
	}
	for name, get := range map[string]http.HandlerFunc{
		"another status": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) },
		"no answer":      func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"aborted":        func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			p := &Request{Method: "HEAD", Status: []int{405}}
			server := probetest.Serving(t, nil, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == "GET" {
					get(w, r)
					return
				}
				w.WriteHeader(403)
			})
			p.URL, p.Options = at(t, "http", server, "/")
			r := probetest.Attempt(t, p, quick)
			probetest.WantEnd(t, r, probe.HTTPEdgeBlocked, probe.Response, "got 403, want 405", "before any sign-in")
			if r.Status != 403 {
				t.Errorf("status %d, want 403", r.Status)
			}
		})
	}
}

func TestStreamRefusals(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		class      probe.Class
	}{
		{"the country", unsupportedCountry, probe.HTTPEdgeBlocked},
		{"the application's own", `{"detail":"Forbidden"}`, probe.OK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &Stream{}
			s.URL, s.Options = at(t, "ws", probetest.Serving(t, nil, probetest.Answering(403, tt.body)), "/")
			r := probetest.Attempt(t, s, 5*time.Second)
			if r.Class != tt.class {
				t.Errorf("ended as %s, want %s: %s", r.Class, tt.class, r.Why)
			}
		})
	}
}
