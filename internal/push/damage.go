package push

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"regexp"
	"strconv"
	"syscall"
	"unicode/utf8"

	dto "github.com/prometheus/client_model/go"

	"netwatchd/internal/panics"
)

// What is read from the queue's directory may be damaged: by a power cut, a bad disk, a full file system, a hand. No
// damaged entry may be sent as a measurement, and none may end the daemon.

// A file is the magic, the checksum, the length of the body, and the body. The checksum covers the length, the body
// and the file's name, which holds the time: an entry under the name of another one is damaged too.
const (
	magic      = "nwq2"
	sealLength = len(magic) + 4 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal returns the content of the file of that name.
func seal(name string, body []byte) []byte {
	file := make([]byte, sealLength, sealLength+len(body))
	copy(file, magic)
	binary.LittleEndian.PutUint32(file[8:], uint32(len(body)))
	file = append(file, body...)
	binary.LittleEndian.PutUint32(file[4:], checksum(name, file))
	return file
}

func checksum(name string, file []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte(name), castagnoli), castagnoli, file[8:])
}

var errChecksum = errors.New("the checksum does not match")

// unseal returns the body of a file.
func unseal(name string, file []byte) ([]byte, error) {
	switch {
	case len(file) < sealLength || string(file[:len(magic)]) != magic:
		return nil, errors.New("the header is damaged")
	case uint64(binary.LittleEndian.Uint32(file[8:])) != uint64(len(file)-sealLength):
		return nil, fmt.Errorf("the file has %d octets, its header claims %d", len(file),
			uint64(sealLength)+uint64(binary.LittleEndian.Uint32(file[8:])))
	case binary.LittleEndian.Uint32(file[4:]) != checksum(name, file):
		return nil, errChecksum
	}
	return file[sealLength:], nil
}

// sealedSuffix is the suffix of files with a header. Earlier versions wrote the body alone, under a name without it.
// Were the header recognized by its magic, an entry with a damaged one would pass as an old entry.
const sealedSuffix = ".v2"

// nameShape bounds each part of an entry's name: the time to the year 2286, and the samples to what a counter and an
// entry can hold.
var nameShape = regexp.MustCompile(`^([0-9a-f]{16})-(0|[1-9][0-9]{0,12})-([1-9][0-9]{0,6})(\.v2)?$`)

// ownName matches names that may have been an entry's. Other files in the directory are left alone.
var ownName = regexp.MustCompile(`^[0-9a-f]{16}-`)

// parseName reads an entry's name.
func parseName(name string) (entry, bool) {
	part := nameShape.FindStringSubmatch(name)
	if part == nil {
		return entry{}, false
	}
	sequence, err1 := strconv.ParseUint(part[1], 16, 64)
	at, err2 := strconv.ParseInt(part[2], 10, 64)
	samples, err3 := strconv.Atoi(part[3])
	e := entry{sequence: sequence, at: at, samples: samples, unsealed: part[4] == ""}
	// New entries are numbered after the last one: half of the numbers must be left for them.
	return e, errors.Join(err1, err2, err3) == nil && sequence < math.MaxUint64/2
}

// isShortage reports whether a file could not be read because the process or the host lacks something. That says
// nothing about the file.
func isShortage(err error) bool {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EINTR} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// decode decodes the body of e and checks that it is what this daemon writes: bodies of earlier versions have no
// checksum.
func decode(e entry, body []byte) (families []*dto.MetricFamily, err error) {
	defer panics.Recover(panics.Push, &err)
	if families, err = unpack(body); err != nil {
		return nil, err
	}
	samples := 0
	for _, f := range families {
		if err := checkFamily(f); err != nil {
			return nil, fmt.Errorf("%.80q: %w", f.GetName(), err)
		}
		samples += samplesOf(f)
	}
	if samples != e.samples {
		return nil, fmt.Errorf("it has %d samples, its name claims %d", samples, e.samples)
	}
	return families, nil
}

// Names as the text format has them: https://prometheus.io/docs/concepts/data_model/. What this daemon exports has no
// others.
var (
	metricName = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)
	labelName  = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
)

func checkFamily(f *dto.MetricFamily) error {
	switch {
	case !metricName.MatchString(f.GetName()):
		return errors.New("not a valid metric name")
	case f.Type == nil || len(f.Metric) == 0:
		return errors.New("no type or no metric")
	case len(f.ProtoReflect().GetUnknown()) > 0:
		return errors.New("unknown fields")
	case !utf8.ValidString(f.GetHelp()):
		return errors.New("its help is not UTF-8")
	}
	for _, m := range f.Metric {
		for _, l := range m.Label {
			if !labelName.MatchString(l.GetName()) || !utf8.ValidString(l.GetValue()) {
				return fmt.Errorf("%.80q=%.80q is not a valid label", l.GetName(), l.GetValue())
			}
		}
		if err := checkMetric(f.GetType(), m); err != nil {
			return err
		}
	}
	return nil
}

func checkMetric(of dto.MetricType, m *dto.Metric) error {
	given := 0
	for _, set := range []bool{m.Counter != nil, m.Gauge != nil, m.Untyped != nil, m.Histogram != nil, m.Summary != nil} {
		if set {
			given++
		}
	}
	is := map[dto.MetricType]bool{
		dto.MetricType_COUNTER: m.Counter != nil, dto.MetricType_GAUGE: m.Gauge != nil,
		dto.MetricType_UNTYPED: m.Untyped != nil, dto.MetricType_HISTOGRAM: m.Histogram != nil,
		dto.MetricType_SUMMARY: m.Summary != nil,
	}
	switch {
	case given != 1 || !is[of]:
		return fmt.Errorf("a metric does not have the value of a %v", of)
	case len(m.ProtoReflect().GetUnknown()) > 0:
		return errors.New("unknown fields")
	case m.Counter != nil && m.Counter.GetValue() < 0:
		return errors.New("a negative counter")
	case m.Histogram != nil:
		return checkHistogram(m.Histogram)
	}
	return nil
}

func checkHistogram(h *dto.Histogram) error {
	bound, count := math.Inf(-1), uint64(0)
	for i, b := range h.Bucket {
		if i > 0 && b.GetUpperBound() <= bound || b.GetCumulativeCount() < count || math.IsNaN(b.GetUpperBound()) {
			return errors.New("the buckets of a histogram are out of order")
		}
		bound, count = b.GetUpperBound(), b.GetCumulativeCount()
	}
	if count > h.GetSampleCount() {
		return errors.New("a bucket has more observations than its histogram")
	}
	if !spansFit(h.PositiveSpan, h.PositiveDelta) || !spansFit(h.NegativeSpan, h.NegativeDelta) {
		return errors.New("the spans of a histogram do not match its buckets")
	}
	return nil
}

func spansFit(spans []*dto.BucketSpan, deltas []int64) bool {
	var buckets uint64
	for _, s := range spans {
		buckets += uint64(s.GetLength())
	}
	return buckets == uint64(len(deltas))
}

// readBounded reads a file, up to what an entry can have.
func readBounded(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, textLimit+1))
	if err == nil && len(b) > textLimit {
		err = fmt.Errorf("the file is larger than %d MiB", textLimit>>20)
	}
	return b, err
}
