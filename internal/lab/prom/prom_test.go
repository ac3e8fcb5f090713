package prom

import (
	"os"
	"path/filepath"
	"testing"

	"netwatchd/internal/lab/parts"
)

func TestMain(m *testing.M) { parts.Main(m, func(string) error { return nil }) }

// Servers are ready, and know their peers, when Start returns.
func TestParts(t *testing.T) {
	parts.Need(t)
	for name, release := range map[string]func(testing.TB) Release{"newest": Newest, "oldest": Oldest} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := release(t)
			in, err := parts.NewNamespace("netwatchd-prom-"+name, false)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(in.Close)
			dir := t.TempDir()
			write := func(name, text string) string {
				path := filepath.Join(dir, name)
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				return path
			}
			p := StartPrometheus(t, in, r.Prometheus, write("prometheus.yml", "{}"), filepath.Join(dir, "tsdb"), "127.0.0.1:9090")
			if v := p.Ask(t, "vector(1)"); len(v) != 1 || v[0].Value != 1 {
				t.Errorf("vector(1) is %v", v)
			}
			routes := write("alertmanager.yml", "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
			for _, a := range StartAlertmanagers(t, in, r.Alertmanager, routes, dir, []string{"127.0.0.1", "127.0.0.2"}, "--cluster.gossip-interval=10ms") {
				var alerts []any
				if err := a.Get("/api/v2/alerts", &alerts); err != nil || len(alerts) > 0 {
					t.Errorf("%s: %v, %v", a.Address, alerts, err)
				}
				a.Kill()
				if err := a.Get("/-/ready", nil); err == nil {
					t.Errorf("%s answers though it was killed", a.Address)
				}
			}
		})
	}
}
