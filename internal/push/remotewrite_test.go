package push

import (
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/snappy"
	writev2 "github.com/prometheus/client_golang/exp/api/remote/genproto/v2"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"netwatchd/internal/config"
)

var noon = time.Date(2026, 2, 20, 12, 0, 0, 0, time.UTC)

// scripted is a server that sends each response once and records the requests.
type scripted struct {
	*httptest.Server
	answers  []func(http.ResponseWriter)
	requests []*http.Request
	bodies   [][]byte
}

func newScripted(t *testing.T, answers ...func(http.ResponseWriter)) *scripted {
	t.Helper()
	s := &scripted{answers: answers}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.requests, s.bodies = append(s.requests, r), append(s.bodies, body)
		if len(s.answers) == 0 {
			t.Errorf("one request too many: %s %v", r.URL, r.Header)
			return
		}
		s.answers[0](w)
		s.answers = s.answers[1:]
	}))
	t.Cleanup(s.Close)
	return s
}

// protocols are those of the requests, in order.
func (s *scripted) protocols() string {
	var all []string
	for _, r := range s.requests {
		all = append(all, r.Header.Get("X-Prometheus-Remote-Write-Version"))
	}
	return strings.Join(all, " ")
}

func status(code int) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { w.WriteHeader(code) }
}

func wrote(samples string, code int) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("X-Prometheus-Remote-Write-Samples-Written", samples)
		w.WriteHeader(code)
	}
}

func options(t *testing.T) Options {
	return Options{Dir: t.TempDir(), Version: "1.4.0", Started: noon.Add(-time.Hour), Log: slog.New(slog.DiscardHandler), Now: time.Now}
}

func receiverAt(url string) config.Receiver {
	return config.Receiver{Name: "central", URL: url, Interval: 30 * time.Second, Timeout: 10 * time.Second, Protocol: config.AnyProtocol,
		Labels: []config.Label{{Name: "instance", Value: "desk"}, {Name: "job", Value: "netwatchd"}}, Queue: 1 << 20}
}

// up is a snapshot of one gauge.
func up(at time.Time) []snapshot {
	return []snapshot{{at.UnixMilli(), []*dto.MetricFamily{{
		Name: new("up"), Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: new(1.0)}}},
	}}}}
}

// The protocol is detected, and kept over restarts.
func TestProtocolDetection(t *testing.T) {
	const two, one = "2.0.0", "0.1.0"
	for name, test := range map[string]struct {
		wanted    string
		answers   []func(http.ResponseWriter)
		sends     int
		protocols string
		fails     bool // the last of the sends
	}{
		"2.0":                      {"auto", []func(http.ResponseWriter){wrote("1", 204), wrote("1", 204)}, 2, two + " " + two, false},
		"1.0, responds 415":        {"auto", []func(http.ResponseWriter){status(415), status(204), status(204)}, 2, two + " " + one + " " + one, false},
		"1.0, sees no samples":     {"auto", []func(http.ResponseWriter){status(204), status(204), status(204)}, 2, two + " " + one + " " + one, false},
		"1.0 is wanted":            {"1.0", []func(http.ResponseWriter){status(204)}, 1, one, false},
		"2.0 is wanted, not there": {"2.0", []func(http.ResponseWriter){status(204), status(204)}, 2, two + " " + two, true},
		"2.0, then a portal":       {"auto", []func(http.ResponseWriter){wrote("1", 204), status(200)}, 2, two + " " + two, true},
		"2.0, downgraded":          {"auto", []func(http.ResponseWriter){wrote("1", 204), status(415), status(204)}, 2, two + " " + two + " " + one, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScripted(t, test.answers...)
			c, o := receiverAt(s.URL+"/api/v1/write?tenant=1"), options(t)
			c.Protocol = test.wanted
			if err := os.Mkdir(filepath.Join(o.Dir, c.Name), 0o700); err != nil {
				t.Fatal(err)
			}
			var err error
			for i := range test.sends {
				w := newRemoteWrite(c, o) // as after a restart
				var taken int
				if taken, err = w.send(t.Context(), up(noon)); err == nil && taken != 1 {
					t.Errorf("%d samples taken", taken)
				}
				if err != nil && i+1 < test.sends && !test.fails {
					t.Error(err)
				}
			}
			if _, refused := errors.AsType[*permanentError](err); (err != nil) != test.fails || refused {
				t.Errorf("the last attempt ended in %v", err)
			}
			if got := s.protocols(); got != test.protocols {
				t.Errorf("protocols %q, want %q", got, test.protocols)
			}
			if got := s.requests[0].URL.String(); got != "/api/v1/write?tenant=1" {
				t.Errorf("requested %s", got)
			}
		})
	}
}

// A receiver of 1.0 may be upgraded.
func TestProtocolIsOfferedAgain(t *testing.T) {
	s := newScripted(t, status(204), status(204), status(204), wrote("1", 204))
	o := options(t)
	now := noon
	o.Now = func() time.Time { return now }
	w := newRemoteWrite(receiverAt(s.URL), o)
	for _, after := range []time.Duration{0, offerAgain, time.Minute} {
		now = now.Add(after)
		if _, err := w.send(t.Context(), up(now)); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := s.protocols(), "2.0.0 0.1.0 0.1.0 2.0.0"; got != want {
		t.Errorf("protocols %q, want %q", got, want)
	}
}

// A response means accepted, permanently rejected, or try again, perhaps after some time.
func TestResponses(t *testing.T) {
	late := func(code int, after string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", after)
			w.WriteHeader(code)
		}
	}
	for name, test := range map[string]struct {
		answer  func(http.ResponseWriter)
		refused bool
		taken   int
		wait    time.Duration
	}{
		"unavailable":           {late(503, "7"), false, 0, 7 * time.Second},
		"unavailable, a date":   {late(503, noon.Add(time.Minute).Format(http.TimeFormat)), false, 0, time.Minute},
		"too many requests":     {late(429, "120"), false, 0, 2 * time.Minute},
		"internal":              {status(500), false, 0, 0},
		"a portal's":            {func(w http.ResponseWriter) { w.Header().Set("Location", "http://portal/"); w.WriteHeader(302) }, false, 0, 0},
		"cut short":             {func(w http.ResponseWriter) { w.Header().Set("Content-Length", "9"); w.Write([]byte("x")) }, false, 0, 0},
		"wrong":                 {wrote("0", 400), true, 0, 0},
		"wrong in part":         {wrote("1", 400), true, 1, 0},
		"not allowed":           {status(403), true, 0, 0},
		"not here":              {status(404), true, 0, 0},
		"closes the connection": {func(w http.ResponseWriter) { panic(http.ErrAbortHandler) }, false, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScripted(t, test.answer)
			c, o := receiverAt(s.URL), options(t)
			c.Protocol = config.RemoteWrite2
			o.Now = func() time.Time { return noon }
			w := newRemoteWrite(c, o)
			taken, err := w.send(t.Context(), append(up(noon), up(noon.Add(time.Second))...))
			if err == nil {
				t.Fatal("taken")
			}
			if _, refused := errors.AsType[*permanentError](err); refused != test.refused {
				t.Errorf("refused %v, want %v: %v", refused, test.refused, err)
			}
			if taken != test.taken || w.wait() != test.wait {
				t.Errorf("%d taken, want %d; wait %v, want %v", taken, test.taken, w.wait(), test.wait)
			}
		})
	}
}

func TestNoResponse(t *testing.T) {
	s := newScripted(t)
	s.Close()
	w := newRemoteWrite(receiverAt(s.URL), options(t))
	_, err := w.send(t.Context(), up(noon))
	if _, refused := errors.AsType[*permanentError](err); err == nil || refused {
		t.Errorf("got %v", err)
	}
}

func TestHeadersAndCredentials(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newScripted(t, wrote("1", 204), wrote("1", 204), wrote("1", 204))
	c, o := receiverAt(s.URL), options(t)
	c.Headers = []config.Header{{Name: "X-Scope-OrgID", Value: "7"}}
	c.Credentials = config.Credentials{File: file}
	bearer := newRemoteWrite(c, o)
	c.Credentials.Username = "desk"
	basic := newRemoteWrite(c, o)
	for i, w := range []*remoteWrite{bearer, basic, bearer} {
		if i == 2 {
			if err := os.WriteFile(file, []byte("two\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.send(t.Context(), up(noon)); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []string{"Bearer one", "Basic ZGVzazpvbmU=", "Bearer two"} { // desk:one
		if got := s.requests[i].Header.Get("Authorization"); got != want {
			t.Errorf("authorization %q, want %q", got, want)
		}
	}
	if h := s.requests[0].Header; h.Get("X-Scope-OrgID") != "7" || h.Get("User-Agent") != "netwatchd/1.4.0" || h.Get("Content-Encoding") != "snappy" {
		t.Errorf("headers %v", h)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := bearer.send(t.Context(), up(noon)); err == nil || len(s.requests) != 3 {
		t.Errorf("%d requests, want none without the secret: %v", len(s.requests), err)
	}
}

// snapshots are three at which a registry was gathered: a series comes, and one goes.
func threeSnapshots(t *testing.T) []snapshot {
	t.Helper()
	registry := prometheus.NewRegistry()
	runs := prometheus.NewCounter(prometheus.CounterOpts{Name: "runs_total", Help: "Runs."})
	class := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "class", Help: "Classes."}, []string{"class", "instance"})
	took := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "took_seconds", Help: "Took.", Buckets: []float64{1}, NativeHistogramBucketFactor: 2})
	registry.MustRegister(runs, class, took)
	p := newTracker(noon.Add(-time.Hour))
	var all []snapshot
	for i := range 3 {
		runs.Inc()
		took.Observe(float64(i))
		switch i {
		case 0:
			class.WithLabelValues("ok", "own").Set(1)
		case 1:
			class.DeleteLabelValues("ok", "own")
			class.WithLabelValues("dns.timeout", "").Set(1)
		}
		gathered, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		m := snapshot{at: noon.Add(time.Duration(i) * time.Second).UnixMilli()}
		for e, err := range entries(p.next(func(yield func(*dto.MetricFamily) bool) {
			for _, f := range gathered {
				if f.GetName() == "runs_total" {
					f.Metric[0].Counter.CreatedTimestamp = nil // as of metrics that are not client_golang's
				}
				if !yield(f) {
					return
				}
			}
		})) {
			families, unpacking := unpack(e.body)
			if err != nil || unpacking != nil {
				t.Fatal(err, unpacking)
			}
			m.families = append(m.families, families...)
		}
		all = append(all, m)
	}
	return all
}

const (
	first  = "1771588800000" // noon
	second = "1771588801000"
	third  = "1771588802000"
)

// wanted is what both protocols must carry of threeSnapshots.
var wanted = map[string]string{
	`class{class="ok",instance="own",job="netwatchd"}`:               "1@" + first + " stale@" + second,
	`class{class="dns.timeout",instance="desk",job="netwatchd"}`:     "1@" + second + " 1@" + third,
	`runs_total{instance="desk",job="netwatchd"}`:                    "1@" + first + " 2@" + second + " 3@" + third,
	`took_seconds_bucket{instance="desk",job="netwatchd",le="1.0"}`:  "1@" + first + " 2@" + second + " 2@" + third,
	`took_seconds_bucket{instance="desk",job="netwatchd",le="+Inf"}`: "1@" + first + " 2@" + second + " 3@" + third,
	`took_seconds_sum{instance="desk",job="netwatchd"}`:              "0@" + first + " 1@" + second + " 3@" + third,
	`took_seconds_count{instance="desk",job="netwatchd"}`:            "1@" + first + " 2@" + second + " 3@" + third,
}

func sampleText(v float64, at int64) string {
	if isStale(v) {
		return "stale@" + itoa(at)
	}
	return ftoa(v) + "@" + itoa(at)
}

func TestRemoteWrite2(t *testing.T) {
	s := newScripted(t, wrote("1", 204))
	if _, err := newRemoteWrite(receiverAt(s.URL), options(t)).send(t.Context(), threeSnapshots(t)); err != nil {
		t.Fatal(err)
	}
	body, err := snappy.Decode(nil, s.bodies[0])
	if err != nil {
		t.Fatal(err)
	}
	var request writev2.Request
	if err := proto.Unmarshal(body, &request); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	var natives []string
	for _, ts := range request.Timeseries {
		labels := writev2.DesymbolizeLabels(ts.LabelsRefs, request.Symbols, nil)
		for _, v := range ts.Samples {
			got[seriesText(labels)] += " " + sampleText(v.Value, v.Timestamp)
			if name := labels[1]; (name == "class") == (sinceOf(t, v.ProtoReflect().GetUnknown(), sampleCreated) != 0) {
				t.Errorf("%s counts since %d", name, sinceOf(t, v.ProtoReflect().GetUnknown(), sampleCreated))
			}
		}
		if labels[1] == "runs_total" {
			if ts.Metadata.Type != writev2.Metadata_METRIC_TYPE_COUNTER || request.Symbols[ts.Metadata.HelpRef] != "Runs." {
				t.Errorf("metadata %v", ts.Metadata)
			}
			if at := sinceOf(t, ts.Samples[0].ProtoReflect().GetUnknown(), sampleCreated); at != uint64(noon.Add(-time.Hour).UnixMilli()) {
				t.Errorf("a counter that does not say so counts since %d, want the start of the daemon", at)
			}
		}
		for _, h := range ts.Histograms {
			natives = append(natives, itoa(int64(h.GetCountInt()))+"@"+itoa(h.Timestamp))
			if sinceOf(t, h.ProtoReflect().GetUnknown(), nativeCreated) == 0 {
				t.Error("a native histogram counts since nothing")
			}
		}
	}
	if diff := cmp.Diff(wanted, trimmed(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"1@" + first, "2@" + second, "3@" + third}, natives); diff != "" {
		t.Errorf("native histograms (-want +got):\n%s", diff)
	}
}

func TestRemoteWrite1(t *testing.T) {
	s := newScripted(t, status(204))
	c := receiverAt(s.URL)
	c.Protocol = config.RemoteWrite1
	taken, err := newRemoteWrite(c, options(t)).send(t.Context(), threeSnapshots(t))
	if err != nil || taken != 19 {
		t.Fatalf("%d samples taken, want 19: %v", taken, err)
	}
	body, err := snappy.Decode(nil, s.bodies[0])
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	each(t, body, func(_ protowire.Number, series []byte) {
		var labels []string
		var samples string
		each(t, series, func(field protowire.Number, part []byte) {
			if field == 1 {
				each(t, part, func(_ protowire.Number, text []byte) { labels = append(labels, string(text)) })
				return
			}
			_, _, n := protowire.ConsumeTag(part)
			value, m := protowire.ConsumeFixed64(part[n:])
			_, _, k := protowire.ConsumeTag(part[n+m:])
			at, _ := protowire.ConsumeVarint(part[n+m+k:])
			samples += " " + sampleText(math.Float64frombits(value), int64(at))
		})
		got[seriesText(labels)] += samples
	})
	if diff := cmp.Diff(wanted, trimmed(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
