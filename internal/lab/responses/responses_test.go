package responses

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func send(t *testing.T, client *http.Client, method, url string, header http.Header) (*http.Response, string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header
	answer, err := client.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer, string(body), err
}

// TestServerWhereNoTurnIs checks the answers that a probe and the start of codex rely on.
func TestServerWhereNoTurnIs(t *testing.T) {
	s := Start()
	defer s.Close()
	tests := []struct {
		method, path, upgrade string
		status                int
		allow, body           string
	}{
		{"HEAD", "/backend-api/codex/responses", "", 405, "POST", ""},
		{"GET", "/backend-api/codex/responses", "websocket", 426, "", "Upgrade Required"},
		{"GET", "/backend-api/codex/models", "", 200, "", `"models"`},
		{"GET", "/backend-api/wham/accounts/check", "", 401, "", "Unauthorized"},
		{"POST", "/oauth/token", "", 200, "", "rt_next"},
		{"GET", "/elsewhere", "", 404, "", "Not Found"},
	}
	for _, test := range tests {
		answer, body, err := send(t, http.DefaultClient, test.method, s.URL()+test.path, http.Header{"Upgrade": {test.upgrade}})
		if err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode != test.status || answer.Header.Get("Allow") != test.allow || !strings.Contains(body, test.body) {
			t.Errorf("%s %s: got %d, allow %q, %q", test.method, test.path, answer.StatusCode, answer.Header.Get("Allow"), body)
		}
	}
	signedIn := http.Header{"Authorization": {"Bearer " + accessToken()}}
	if answer, body, err := send(t, http.DefaultClient, "GET", s.URL()+"/backend-api/wham/accounts/check", signedIn); err != nil ||
		answer.StatusCode != 200 || !strings.Contains(body, accountID) {
		t.Errorf("routing discovery: %v, %v %q", answer, err, body)
	}
	s.RefusesRouting.Store(true)
	if answer, _, err := send(t, http.DefaultClient, "GET", s.URL()+"/backend-api/wham/accounts/check", nil); err != nil || answer.StatusCode != 503 {
		t.Errorf("routing discovery, refused: %v, %v", answer, err)
	}
	if got := len(s.Requests()) - 2; got != len(tests) || len(s.Turns()) != 0 {
		t.Errorf("%d requests and %d turns were seen, want %d and none", got, len(s.Turns()), len(tests))
	}
}

func TestServerBehaviours(t *testing.T) {
	s := Start()
	defer s.Close()
	tests := map[Behaviour]struct {
		status     int
		has, lacks string
		cut        bool
	}{
		OK: {200, "response.completed", "", false}, Other: {200, "I cannot", "", false}, Empty: {200, "response.completed", "output_item", false},
		Unauthorized: {401, "invalid_api_key", "", false}, Challenge: {403, "<!DOCTYPE html>", "", false},
		UsageLimit: {429, "usage_limit_reached", "", false}, RateLimit: {429, "rate_limit_exceeded", "", false},
		ServerError: {500, "", "", false}, BadGateway: {502, "", "", false}, Unavailable: {503, "", "", false},
		Cut: {200, "response.created", "response.completed", false}, Abort: {200, "response.created", "response.completed", true},
		Garbage: {200, "nonsense", "response", false}, Page: {200, "<title>", "", false},
		ModelRefused: {400, "gpt-nope", "", false}, NotFound: {404, "Not Found", "", false},
		Geo: {403, "territory", "<", false}, TooLarge: {413, "<html>", "", false}, UpgradeRequired: {426, "Upgrade", "", false},
		Legal: {451, "Legal", "", false}, BadRequest: {400, "not allowed", "model", false},
		SignInMissing: {401, "did not make it", "invalid", false},
	}
	for behaviour, test := range tests {
		s.Behave(behaviour)
		answer, body, err := send(t, http.DefaultClient, "POST", s.BaseURL()+"/responses", nil)
		if (err != nil) != test.cut || answer.StatusCode != test.status || !strings.Contains(body, test.has) ||
			test.lacks != "" && strings.Contains(body, test.lacks) {
			t.Errorf("%v: got %d, %v, %q", behaviour, answer.StatusCode, err, body)
		}
	}
	for _, behaviour := range []Behaviour{Stall, StallHeaders} {
		s.Behave(behaviour)
		_, body, err := send(t, &http.Client{Timeout: 200 * time.Millisecond}, "POST", s.BaseURL()+"/responses", nil)
		if err == nil || strings.Contains(body, "completed") || strings.Contains(body, "created") != (behaviour == Stall) {
			t.Errorf("%v: got %v, %q", behaviour, err, body)
		}
	}
	if got := len(tests) + 2; got != int(BehaviourCount) {
		t.Errorf("%d of %d behaviours are tried", got, BehaviourCount)
	}
}

func TestAuthority(t *testing.T) {
	ca, certificate, err := Authority("chatgpt.com")
	if err != nil {
		t.Fatal(err)
	}
	s := Start(certificate)
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	for name, trusted := range map[string]bool{"chatgpt.com": true, "": true, "elsewhere.test": false} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: name}}}
		_, _, err := send(t, client, "HEAD", s.BaseURL()+"/responses", nil)
		if (err == nil) != trusted {
			t.Errorf("as %q: %v", name, err)
		}
		client.CloseIdleConnections()
	}
}
