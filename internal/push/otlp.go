package push

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"
	collectorpb "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	commonpb "go.opentelemetry.io/proto/slim/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
	resourcepb "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"netwatchd/internal/config"
	"netwatchd/internal/redact"
)

// otlp sends by the OpenTelemetry protocol, as protobuf over HTTP
// (https://opentelemetry.io/docs/specs/otlp/#otlphttp).
type otlp struct {
	url       string
	resource  *resourcepb.Resource
	extra     []*commonpb.KeyValue // attributes of every point
	client    *http.Client
	transport *transport
}

func newOTLP(c config.Receiver, o Options) *otlp {
	s := &otlp{url: c.URL, resource: new(resourcepb.Resource), transport: newTransport(c, o)}
	s.client = s.transport.client()
	for _, l := range c.Labels {
		switch l.Name {
		case "job": // Prometheus maps these two attributes back to job and instance
			s.resource.Attributes = append(s.resource.Attributes, attribute("service.name", l.Value))
		case "instance":
			s.resource.Attributes = append(s.resource.Attributes, attribute("service.instance.id", l.Value))
		default: // Prometheus does not turn resource attributes into labels
			s.extra = append(s.extra, attribute(l.Name, l.Value))
		}
	}
	s.resource.Attributes = append(s.resource.Attributes, attribute("service.version", o.Version))
	return s
}

func attribute(key, value string) *commonpb.KeyValue {
	return &commonpb.KeyValue{
		Key:   key,
		Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: value}},
	}
}

func (s *otlp) wait() time.Duration { return s.transport.retryAfter }

func (s *otlp) send(ctx context.Context, snapshots []snapshot) (int, error) {
	samples, body, err := s.encode(snapshots)
	if err != nil {
		return 0, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	request.Header.Set("Content-Encoding", "gzip")
	s.transport.reset()
	answer, err := s.client.Do(request)
	if err != nil {
		return 0, err
	}
	var text bytes.Buffer
	_, _ = text.ReadFrom(answer.Body) // reads from memory: cannot fail
	if answer.StatusCode != http.StatusOK {
		return 0, s.transport.classify(
			fmt.Errorf("the response is %s: %s", answer.Status, redact.Quote(text.String(), quoteLimit)),
		)
	}
	var reply collectorpb.ExportMetricsServiceResponse
	if err := proto.Unmarshal(text.Bytes(), &reply); err != nil {
		return 0, fmt.Errorf("the response is not a collector's: %w", err) // for example a captive portal's page
	}
	if part := reply.PartialSuccess; part.GetRejectedDataPoints() > 0 {
		// A histogram point counts as many samples, and the response does not tell which points were rejected: this
		// is an estimate.
		return max(
				0,
				samples-int(part.RejectedDataPoints),
			), &permanentError{
				answer.StatusCode,
				errors.New(redact.Quote(part.GetErrorMessage(), quoteLimit)),
			}
	}
	return samples, nil
}

func (s *otlp) encode(snapshots []snapshot) (samples int, body []byte, err error) {
	scope := &metricspb.ScopeMetrics{Scope: &commonpb.InstrumentationScope{Name: "netwatchd"}}
	type key struct { // an upgrade between two snapshots may have changed a type
		name string
		kind dto.MetricType
	}
	byKey := make(map[key]*metricspb.Metric)
	for _, m := range snapshots {
		for _, f := range m.families {
			samples += samplesOf(f)
			k := key{f.GetName(), f.GetType()}
			metric := byKey[k]
			if metric == nil {
				if metric = s.metric(f); metric == nil {
					continue
				}
				byKey[k] = metric
				scope.Metrics = append(scope.Metrics, metric)
			}
			for _, p := range f.Metric {
				s.point(metric, p, uint64(m.at)*uint64(time.Millisecond))
			}
		}
	}
	message, err := proto.Marshal(&collectorpb.ExportMetricsServiceRequest{ResourceMetrics: []*metricspb.ResourceMetrics{
		{Resource: s.resource, ScopeMetrics: []*metricspb.ScopeMetrics{scope}},
	}})
	if err != nil {
		return 0, nil, err
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, err = z.Write(message)
	if err = cmp.Or(err, z.Close()); err != nil {
		return 0, nil, err
	}
	return samples, zipped.Bytes(), nil
}

// metric returns f without its points; nil if OTLP has no such type.
func (s *otlp) metric(f *dto.MetricFamily) *metricspb.Metric {
	m := &metricspb.Metric{Name: f.GetName(), Description: f.GetHelp()}
	switch f.GetType() {
	case dto.MetricType_COUNTER:
		m.Data = &metricspb.Metric_Sum{Sum: &metricspb.Sum{IsMonotonic: true, AggregationTemporality: cumulative}}
	case dto.MetricType_GAUGE, dto.MetricType_UNTYPED:
		m.Data = &metricspb.Metric_Gauge{Gauge: new(metricspb.Gauge)}
	case dto.MetricType_HISTOGRAM:
		m.Data = &metricspb.Metric_Histogram{Histogram: &metricspb.Histogram{AggregationTemporality: cumulative}}
	case dto.MetricType_SUMMARY:
		m.Data = &metricspb.Metric_Summary{Summary: new(metricspb.Summary)}
	default:
		return nil
	}
	return m
}

const cumulative = metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE

// point adds p with the timestamp at, in nanoseconds.
func (s *otlp) point(to *metricspb.Metric, p *dto.Metric, at uint64) {
	if !hasValue(to, p) {
		return
	}
	attributes := slices.Clone(s.extra)
	for _, l := range p.Label {
		attributes = append(attributes, attribute(l.GetName(), l.GetValue()))
	}
	switch data := to.Data.(type) {
	case *metricspb.Metric_Sum:
		data.Sum.DataPoints = append(
			data.Sum.DataPoints,
			value(p.GetCounter().GetValue(), attributes, at, startTime(p.GetCounter())),
		)
	case *metricspb.Metric_Gauge:
		v := cmp.Or(p.GetGauge().GetValue(), p.GetUntyped().GetValue())
		data.Gauge.DataPoints = append(data.Gauge.DataPoints, value(v, attributes, at, 0))
	case *metricspb.Metric_Histogram:
		data.Histogram.DataPoints = append(data.Histogram.DataPoints, histogramPoint(p.GetHistogram(), attributes, at))
	case *metricspb.Metric_Summary:
		data.Summary.DataPoints = append(data.Summary.DataPoints, summaryPoint(p.GetSummary(), attributes, at))
	}
}

// hasValue reports whether p has the value of to's type. Without it a histogram or summary would be nil, and a counter
// or gauge would read 0.
func hasValue(to *metricspb.Metric, p *dto.Metric) bool {
	switch to.Data.(type) {
	case *metricspb.Metric_Sum:
		return p.Counter != nil
	case *metricspb.Metric_Gauge:
		return p.Gauge != nil || p.Untyped != nil
	case *metricspb.Metric_Histogram:
		return p.Histogram != nil
	case *metricspb.Metric_Summary:
		return p.Summary != nil
	}
	return false
}

func startTime(m interface{ GetCreatedTimestamp() *timestamppb.Timestamp }) uint64 {
	return uint64(m.GetCreatedTimestamp().AsTime().UnixNano())
}

// noRecordedValue flags a point whose series has ended. Prometheus turns it into a staleness marker.
const noRecordedValue = uint32(metricspb.DataPointFlags_DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK)

func flags(v float64) uint32 {
	if isStale(v) {
		return noRecordedValue
	}
	return 0
}

func value(v float64, attributes []*commonpb.KeyValue, at, since uint64) *metricspb.NumberDataPoint {
	p := &metricspb.NumberDataPoint{Attributes: attributes, TimeUnixNano: at, StartTimeUnixNano: since, Flags: flags(v)}
	if p.Flags == 0 {
		p.Value = &metricspb.NumberDataPoint_AsDouble{AsDouble: v}
	}
	return p
}

// histogramPoint makes per-bucket counts of Prometheus' cumulative ones.
func histogramPoint(h *dto.Histogram, attributes []*commonpb.KeyValue, at uint64) *metricspb.HistogramDataPoint {
	p := &metricspb.HistogramDataPoint{
		Attributes:        attributes,
		TimeUnixNano:      at,
		StartTimeUnixNano: startTime(h),
		Flags:             flags(h.GetSampleSum()),
	}
	if p.Flags != 0 {
		return p
	}
	var below uint64
	for _, b := range finiteBuckets(h) {
		p.ExplicitBounds = append(p.ExplicitBounds, b.GetUpperBound())
		p.BucketCounts = append(p.BucketCounts, b.GetCumulativeCount()-below)
		below = b.GetCumulativeCount()
	}
	p.BucketCounts = append(p.BucketCounts, h.GetSampleCount()-below)
	p.Count, p.Sum = h.GetSampleCount(), h.SampleSum
	return p
}

func summaryPoint(m *dto.Summary, attributes []*commonpb.KeyValue, at uint64) *metricspb.SummaryDataPoint {
	p := &metricspb.SummaryDataPoint{
		Attributes:        attributes,
		TimeUnixNano:      at,
		StartTimeUnixNano: startTime(m),
		Flags:             flags(m.GetSampleSum()),
	}
	if p.Flags != 0 {
		return p
	}
	p.Count, p.Sum = m.GetSampleCount(), m.GetSampleSum()
	for _, q := range m.Quantile {
		if !math.IsNaN(q.GetValue()) { // NaN: the summary has no observations
			p.QuantileValues = append(
				p.QuantileValues,
				&metricspb.SummaryDataPoint_ValueAtQuantile{Quantile: q.GetQuantile(), Value: q.GetValue()},
			)
		}
	}
	return p
}
