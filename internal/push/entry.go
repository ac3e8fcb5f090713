package push

import (
	"bytes"
	"fmt"
	"iter"

	"github.com/klauspost/compress/snappy"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protodelim"
)

// The body of an entry is the compressed protobuf form of a scrape. It is the same for every protocol, so that a
// receiver can change its protocol while something is queued for it.

// entrySamples bounds an entry, and with it the memory used at a time: ten thousand probes have a quarter of a
// million samples.
const entrySamples = 5000

// entries packs families into entries.
func entries(families iter.Seq[*dto.MetricFamily]) iter.Seq2[packed, error] {
	return func(yield func(packed, error) bool) {
		var p packer
		for f := range families {
			for part := range parts(f) {
				if p.samples > 0 && p.samples+samplesOf(part) > entrySamples && !yield(p.pack(), nil) {
					return
				}
				if err := p.add(part); err != nil {
					yield(packed{}, err)
					return
				}
			}
		}
		if p.samples > 0 {
			yield(p.pack(), nil)
		}
	}
}

// packed is the content of an entry.
type packed struct {
	body    []byte
	samples int
}

type packer struct {
	text    bytes.Buffer
	samples int
}

func (p *packer) add(f *dto.MetricFamily) error {
	p.samples += samplesOf(f)
	if _, err := protodelim.MarshalTo(&p.text, f); err != nil {
		return fmt.Errorf("encoding %s: %w", f.GetName(), err)
	}
	return nil
}

func (p *packer) pack() packed {
	e := packed{snappy.Encode(nil, p.text.Bytes()), p.samples}
	p.text.Reset()
	p.samples = 0
	return e
}

// parts splits a family that is too large for one entry.
func parts(f *dto.MetricFamily) iter.Seq[*dto.MetricFamily] {
	return func(yield func(*dto.MetricFamily) bool) {
		rest, metrics := f.Metric, f.Metric
		for len(rest) > 0 {
			n, samples := 1, metricSamples(rest[0])
			for n < len(rest) && samples+metricSamples(rest[n]) <= entrySamples {
				samples += metricSamples(rest[n])
				n++
			}
			if n == len(metrics) {
				yield(f)
				return
			}
			if !yield(&dto.MetricFamily{Name: f.Name, Help: f.Help, Type: f.Type, Unit: f.Unit, Metric: rest[:n]}) {
				return
			}
			rest = rest[n:]
		}
	}
}

const (
	// textLimit bounds the text of an entry: five thousand samples with long labels take 2 MB.
	textLimit = 32 << 20
	// expansionLimit is how much longer than its body a text can be. Two octets of snappy copy at most 11, three copy at
	// most 64 (https://github.com/google/snappy/blob/main/format_description.txt).
	expansionLimit = 64
)

// unpack decodes the body of an entry. It allocates no more than the length of the body justifies: six octets can
// claim 4 GB.
func unpack(body []byte) ([]*dto.MetricFamily, error) {
	size, err := snappy.DecodedLen(body)
	switch {
	case err != nil:
		return nil, err
	case size > textLimit || size > expansionLimit*len(body):
		return nil, fmt.Errorf("%d octets claim to hold %d", len(body), size)
	}
	text, err := snappy.Decode(nil, body)
	if err != nil {
		return nil, err
	}
	limited := protodelim.UnmarshalOptions{MaxSize: int64(len(text))}
	var families []*dto.MetricFamily
	for r := bytes.NewReader(text); r.Len() > 0; {
		f := new(dto.MetricFamily)
		if err := limited.UnmarshalFrom(r, f); err != nil {
			return nil, err
		}
		families = append(families, f)
	}
	return families, nil
}

func samplesOf(f *dto.MetricFamily) int {
	n := 0
	for _, m := range f.Metric {
		n += metricSamples(m)
	}
	return n
}

// metricSamples is the number of samples of m in the text format. A native histogram is not counted.
func metricSamples(m *dto.Metric) int {
	switch {
	case m.Histogram != nil:
		return len(finiteBuckets(m.Histogram)) + 3 // the +Inf bucket, the sum and the count
	case m.Summary != nil:
		return len(m.Summary.Quantile) + 2
	}
	return 1
}
