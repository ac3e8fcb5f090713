package plan

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"netwatchd/internal/host"
	"netwatchd/internal/ledger"
	"netwatchd/internal/probe"
	"netwatchd/internal/sandbox"
)

// TestMain makes this binary the program that a sandbox probe starts: netwatchd probe --batch LIST.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "probe" && os.Args[2] == "--batch" {
		if err := batch(os.Args[3]); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

func batch(list string) error {
	if list == "-" {
		text, err := io.ReadAll(os.Stdin)
		if err != nil {
			return err
		}
		list = string(text)
	}
	probes, err := sandbox.UnmarshalProbes([]byte(list), host.Sandbox{})
	if err != nil {
		return err
	}
	results := make([]probe.Result, len(probes))
	for i, p := range probes {
		results[i], _ = probe.Do(context.Background(), p)
	}
	return json.NewEncoder(os.Stdout).Encode(results)
}

// A key in a URL is sent as configured, from the host and from the sandbox, and shown redacted. A sandbox probe that
// requested the redacted URL would fail inside the sandbox only, and the sandbox would be blamed.
func TestAKeyInAURLIsSentButNotShown(t *testing.T) {
	var mu sync.Mutex
	var requested []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		requested = append(requested, r.URL.String())
		if r.URL.Query().Get("key") != "abc" {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer server.Close()
	p := planned(t, `
services:
  - name: keyed
    probes: [{name: get, kind: http, target: "`+server.URL+`/v1?key=abc&page=2", proxy: none}]
    sandbox: {command: [env], want: open}
`)
	s := p.Services[0]
	onHost, ok := probe.Do(t.Context(), s.Tasks[0].Probe)
	if !ok {
		t.Fatal("the probe on the host was cut short")
	}
	inside, ok := s.SandboxProbes.Run(t.Context(), 0)
	if !ok || len(inside) != 2 {
		t.Fatalf("inside: got %v, %v, want the host check and the request", inside, ok)
	}
	for _, r := range []probe.Result{onHost, inside[1]} {
		if r.Class != probe.OK {
			t.Errorf("from %v: %v in %v: %s", r.Vantage, r.Class, r.Phase, r.Why)
		}
		if strings.Contains(r.Target, "abc") || !strings.Contains(r.Target, "page=2") {
			t.Errorf("from %v: target shown as %s, want it without the key alone", r.Vantage, r.Target)
		}
	}
	if inside[1].Vantage != probe.FromSandbox {
		t.Errorf("vantage of the sandbox probe: got %v", inside[1].Vantage)
	}
	const want = "/v1?key=abc&page=2"
	if !slices.Equal(requested, []string{want, want}) {
		t.Errorf("requested %q, want %s from both", requested, want)
	}
	if info, _ := p.Info(ledgerKey("keyed", "get")); strings.Contains(info.Target, "abc") {
		t.Errorf("described with its key: %+v", info)
	}
}

func ledgerKey(service, name string) ledger.Key {
	return ledger.Key{Service: service, Probe: name, Kind: probe.KindHTTP, Vantage: probe.FromHost}
}
