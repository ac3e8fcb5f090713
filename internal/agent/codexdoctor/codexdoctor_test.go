package codexdoctor

import (
	"os"
	"path/filepath"
	"testing"

	"netwatchd/internal/probe"
)

// FuzzRead: whatever codex prints, a report is read or is not understood; a class of failure has a reason.
func FuzzRead(f *testing.F) {
	recorded, err := filepath.Glob("../codex/testdata/*/doctor-network-*/stdout")
	if err != nil || len(recorded) < 8 {
		f.Fatalf("%d recordings: %v", len(recorded), err)
	}
	for _, file := range recorded {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add(`{"checks":{"config.load":{"status":"fail","summary":"s","details":{"file":7,"line":3}}}}`)
	f.Add(`{"checks":{"network.provider_reachability":{"status":"fail","summary":"s","details":[]}}}`)
	f.Add(`{"checks":{"network.provider_reachability":{"status":"fail","details":{"a":"returned HTTP 404 (required)"}}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		r := Read(text)
		if r.Class != probe.OK && !r.Understood {
			t.Errorf("%+v", r)
		}
		if (r.Status != 0) != (r.Class == probe.HTTPUnexpectedStatus) && r.Status != 0 {
			t.Errorf("%+v", r)
		}
	})
}

func TestRead(t *testing.T) {
	for text, want := range map[string]Report{
		``:              {},
		`[]`:            {},
		`{"checks":{}}`: {},
		`{"checks":{"network.provider_reachability":{"status":"ok","summary":"s"}}}`: {Understood: true},
		`{"checks":{"network.provider_reachability":{"status":"fail","summary":"s","details":{"a":"b"}}}}`: {
			Class: probe.ExecNetwork, Why: "s", Understood: true},
		`{"checks":{"network.provider_reachability":{"status":"fail","details":{"b":"x (required)","a":"y (required)"}}}}`: {
			Class: probe.ExecNetwork, Why: "a: y (required), b: x (required)", Understood: true},
		`{"checks":{"config.load":{"status":"fail","details":{"error":"bad","file":"/etc/codex/config.toml","line":3}}}}`: {
			Class: probe.ExecConfigInvalid, Why: "bad: /etc/codex/config.toml:3", Understood: true},
	} {
		if want.Class == probe.Unknown {
			want.Class = probe.OK
		}
		if got := Read(text); got != want {
			t.Errorf("%s: got %+v, want %+v", text, got, want)
		}
	}
}
