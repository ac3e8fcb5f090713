// Package prom runs the real Prometheus and Alertmanager for tests.
package prom

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	apiv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"netwatchd/internal/lab/parts"
)

// A Release is a Prometheus and an Alertmanager of the same age.
type Release struct{ Prometheus, Alertmanager string }

// Newest is the release that `make tools` builds. It skips the test if it is missing.
func Newest(t testing.TB) Release {
	t.Helper()
	return Release{Tool(t, "prometheus"), Tool(t, "alertmanager")}
}

// Oldest is the oldest supported release, that of Debian 12: 2.42 and 0.25. It skips the test if it is not installed.
func Oldest(t testing.TB) Release {
	t.Helper()
	return Release{
		parts.Program(t, "/usr/bin/prometheus", "prometheus"),
		parts.Program(t, "/usr/bin/prometheus-alertmanager", "prometheus-alertmanager"),
	}
}

// Tool is the path of a program that `make tools` builds: prometheus, promtool, alertmanager, amtool. It skips the
// test if it is missing.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(Root(t), ".cache", "bin", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("needs %s: make tools", name)
	}
	return path
}

// Root is the directory of go.mod.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	t.Fatal("not inside the repository")
	return ""
}

// startLimit bounds the start. On an idle machine a Prometheus takes a third of a second, a pair of Alertmanagers
// three seconds.
const startLimit = time.Minute

// A Prometheus is a running server, its API at hand.
type Prometheus struct {
	apiv1.API
	URL    string
	server *parts.Server
}

// StartPrometheus starts a Prometheus in a namespace (nil: where the tests run) and returns when it is ready. Address
// is where it listens, as in 127.0.0.1:9090; dir is for its data. It ends with the test.
func StartPrometheus(
	t testing.TB,
	in *parts.Namespace,
	program, config, dir, address string,
	flags ...string,
) *Prometheus {
	t.Helper()
	p := &Prometheus{URL: "http://" + address, server: &parts.Server{In: in, Path: program, Args: append([]string{
		"--config.file=" + config, "--storage.tsdb.path=" + dir, "--web.listen-address=" + address}, flags...)}}
	client := in.Client()
	serve(t, p.server, func() error { return answers(client, p.URL+"/-/ready", nil) })
	c, err := api.NewClient(api.Config{Address: p.URL, Client: client})
	if err != nil {
		t.Fatal(err)
	}
	p.API = apiv1.NewAPI(c)
	return p
}

// Ask returns the present value of a query. An invalid query fails the test.
func (p *Prometheus) Ask(t testing.TB, query string) model.Vector {
	t.Helper()
	value, _, _, err := p.Query(context.Background(), query, time.Now())
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	vector, is := value.(model.Vector)
	if !is {
		t.Fatalf("%s: a %v, want a vector", query, value.Type())
	}
	return vector
}

// Stop kills it.
func (p *Prometheus) Stop() { p.server.Stop() }

// serve runs a server until the test ends and waits until it is ready.
func serve(t testing.TB, s *parts.Server, ready func() error) {
	t.Helper()
	s.Start(t)
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Logf("%s said last:\n%s", filepath.Base(s.Path), last(s.Said()))
		}
	})
	if err := parts.Eventually(startLimit, ready); err != nil {
		t.Fatalf("%s is not ready: %v", filepath.Base(s.Path), err)
	}
}

// last is the end of a log. A server in trouble repeats its messages.
func last(said string) string {
	lines := strings.SplitAfter(said, "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "")
}
