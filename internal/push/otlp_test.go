package push

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	collectorpb "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	commonpb "go.opentelemetry.io/proto/slim/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"netwatchd/internal/config"
)

func body(code int, text string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.WriteHeader(code)
		io.WriteString(w, text)
	}
}

func attributes(all []*commonpb.KeyValue) string {
	var text strings.Builder
	for _, a := range all {
		text.WriteString(a.Key + "=" + a.Value.GetStringValue() + " ")
	}
	return text.String()
}

func TestOTLP(t *testing.T) {
	s := newScripted(t, status(200))
	c := receiverAt(s.URL + "/v1/metrics")
	c.Labels = append(c.Labels, config.Label{Name: "team", Value: "x"})
	taken, err := newOTLP(c, options(t)).send(t.Context(), threeSnapshots(t))
	if err != nil || taken != 19 {
		t.Fatalf("%d samples taken, want 19: %v", taken, err)
	}
	if h := s.requests[0].Header; h.Get("Content-Type") != "application/x-protobuf" || h.Get("Content-Encoding") != "gzip" {
		t.Errorf("headers %v", h)
	}
	z, err := gzip.NewReader(bytes.NewReader(s.bodies[0]))
	if err != nil {
		t.Fatal(err)
	}
	message, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	var request collectorpb.ExportMetricsServiceRequest
	if err := proto.Unmarshal(message, &request); err != nil {
		t.Fatal(err)
	}
	resource := request.ResourceMetrics[0]
	if got := attributes(resource.Resource.Attributes); got != "service.instance.id=desk service.name=netwatchd service.version=1.4.0 " {
		t.Errorf("resource %s", got)
	}
	var got []string
	for _, m := range resource.ScopeMetrics[0].Metrics {
		got = append(got, pointsOf(m)...)
	}
	since := noon.Add(-time.Hour)
	want := []string{
		"class team=x class=ok instance=own  1 at 0s",
		"class team=x class=ok instance=own  ended at 1s",
		"class team=x class=dns.timeout instance=  1 at 1s",
		"class team=x class=dns.timeout instance=  1 at 2s",
		fmt.Sprintf("runs_total team=x  1 at 0s since %v", since.Sub(noon)),
		fmt.Sprintf("runs_total team=x  2 at 1s since %v", since.Sub(noon)),
		fmt.Sprintf("runs_total team=x  3 at 2s since %v", since.Sub(noon)),
		"took_seconds team=x  [1]:[1 0] at 0s",
		"took_seconds team=x  [1]:[2 0] at 1s",
		"took_seconds team=x  [1]:[2 1] at 2s",
	}
	if diff := cmp.Diff(inAnyOrder(want), inAnyOrder(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func inAnyOrder(texts []string) map[string]bool {
	set := make(map[string]bool)
	for _, text := range texts {
		set[text] = true
	}
	return set
}

func at(nanoseconds uint64) time.Duration { return time.Unix(0, int64(nanoseconds)).Sub(noon) }

func pointsOf(m *metricspb.Metric) (all []string) {
	for _, p := range m.GetGauge().GetDataPoints() {
		v := any(p.GetAsDouble())
		if p.Flags == noRecordedValue {
			v = "ended"
		}
		all = append(all, fmt.Sprint(m.Name, " ", attributes(p.Attributes), " ", v, " at ", at(p.TimeUnixNano)))
	}
	for _, p := range m.GetSum().GetDataPoints() {
		if !m.GetSum().IsMonotonic || m.GetSum().AggregationTemporality != cumulative {
			all = append(all, m.Name+" is no counter")
		}
		all = append(all, fmt.Sprint(m.Name, " ", attributes(p.Attributes), " ", p.GetAsDouble(), " at ", at(p.TimeUnixNano), " since ", at(p.StartTimeUnixNano)))
	}
	for _, p := range m.GetHistogram().GetDataPoints() {
		all = append(all, fmt.Sprint(m.Name, " ", attributes(p.Attributes), " ", p.ExplicitBounds, ":", p.BucketCounts, " at ", at(p.TimeUnixNano)))
	}
	return all
}

func TestOTLPAnswers(t *testing.T) {
	part, err := proto.Marshal(&collectorpb.ExportMetricsServiceResponse{
		PartialSuccess: &collectorpb.ExportMetricsPartialSuccess{RejectedDataPoints: 1, ErrorMessage: "too old"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		answer        func(http.ResponseWriter)
		taken         int
		fails, refuse bool
	}{
		"taken":            {status(200), 2, false, false},
		"in part":          {body(200, string(part)), 1, true, true},
		"unavailable":      {body(503, "later"), 0, true, false},
		"wrong":            {body(400, "no"), 0, true, true},
		"a portal's page":  {body(200, "<html>Welcome"), 0, true, false},
		"a portal's other": {status(204), 0, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScripted(t, test.answer)
			taken, err := newOTLP(receiverAt(s.URL), options(t)).send(t.Context(), append(up(noon), up(noon.Add(time.Second))...))
			_, refused := errors.AsType[*permanentError](err)
			if taken != test.taken || (err != nil) != test.fails || refused != test.refuse {
				t.Errorf("%d taken, refused %v, %v", taken, refused, err)
			}
		})
	}
}

// A family larger than an entry is split without losing samples.
func TestLargeFamilies(t *testing.T) {
	f := &dto.MetricFamily{Name: new("many"), Type: dto.MetricType_GAUGE.Enum()}
	for i := range 3*entrySamples - 7 {
		f.Metric = append(f.Metric, &dto.Metric{Gauge: &dto.Gauge{Value: new(float64(i))}})
	}
	var sizes []int
	next := 0.0
	for e, err := range entries(func(yield func(*dto.MetricFamily) bool) { _ = yield(up(noon)[0].families[0]) && yield(f) }) {
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, e.samples)
		families, err := unpack(e.body)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.Metric {
				if f.GetName() == "many" {
					if m.Gauge.GetValue() != next {
						t.Fatalf("got %v, want %v", m.Gauge.GetValue(), next)
					}
					next++
				}
			}
		}
	}
	if diff := cmp.Diff([]int{1, entrySamples, entrySamples, entrySamples - 7}, sizes); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

// An upgrade between two snapshots may have changed the type of a metric. Each type is sent as a metric of its own.
func TestATypeThatChanged(t *testing.T) {
	gauge := up(noon)[0]
	histogram := snapshot{gauge.at + 1000, []*dto.MetricFamily{{Name: gauge.families[0].Name, Type: dto.MetricType_HISTOGRAM.Enum(),
		Metric: []*dto.Metric{{Histogram: &dto.Histogram{SampleCount: new(uint64(1)), SampleSum: new(2.0)}}}}}}
	empty := snapshot{gauge.at + 2000, []*dto.MetricFamily{
		{Name: new("h"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{{}}},
		{Name: new("s"), Type: dto.MetricType_SUMMARY.Enum(), Metric: []*dto.Metric{{}}},
		{Name: new("c"), Type: dto.MetricType_COUNTER.Enum(), Metric: []*dto.Metric{{}}},
	}}
	samples, _, err := new(otlp).encode([]snapshot{gauge, histogram, empty})
	if err != nil || samples == 0 {
		t.Errorf("%d samples, %v", samples, err)
	}
}
