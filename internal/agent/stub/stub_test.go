package stub

import (
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestServesOneRunOnly(t *testing.T) {
	t.Parallel()
	s, err := Start(Responses(), `"OK" in quotes`)
	if err != nil {
		t.Fatal(err)
	}
	send := func(method, url, key string) (status int) {
		r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+key)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	base := "http://" + s.address + s.path
	for _, test := range []struct {
		name, method, url, key string
		status                 int
	}{
		{"a turn", "POST", base + "/responses", s.key, 200},
		{"the models", "GET", base + "/models?client_version=0.169.0", s.key, 200},
		{"no turn", "GET", base + "/responses", s.key, 404},
		{"another key", "POST", base + "/responses", "guessed", 404},
		{"another path", "POST", "http://" + s.address + "/responses", s.key, 404},
		{"the root", "GET", "http://" + s.address + "/", "", 404},
	} {
		if got := send(test.method, test.url, test.key); got != test.status {
			t.Errorf("%s: got status %d, want %d", test.name, got, test.status)
		}
	}
	proxied, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer proxied.Close()
	answer := make([]byte, 12)
	if _, err := proxied.Write([]byte("CONNECT chatgpt.com:443 HTTP/1.1\r\nHost: chatgpt.com:443\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := proxied.Read(answer); err != nil || string(answer) != "HTTP/1.1 403" {
		t.Errorf("as a proxy: got %q (%v), want 403", answer, err)
	}
	if s.turns.Load() != 1 {
		t.Errorf("%d turns were counted, want one", s.turns.Load())
	}
	s.Close()
	// Another test may listen there by now: only the stub answers its own path.
	r, err := http.NewRequestWithContext(t.Context(), "GET", base+"/models", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.key)
	if answer, err := http.DefaultClient.Do(r); err == nil {
		answer.Body.Close()
		if answer.StatusCode == 200 {
			t.Error("the stub still answers after Close")
		}
	}
}
