package push

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/klauspost/compress/snappy"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protodelim"
)

// The body of an entry is what a scrape in protobuf would answer, compressed: it is the same for every protocol, so that a
// receiver may learn another one while something is still queued for it.

// entrySamples bounds an entry, and so what is in memory at a time: ten thousand probes make a quarter of a million samples.
const entrySamples = 5000

// entries packs families. An error is of the last one.
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

// packed is an entry to be.
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

// parts splits a family that is larger than an entry.
func parts(f *dto.MetricFamily) iter.Seq[*dto.MetricFamily] {
	return func(yield func(*dto.MetricFamily) bool) {
		rest, metrics := f.Metric, f.Metric
		for len(rest) > 0 {
			n, samples := 1, samplesIn(rest[0])
			for n < len(rest) && samples+samplesIn(rest[n]) <= entrySamples {
				samples += samplesIn(rest[n])
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

// unpack reads what an entry holds.
func unpack(body []byte) ([]*dto.MetricFamily, error) {
	text, err := snappy.Decode(nil, body)
	if err != nil {
		return nil, err
	}
	var families []*dto.MetricFamily
	for r := bytes.NewReader(text); ; {
		f := new(dto.MetricFamily)
		if err := protodelim.UnmarshalFrom(r, f); errors.Is(err, io.EOF) {
			return families, nil
		} else if err != nil {
			return nil, err
		}
		families = append(families, f)
	}
}

func samplesOf(f *dto.MetricFamily) int {
	n := 0
	for _, m := range f.Metric {
		n += samplesIn(m)
	}
	return n
}

// samplesIn is of how many samples the text format makes a metric. A native histogram comes beside them and is not counted.
func samplesIn(m *dto.Metric) int {
	switch {
	case m.Histogram != nil:
		return len(bounded(m.Histogram)) + 3 // the bucket without a bound, the sum and the count
	case m.Summary != nil:
		return len(m.Summary.Quantile) + 2
	}
	return 1
}
