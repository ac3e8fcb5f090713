package push

import (
	"math"

	writev2 "github.com/prometheus/client_golang/exp/api/remote/genproto/v2"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protowire"
)

var metadataTypes = map[dto.MetricType]writev2.Metadata_MetricType{
	dto.MetricType_COUNTER:   writev2.Metadata_METRIC_TYPE_COUNTER,
	dto.MetricType_GAUGE:     writev2.Metadata_METRIC_TYPE_GAUGE,
	dto.MetricType_HISTOGRAM: writev2.Metadata_METRIC_TYPE_HISTOGRAM,
	dto.MetricType_SUMMARY:   writev2.Metadata_METRIC_TYPE_SUMMARY,
}

// encodeV2 is io.prometheus.write.v2.Request (https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/).
func encodeV2(t *table) *writev2.Request {
	symbols := writev2.NewSymbolTable()
	request := &writev2.Request{Timeseries: make([]*writev2.TimeSeries, 0, len(t.all))}
	for _, s := range t.all {
		out := &writev2.TimeSeries{
			LabelsRefs: make([]uint32, 0, 2*len(s.labels)),
			Metadata: &writev2.Metadata{
				Type:    metadataTypes[s.family.GetType()],
				HelpRef: symbols.Symbolize(s.family.GetHelp()),
			},
		}
		for _, l := range s.labels {
			out.LabelsRefs = append(out.LabelsRefs, symbols.Symbolize(l.Name), symbols.Symbolize(l.Value))
		}
		for _, v := range s.samples {
			sample := &writev2.Sample{Value: v.value, Timestamp: v.at}
			sample.ProtoReflect().SetUnknown(createdField(sampleCreated, v.since))
			out.Samples = append(out.Samples, sample)
		}
		for _, n := range s.natives {
			out.Histograms = append(out.Histograms, encodeNative(n))
		}
		request.Timeseries = append(request.Timeseries, out)
	}
	request.Symbols = symbols.Symbols()
	return request
}

// Fields of the created timestamps, which the specification got after the client's types were generated.
const (
	sampleCreated protowire.Number = 3
	nativeCreated protowire.Number = 17
)

func createdField(field protowire.Number, ms int64) []byte {
	if ms <= 0 {
		return nil
	}
	return protowire.AppendVarint(protowire.AppendTag(nil, field, protowire.VarintType), uint64(ms))
}

func encodeNative(n native) *writev2.Histogram {
	h := &writev2.Histogram{
		Count:          &writev2.Histogram_CountInt{CountInt: n.GetSampleCount()},
		Sum:            n.GetSampleSum(),
		Schema:         n.GetSchema(),
		ZeroThreshold:  n.GetZeroThreshold(),
		ZeroCount:      &writev2.Histogram_ZeroCountInt{ZeroCountInt: n.GetZeroCount()},
		PositiveSpans:  spans(n.PositiveSpan),
		PositiveDeltas: n.PositiveDelta,
		NegativeSpans:  spans(n.NegativeSpan),
		NegativeDeltas: n.NegativeDelta,
		Timestamp:      n.at,
	}
	h.ProtoReflect().SetUnknown(createdField(nativeCreated, n.since))
	return h
}

func spans(all []*dto.BucketSpan) []*writev2.BucketSpan {
	out := make([]*writev2.BucketSpan, len(all))
	for i, s := range all {
		out[i] = &writev2.BucketSpan{Offset: s.GetOffset(), Length: s.GetLength()}
	}
	return out
}

// encodeV1 is prometheus.WriteRequest (https://prometheus.io/docs/specs/prw/remote_write_spec/):
//
//	WriteRequest{repeated TimeSeries timeseries = 1}
//	TimeSeries{repeated Label labels = 1; repeated Sample samples = 2}
//	Label{string name = 1; string value = 2}
//	Sample{double value = 1; int64 timestamp = 2}
func encodeV1(t *table) encoded {
	var request, out, part []byte
	for _, s := range t.all {
		if len(s.samples) == 0 {
			continue
		}
		out = out[:0]
		for _, l := range s.labels {
			part = protowire.AppendString(protowire.AppendTag(part[:0], 1, protowire.BytesType), l.Name)
			part = protowire.AppendString(protowire.AppendTag(part, 2, protowire.BytesType), l.Value)
			out = protowire.AppendBytes(protowire.AppendTag(out, 1, protowire.BytesType), part)
		}
		for _, v := range s.samples {
			part = protowire.AppendFixed64(protowire.AppendTag(part[:0], 1, protowire.Fixed64Type), math.Float64bits(v.value))
			part = protowire.AppendVarint(protowire.AppendTag(part, 2, protowire.VarintType), uint64(v.at))
			out = protowire.AppendBytes(protowire.AppendTag(out, 2, protowire.BytesType), part)
		}
		request = protowire.AppendBytes(protowire.AppendTag(request, 1, protowire.BytesType), out)
	}
	return request
}

// encoded is an already encoded message. The client calls it as a message that encodes itself.
type encoded []byte

// SizeVT returns its length.
func (e encoded) SizeVT() int { return len(e) }

// MarshalToSizedBufferVT copies it into a buffer.
func (e encoded) MarshalToSizedBufferVT(into []byte) (int, error) { return copy(into, e), nil }
