package hearsay_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/hearsay"
	"netwatchd/internal/vendorpage"
	"netwatchd/internal/watch"
)

// vendor is a status page that counts requests.
func vendor(t *testing.T) (hearsay.Pages, *atomic.Int64) {
	t.Helper()
	asked := new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write([]byte(`{"page":{},"status":{"indicator":"none","description":"All Systems Operational"}}`))
	}))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return func() map[string]*vendorpage.Page { return map[string]*vendorpage.Page{"codex": {URL: u}} }, asked
}

func verdict(service string, c causes.Cause) watch.ServiceStatus {
	v := diagnose.Verdict{Service: service, Cause: c, Title: c.About().Title}
	v.StatusPage = "https://status.example"
	return watch.ServiceStatus{Verdict: v}
}

// The page is asked once while the verdict stands, never in the round that finds it.
func TestWitness(t *testing.T) {
	pages, asked := vendor(t)
	told := make(chan vendorpage.Report, 8)
	w := hearsay.New(pages, func(_ context.Context, _ string, r vendorpage.Report) { told <- r })
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { w.Run(ctx); close(done) }()
	defer func() { stop(); <-done }()

	w.Judged(verdict("codex", causes.Resolver), causes.Healthy)
	w.Judged(verdict("codex", causes.Resolver), causes.Resolver)
	w.Judged(verdict("codex", causes.Upstream), causes.Resolver) // this round pages
	w.Judged(verdict("wiki", causes.Upstream), causes.Upstream)  // has no page that may be asked
	status := &watch.Status{Services: []watch.ServiceStatus{verdict("codex", causes.Upstream)}}
	w.AddTo(status)
	if status.Services[0].StatusPageReport != nil || asked.Load() != 0 {
		t.Fatal("asked before the verdict stood for a round")
	}
	w.Judged(verdict("codex", causes.Upstream), causes.Upstream)
	if r := <-told; r.Description != "All Systems Operational" {
		t.Errorf("got %+v", r)
	}
	w.Judged(verdict("codex", causes.Upstream), causes.Upstream) // within minutes: what it said is good enough
	w.AddTo(status)
	got := status.Services[0]
	if got.StatusPageReport == nil || got.Cause != causes.Upstream || len(got.Evidence) > 0 {
		t.Errorf("got %+v", got)
	}

	w.Judged(verdict("codex", causes.Healthy), causes.Upstream)
	status.Services[0].StatusPageReport = nil
	w.AddTo(status)
	if status.Services[0].StatusPageReport != nil {
		t.Error("the report outlives the verdict")
	}
	w.Judged(verdict("codex", causes.Degraded), causes.Healthy)
	w.Judged(verdict("codex", causes.Degraded), causes.Degraded)
	<-told
	if n := asked.Load(); n != 2 {
		t.Errorf("asked %d times, want twice", n)
	}
}

func TestAskOnce(t *testing.T) {
	pages, asked := vendor(t)
	status := &watch.Status{Services: []watch.ServiceStatus{verdict("codex", causes.Upstream), verdict("wiki", causes.Upstream)}}
	hearsay.AskOnce(t.Context(), pages, status)
	if status.Services[0].StatusPageReport == nil || status.Services[1].StatusPageReport != nil {
		t.Errorf("got %+v", status.Services)
	}
	status = &watch.Status{Services: []watch.ServiceStatus{verdict("codex", causes.HostOffline)}}
	hearsay.AskOnce(t.Context(), pages, status)
	if status.Services[0].StatusPageReport != nil || asked.Load() != 1 {
		t.Error("asked while this host is offline")
	}
}
