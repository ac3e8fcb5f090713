package metrics

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"netwatchd/internal/causes"
	"netwatchd/internal/config"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/host"
	"netwatchd/internal/ledger"
	"netwatchd/internal/probe"
	"netwatchd/internal/push"
	"netwatchd/internal/reports"
	"netwatchd/internal/sessions"
	"netwatchd/internal/watch"
)

var update = flag.Bool("update", false, "update testdata")

var noon = time.Date(2026, 2, 20, 12, 0, 0, 0, time.UTC)

const every = 30 * time.Second

// fakeSource is a watcher with a fixed status.
type fakeSource struct {
	status *watch.Status
	err    error
}

func (k *fakeSource) Status(context.Context) (*watch.Status, error) { return k.status, k.err }

// A fixture is an exporter and its inputs.
type fixture struct {
	*Exporter
	counters *Counters
	ledger   *ledger.Ledger
	source   *fakeSource
	now      time.Time
	log      strings.Builder
}

// reported has what the session files of an agent may show.
func reported() *reports.Reporter {
	r := reports.New(reports.Options{})
	r.Count("codex", sessions.Event{Kind: sessions.Turn, Class: probe.ExecUsageLimit})
	r.Count("claude", sessions.Event{Kind: sessions.Retry, Class: probe.ExecOverloaded})
	r.Count("codex", sessions.Event{Kind: sessions.Limits, Limits: []sessions.Limit{
		{Window: "primary", Used: 0.42, Resets: time.Now().Add(time.Hour)}}})
	return r
}

func newFixture() *fixture {
	t := &fixture{ledger: ledger.New(), source: &fakeSource{status: &watch.Status{}}, now: noon.Add(time.Second)}
	t.Exporter, t.counters = NewExporter(&Exporter{
		Ledger: t.ledger, Source: t.source, Now: func() time.Time { return t.now },
		Info: func(k ledger.Key) (Info, bool) {
			return Info{Target: k.Probe + ".example", Interval: "30s", Expectation: "OK"}, k.Service == "codex"
		},
		Connections: func() Connections { return Connections{Open: 3, Limit: 512, Closed: 1} },
		Extra: []prometheus.Collector{reported(),
			push.New(config.Push{RemoteWrite: []config.Receiver{{Name: "central"}}}, push.Options{Log: slog.Default()})},
		Log: slog.New(slog.NewTextHandler(&t.log, nil)),
	}, Build{Version: "1.4.0", Revision: "abc", GoVersion: "go1.26"}, func() []Agent {
		return []Agent{{Name: "codex", Version: "0.104.0", Path: "/usr/bin/codex", SandboxMode: "closed"}}
	})
	return t
}

func (t *fixture) record(service, name string, kind probe.Kind, from probe.Vantage, class probe.Class, phases map[probe.Phase]probe.Seconds) probe.Result {
	r := probe.Result{
		Spec:  probe.Spec{Service: service, Name: name, Kind: kind, Vantage: from},
		Start: noon, Elapsed: 0.084, Class: class,
	}
	for phase, took := range phases {
		r.Phases[phase] = took
	}
	t.ledger.Add(r, every)
	return r
}

// fullFixture is a fixture that exports every metric.
func fullFixture() *fixture {
	t := newFixture()
	t.record("codex", "dns", probe.KindDNS, probe.FromHost, probe.DNSServfail, nil)
	t.record("codex", "dns", probe.KindDNS, probe.FromHost, probe.OK, map[probe.Phase]probe.Seconds{probe.Resolve: 0.012})
	t.record("codex", "head", probe.KindHTTP, probe.FromHost, probe.OK, map[probe.Phase]probe.Seconds{
		probe.Resolve: 0.012, probe.Connect: 0.02, probe.Handshake: 0.03, probe.Request: 0.001, probe.Response: 0.021})
	t.record("codex", "head", probe.KindHTTP, probe.FromSandbox, probe.LocalDenied, nil)
	t.record("codex", "stream", probe.KindStream, probe.FromHost, probe.StreamIdleCut, map[probe.Phase]probe.Seconds{probe.Streaming: 0.05})
	t.record("resolvers", "1.1.1.1/control", probe.KindDNS, probe.Direct, probe.OK, nil)
	t.record("host", "sandbox", probe.KindHost, probe.FromHost, probe.OK, nil)
	run := probe.Result{Spec: probe.Spec{Service: "codex", Name: "exec", Kind: probe.KindExec, Target: "codex"}, Start: noon, Elapsed: 7.5, Class: probe.OK}
	run.Phases[probe.Executing] = 7.5
	run.Tokens = &probe.TokensSpent{Input: 9000, CachedInput: 8000, Output: 5}
	run.Requests, run.CostUSD = 1, new(0.5)
	run.Warnings = []string{"codex_arg0_cleanup", "codex_path_update"}
	t.ledger.Add(run, time.Hour)
	secured := probe.Result{Spec: probe.Spec{Service: "codex", Name: "head", Kind: probe.KindHTTP, Vantage: probe.Direct}, Start: noon,
		Class: probe.OK, Facts: probe.Facts{TLS: &probe.TLS{NotAfter: noon.Add(90 * 24 * time.Hour), ValidUntil: noon.Add(30 * 24 * time.Hour)}}}
	t.ledger.Add(secured, 0)

	current := watch.ServiceStatus{
		Verdict: diagnose.Verdict{Service: "codex", Cause: causes.Stream, Also: []diagnose.Finding{{Cause: causes.IPv6}},
			Intermittent: []diagnose.Intermittent{
				{Probe: "head", Kind: probe.KindHTTP, Class: probe.HTTPServerError, Failed: 12, Of: 60}},
			Evidence: []probe.Result{
				{Spec: probe.Spec{Service: "codex", Name: "stream", Kind: probe.KindStream}, Class: probe.StreamIdleCut},
				{Spec: probe.Spec{Service: "controls", Name: "gstatic", Kind: probe.KindHTTP}, Class: probe.OK},
				// at another address: the same labels must not fail the scrape
				{Spec: probe.Spec{Service: "controls", Name: "gstatic", Kind: probe.KindHTTP}, Class: probe.OK},
			}},
		Since: noon, Delay: 1.2, Budget: new(23), BudgetTokens: new(int64(4200)),
	}
	t.source.status = &watch.Status{Services: []watch.ServiceStatus{current}, Sandboxed: watch.Sandboxed{Signals: []string{host.SeccompFilter}}}
	t.counters.Judged(current, causes.Healthy)
	t.counters.Started(300*time.Microsecond, 2)
	t.counters.Resumed(time.Hour, 3)
	t.counters.Reloaded(nil)
	t.lastScrape.Store(&noon)
	return t
}

// gathered is one complete scrape, by family.
func gathered(tb testing.TB, e *Exporter) map[string]*dto.MetricFamily {
	tb.Helper()
	all := make(map[string]*dto.MetricFamily)
	for f, err := range e.Families(tb.Context()) {
		if err != nil {
			tb.Fatal(err)
		}
		if all[f.GetName()] != nil {
			tb.Fatalf("%s is exported twice", f.GetName())
		}
		all[f.GetName()] = f
	}
	return all
}

// ours are the names of netwatchd's own families, without those of the Go runtime and the process.
func ours(all map[string]*dto.MetricFamily) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(name string) bool { return !strings.HasPrefix(name, "netwatchd_") })
}

func labelNames(f *dto.MetricFamily) []string {
	var names []string
	for _, pair := range f.Metric[0].Label {
		names = append(names, pair.GetName())
	}
	return names
}

// TestExportedSet compares the names, types, labels and help texts of all metrics: users' rules depend on them.
func TestExportedSet(t *testing.T) {
	all := gathered(t, fullFixture().Exporter)
	var b strings.Builder
	for _, name := range ours(all) {
		f := all[name]
		fmt.Fprintf(&b, "%s %s {%s}\n  %s\n", name, strings.ToLower(f.GetType().String()), strings.Join(labelNames(f), ","), f.GetHelp())
	}
	if *update {
		if err := os.WriteFile("testdata/exported.txt", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/exported.txt")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("go test ./internal/metrics -update if this is meant (-want +got):\n%s", diff)
	}
}

func TestPromlint(t *testing.T) {
	all := gathered(t, fullFixture().Exporter)
	problems, err := promlint.NewWithMetricFamilies(slices.Collect(maps.Values(all))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// described registers the exporter's families with their declared descriptions.
type described struct{ *fixture }

func (d described) descs() map[string]*prometheus.Desc {
	all := make(map[string]*prometheus.Desc)
	for _, f := range families {
		labels := f.labels
		if f.perProbe != nil {
			labels = slices.Concat(probeLabels, f.labels)
		}
		all[f.name] = prometheus.NewDesc(f.name, f.help, labels, nil)
	}
	return all
}

func (d described) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range d.descs() {
		out <- desc
	}
}

func (d described) Collect(out chan<- prometheus.Metric) {
	sc := d.Exporter.begin(context.Background(), new(scrape))
	for i, desc := range families {
		for _, sample := range families[i].collect(sc).Metric {
			out <- ready{d.descs()[desc.name], sample}
		}
	}
}

type ready struct {
	desc   *prometheus.Desc
	sample *dto.Metric
}

func (r ready) Desc() *prometheus.Desc { return r.desc }
func (r ready) Write(m *dto.Metric) error {
	m.Label, m.Gauge, m.Counter, m.Histogram = r.sample.Label, r.sample.Gauge, r.sample.Counter, r.sample.Histogram
	return nil
}

// TestPedanticRegistry lets client_golang check that no sample is exported twice and that each has the labels
// and the type its family declares.
func TestPedanticRegistry(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(described{fullFixture()})
	all, err := r.Gather()
	if err != nil || len(all) != len(families) {
		t.Errorf("%d of %d families, error %v", len(all), len(families), err)
	}
}

// scraped is what Prometheus would read.
func scraped(tb testing.TB, e *Exporter, accept string) map[string]*dto.MetricFamily {
	tb.Helper()
	server := httptest.NewServer(e)
	defer server.Close()
	request, _ := http.NewRequestWithContext(tb.Context(), "GET", server.URL, nil)
	request.Header.Set("Accept", accept)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		tb.Fatal(err)
	}
	defer response.Body.Close()
	if !response.Uncompressed {
		tb.Error("not compressed, though the client could have read it")
	}
	decoder := expfmt.NewDecoder(response.Body, expfmt.ResponseFormat(response.Header))
	all := make(map[string]*dto.MetricFamily)
	for {
		f := new(dto.MetricFamily)
		if err := decoder.Decode(f); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			tb.Fatal(err)
		}
		all[f.GetName()] = f
	}
}

const (
	asText     = "text/plain;version=0.0.4"
	asProtobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
)

// one is the sample of a family whose labels include these.
func one(tb testing.TB, all map[string]*dto.MetricFamily, name string, labels ...string) *dto.Metric {
	tb.Helper()
	for _, m := range all[name].GetMetric() {
		if has(m, labels) {
			return m
		}
	}
	tb.Fatalf("no %s %q", name, labels)
	return nil
}

func has(m *dto.Metric, labels []string) bool {
	for i := 0; i < len(labels); i += 2 {
		if !slices.ContainsFunc(m.Label, func(p *dto.LabelPair) bool { return p.GetName() == labels[i] && p.GetValue() == labels[i+1] }) {
			return false
		}
	}
	return true
}

func value(m *dto.Metric) float64 { return m.GetGauge().GetValue() + m.GetCounter().GetValue() }

func TestValues(t *testing.T) {
	for _, format := range []string{asText, asProtobuf} {
		all := scraped(t, fullFixture().Exporter, format)
		for _, tt := range []struct {
			want   float64
			name   string
			labels []string
		}{
			{1, "probe_success", []string{"probe", "dns"}},
			{0, "probe_success", []string{"probe", "stream"}},
			{1, "probe_error_class", []string{"probe", "dns", "class", "ok"}},
			{0, "probe_error_class", []string{"probe", "dns", "class", "dns.servfail"}},
			{1, "probe_error_class", []string{"vantage", "sandbox", "class", "local.denied"}},
			{1, "probe_runs_total", []string{"probe", "dns", "result", "failure"}},
			{1, "probe_failures_total", []string{"probe", "dns", "class", "dns.servfail"}},
			{.03, "probe_phase_duration_seconds", []string{"probe", "head", "phase", "tls"}},
			{unix(noon), "probe_last_run_timestamp_seconds", []string{"probe", "stream"}},
			{1, "probe_info", []string{"probe", "head", "target", "head.example", "interval", "30s"}},
			{1, "verdict", []string{"service", "codex", "cause", "stream"}},
			{0, "verdict", []string{"service", "codex", "cause", "ipv6"}},
			{1, "finding", []string{"service", "codex", "cause", "ipv6"}},
			{0, "finding", []string{"service", "codex", "cause", "upstream"}},
			{1, "verdict_evidence", []string{"service", "codex", "probe", "stream", "vantage", "host", "class", "stream.idle_cut"}},
			{1, "verdict_evidence", []string{"service", "codex", "probe", "gstatic", "vantage", "host", "class", "ok"}},
			{1, "verdict_changes_total", []string{"cause", "stream"}},
			{1.2, "verdict_delay_seconds", []string{"cause", "stream"}},
			{unix(noon), "verdict_since_timestamp_seconds", []string{"cause", "stream"}},
			{1, "sandboxed", []string{"signal", host.SeccompFilter}},
			{0, "sandboxed", []string{"signal", host.OnlyLoopback}},
			{8000, "codex_tokens_total", []string{"type", "cached_input"}},
			{1, "agent_requests_total", []string{"agent", "codex"}},
			{0.5, "agent_cost_usd_total", []string{"agent", "codex"}},
			{4200, "agent_budget_remaining_tokens", []string{"service", "codex"}},
			{1, "codex_warnings_total", []string{"warning", "codex_path_update"}},
			{23, "codex_budget_remaining_runs", []string{"service", "codex"}},
			{2, "scheduler_missed_runs_total", nil},
			{3, "host_suspend_discarded_runs_total", nil},
			{1, "config_last_reload_successful", nil},
		} {
			if got := value(one(t, all, "netwatchd_"+tt.name, tt.labels...)); math.Abs(got-tt.want) > 1e-9 {
				t.Errorf("%s %q: got %v, want %v", tt.name, tt.labels, got, tt.want)
			}
		}
		if causes := slices.Collect(causes.All()); len(all["netwatchd_verdict"].Metric) != len(causes) {
			t.Errorf("%d verdicts, want one for each of %d causes", len(all["netwatchd_verdict"].Metric), len(causes))
		}
		if got := len(all["netwatchd_sandboxed"].Metric); got != len(host.Signals()) {
			t.Errorf("%d signals, want all %d", got, len(host.Signals()))
		}
	}
}

func TestStaleGaugesDisappear(t *testing.T) {
	fixture := newFixture()
	fixture.record("codex", "dns", probe.KindDNS, probe.FromHost, probe.OK, map[probe.Phase]probe.Seconds{probe.Resolve: 0.01})
	for _, tt := range []struct {
		age  time.Duration
		want bool
	}{{3 * every, true}, {3*every + time.Second, false}} {
		fixture.now = noon.Add(tt.age)
		all := gathered(t, fixture.Exporter)
		for _, name := range []string{"success", "duration_seconds", "phase_duration_seconds", "error_class"} {
			if got := all["netwatchd_probe_"+name] != nil; got != tt.want {
				t.Errorf("%s after %v: got %v, want %v", name, tt.age, got, tt.want)
			}
		}
		for _, name := range []string{"last_run_timestamp_seconds", "last_success_timestamp_seconds", "runs_total", "run_duration_seconds", "info"} {
			if all["netwatchd_probe_"+name] == nil {
				t.Errorf("%s is gone after %v; it must stay", name, tt.age)
			}
		}
	}
}

// TestScrapeIsConsistent scrapes while a probe fails and succeeds in turn: gauges, class and counters must describe
// the same attempt.
func TestScrapeIsConsistent(t *testing.T) {
	fixture := newFixture()
	fixture.record("codex", "dns", probe.KindDNS, probe.FromHost, probe.OK, nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 20_000 {
			fixture.record("codex", "dns", probe.KindDNS, probe.FromHost, probe.DNSTimeout, nil)
			fixture.record("codex", "dns", probe.KindDNS, probe.FromHost, probe.OK, nil)
		}
	}()
	for scrapes := 0; ; scrapes++ {
		select {
		case <-done:
			if scrapes == 0 {
				t.Error("nothing was scraped while attempts were recorded")
			}
			return
		default:
		}
		all := gathered(t, fixture.Exporter)
		success := value(one(t, all, "netwatchd_probe_success"))
		class := value(one(t, all, "netwatchd_probe_error_class", "class", "ok"))
		good := value(one(t, all, "netwatchd_probe_runs_total", "result", "success"))
		bad := value(one(t, all, "netwatchd_probe_runs_total", "result", "failure"))
		count := one(t, all, "netwatchd_probe_run_duration_seconds").GetHistogram().GetSampleCount()
		// The first attempt succeeded, so after each success there is one more success than failures.
		if success != class || success != good-bad || uint64(good+bad) != count {
			t.Fatalf("inconsistent scrape: success %v, class %v, %v good, %v bad, %d counted", success, class, good, bad, count)
		}
	}
}

func TestHostileLabels(t *testing.T) {
	hostile := "a\"b\\c\nd{e=\"f\"} 1\xff\x00é"
	want := strings.ToValidUTF8(hostile, "\uFFFD")
	for _, format := range []string{asText, asProtobuf, "application/openmetrics-text;version=1.0.0"} {
		fixture := newFixture()
		fixture.record("codex", hostile, probe.KindDNS, probe.FromHost, probe.OK, nil)
		if strings.HasPrefix(format, "application/openmetrics") {
			scrapedOK(t, fixture.Exporter, format) // common has no parser for it
			continue
		}
		if got := value(one(t, scraped(t, fixture.Exporter, format), "netwatchd_probe_success", "probe", want)); got != 1 {
			t.Errorf("%s: got %v", format, got)
		}
	}
}

func scrapedOK(t *testing.T, e *Exporter, accept string) {
	t.Helper()
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil)
	r.Header.Set("Accept", accept)
	e.ServeHTTP(w, r)
	if w.Code != 200 || !strings.HasSuffix(w.Body.String(), "\n# EOF\n") {
		t.Errorf("%s: got %d, ending in %q", accept, w.Code, w.Body.String()[max(w.Body.Len()-20, 0):])
	}
}

// TestNativeHistogram compares the exported buckets with client_golang's for the same observations.
func TestNativeHistogram(t *testing.T) {
	theirs := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "netwatchd_theirs", Help: "Theirs.", Buckets: ledger.Bounds[:],
		NativeHistogramBucketFactor: math.Pow(2, 1./(1<<ledger.Schema)), NativeHistogramZeroThreshold: prometheus.NativeHistogramZeroThresholdZero,
	})
	fixture := newFixture()
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		took := float64(probe.InSeconds(time.Duration(math.Exp(random.NormFloat64()*2-4) * 1e9)))
		theirs.Observe(took)
		fixture.ledger.Add(probe.Result{Spec: probe.Spec{Service: "codex", Name: "dns"}, Elapsed: probe.Seconds(took), Start: noon}, every)
	}
	var want dto.Metric
	if err := theirs.Write(&want); err != nil {
		t.Fatal(err)
	}
	got := one(t, scraped(t, fixture.Exporter, asProtobuf), "netwatchd_probe_run_duration_seconds").GetHistogram()
	if got.GetSchema() != want.Histogram.GetSchema() || got.GetSampleCount() != 10_000 {
		t.Fatalf("got schema %d of %d, want schema %d of 10000", got.GetSchema(), got.GetSampleCount(), want.Histogram.GetSchema())
	}
	if diff := cmp.Diff(decoded(want.Histogram), decoded(got)); diff != "" {
		t.Errorf("native buckets (-theirs +ours):\n%s", diff)
	}
	if diff := cmp.Diff(cumulative(want.Histogram), cumulative(got)); diff != "" {
		t.Errorf("classic buckets (-theirs +ours):\n%s", diff)
	}
	text := one(t, scraped(t, fixture.Exporter, asText), "netwatchd_probe_run_duration_seconds").GetHistogram()
	if diff := cmp.Diff(cumulative(want.Histogram), cumulative(text)); diff != "" {
		t.Errorf("classic buckets in text (-theirs +ours):\n%s", diff)
	}
}

// decoded returns the number of observations for each bucket index.
func decoded(h *dto.Histogram) map[int32]int64 {
	counts := make(map[int32]int64)
	var index int32
	var count int64
	deltas := h.PositiveDelta
	for _, span := range h.PositiveSpan {
		index += span.GetOffset()
		for range span.GetLength() {
			count += deltas[0]
			deltas = deltas[1:]
			if count != 0 {
				counts[index] = count
			}
			index++
		}
	}
	return counts
}

func cumulative(h *dto.Histogram) map[float64]uint64 {
	counts := make(map[float64]uint64)
	for _, b := range h.Bucket {
		if !math.IsInf(b.GetUpperBound(), 1) {
			counts[b.GetUpperBound()] = b.GetCumulativeCount()
		}
	}
	return counts
}

func TestManyServicesExportOnlySeenCauses(t *testing.T) {
	for _, tt := range []struct{ services, want int }{{allCausesLimit, 23}, {allCausesLimit + 1, 2}} {
		fixture := newFixture()
		for i := range tt.services {
			s := watch.ServiceStatus{Verdict: diagnose.Verdict{Service: fmt.Sprint("s", i), Cause: causes.Healthy}}
			fixture.counters.Judged(s, causes.Starting)
			s.Cause = causes.Upstream
			fixture.source.status.Services = append(fixture.source.status.Services, s)
		}
		if tt.want > 2 {
			tt.want = len(slices.Collect(causes.All()))
		}
		if got := len(gathered(t, fixture.Exporter)["netwatchd_verdict"].Metric); got != tt.want*tt.services {
			t.Errorf("%d services: %d verdicts, want %d each", tt.services, got, tt.want)
		}
	}
}

func TestUnresponsiveWatcher(t *testing.T) {
	fixture := fullFixture()
	fixture.source.status, fixture.source.err = nil, watch.ErrStopped
	all := gathered(t, fixture.Exporter)
	if all["netwatchd_verdict"] != nil || all["netwatchd_sandboxed"] != nil || all["netwatchd_probe_success"] == nil {
		t.Errorf("got %v", ours(all))
	}
}

func TestFailingCollector(t *testing.T) {
	fixture := fullFixture()
	fixture.registry.MustRegister(broken{})
	all := scraped(t, fixture.Exporter, asText)
	if all["netwatchd_probe_success"] == nil || !strings.Contains(fixture.log.String(), "broken on purpose") {
		t.Errorf("got %v; log %s", ours(all), &fixture.log)
	}
}

type broken struct{}

func (broken) Describe(chan<- *prometheus.Desc) {}
func (broken) Collect(out chan<- prometheus.Metric) {
	out <- prometheus.NewInvalidMetric(prometheus.NewDesc("broken", "Broken.", nil, nil), errors.New("broken on purpose"))
}

func TestTooManyConcurrentScrapes(t *testing.T) {
	e := fullFixture().Exporter
	for range scrapesAtOnce {
		e.slots <- struct{}{}
	}
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("got %d", w.Code)
	}
}

func TestFailedWriteAbortsTheScrape(t *testing.T) {
	defer func() {
		if got := recover(); got != http.ErrAbortHandler {
			t.Errorf("got %v, want the connection aborted: a client must not take a part for the whole", got)
		}
	}()
	fullFixture().ServeHTTP(failingWriter{httptest.NewRecorder()}, httptest.NewRequest("GET", "/metrics", nil))
}

type failingWriter struct{ http.ResponseWriter }

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("gone") }

func TestCompressionNegotiation(t *testing.T) {
	for accepted, want := range map[string]bool{
		"": false, "gzip": true, "br, gzip;q=0.5": true, "gzip;q=0": false, "identity": false, "gzip; q=0.0001, x": true,
	} {
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.Header.Set("Accept-Encoding", accepted)
		if got := acceptsGzip(r); got != want {
			t.Errorf("%q: got %v, want %v", accepted, got, want)
		}
	}
}

// The time of the last scrape is known from the second one on; requests of the doctor and of people do not count.
func TestLastScrape(t *testing.T) {
	fixture := newFixture()
	const name = "netwatchd_last_scrape_timestamp_seconds"
	ask := func(who string) {
		request := httptest.NewRequest("GET", "/metrics", nil)
		request.Header.Set("User-Agent", who)
		fixture.ServeHTTP(httptest.NewRecorder(), request)
	}
	ask(Doctor)
	if f := gathered(t, fixture.Exporter)[name]; f != nil {
		t.Errorf("scraped only by the doctor: %v", f)
	}
	ask("Mozilla/5.0 (X11; Linux x86_64)")
	ask("curl/8.5.0")
	if f := gathered(t, fixture.Exporter)[name]; f != nil {
		t.Errorf("read only by people: %v", f)
	}
	ask("Prometheus/3.1.0")
	fixture.now = fixture.now.Add(time.Minute)
	ask(Doctor)
	if got, want := value(one(t, gathered(t, fixture.Exporter), name)), unix(noon.Add(time.Second)); got != want {
		t.Errorf("last scrape %v, want %v", got, want)
	}
}

// TestEveryMetricIsDocumented compares docs/metrics.md with what is exported: names, types and labels.
func TestEveryMetricIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]string)
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) < 6 || !strings.HasPrefix(line, "| `netwatchd_") {
			continue
		}
		name := strings.Trim(cells[1], " `")
		documented[name] = strings.TrimSpace(cells[2]) + " " + inOrder(strings.TrimSpace(cells[3]))
		if strings.TrimSpace(cells[4]) == "" || !strings.Contains(cells[5], name) {
			t.Errorf("%s: no meaning, or no example of its own: %s", name, line)
		}
	}
	exported := make(map[string]string)
	all := gathered(t, fullFixture().Exporter)
	for _, name := range ours(all) {
		exported[name] = strings.ToLower(all[name].GetType().String()) + " " + inOrder(ownLabels(all[name]))
	}
	if diff := cmp.Diff(exported, documented); diff != "" {
		t.Errorf("docs/metrics.md (-exported +documented):\n%s", diff)
	}
}

// ownLabels are the labels of a family without probeLabels, as the documentation writes them.
func ownLabels(f *dto.MetricFamily) string {
	names := labelNames(f)
	if strings.HasPrefix(f.GetName(), "netwatchd_probe_") {
		names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(probeLabels, name) })
	}
	if len(names) == 0 {
		return ""
	}
	return "`" + strings.Join(names, "`, `") + "`"
}

func inOrder(list string) string {
	return strings.Join(slices.Sorted(strings.SplitSeq(list, ", ")), ", ")
}
