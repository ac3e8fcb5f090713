package metrics

import (
	"bufio"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"netwatchd/internal/ledger"
)

// textOutput writes the samples of the probes as text: the Prometheus exposition format 0.0.4, or OpenMetrics 1.0.
// expfmt needs a dto.Metric and twenty allocations for a line. With ten thousand probes that is two seconds of a core
// for a scrape; this takes a twentieth.
type textOutput struct {
	w           *bufio.Writer
	openMetrics bool
	name        string
	line        []byte
}

// writeText writes the family of all probes of a scrape.
func (f *family) writeText(w *bufio.Writer, openMetrics bool, sc *scrape) {
	name := f.name
	if openMetrics && f.kind == counter {
		name = strings.TrimSuffix(name, "_total") // OpenMetrics 1.0: the family of a counter has no suffix
	}
	out := &textOutput{w: w, openMetrics: openMetrics, name: f.name}
	header := "# HELP " + name + " " + f.help + "\n# TYPE " + name + " " + strings.ToLower(f.kind.String()) + "\n"
	for i := range sc.series {
		if i%yieldEvery == 0 {
			runtime.Gosched()
		}
		f.perProbe(&sc.series[i], out)
		if header != "" && len(out.line) > 0 { // a family without a sample has no header either
			w.WriteString(header)
			header = ""
		}
		w.Write(out.line)
		out.line = out.line[:0]
	}
}

func (t *textOutput) add(p *series, value float64, namesAndValues ...string) {
	t.begin(p, "", namesAndValues...)
	t.line = append(t.line, "} "...)
	t.endFloat(value)
}

// addHistogram adds the classic buckets: text has no native ones.
func (t *textOutput) addHistogram(p *series) {
	h := &p.Durations
	var below uint64
	if p.classic {
		for i, n := range h.Classic {
			below += uint64(n)
			t.bucket(p, ledger.Bounds[i], below)
		}
	}
	t.bucket(p, math.Inf(1), h.Count)
	t.begin(p, "_sum")
	t.line = append(t.line, "} "...)
	t.endFloat(h.Sum)
	t.begin(p, "_count")
	t.line = append(t.line, "} "...)
	t.endCount(h.Count)
}

// bucket adds one cumulative bucket. Its bound is the last label, as expfmt has it.
func (t *textOutput) bucket(p *series, bound float64, count uint64) {
	t.begin(p, "_bucket")
	t.line = append(t.line, `,le="`...)
	t.line = append(appendFloat(t.line, bound, t.openMetrics), `"} `...)
	t.endCount(count)
}

// begin writes the name and the labels, sorted by name: people and scripts look for whole lines. The other names are
// sorted already.
func (t *textOutput) begin(p *series, suffix string, namesAndValues ...string) {
	t.line = append(append(t.line, t.name...), suffix...)
	separator := byte('{')
	for i, label := range p.asText() {
		for len(namesAndValues) > 0 && namesAndValues[0] < probeLabelNames[i] {
			t.line = appendLabel(append(t.line, separator), namesAndValues[0], namesAndValues[1])
			namesAndValues, separator = namesAndValues[2:], ','
		}
		t.line = append(append(t.line, separator), label...)
		separator = ','
	}
	for pair := range slices.Chunk(namesAndValues, 2) {
		t.line = appendLabel(append(t.line, ','), pair[0], pair[1])
	}
}

func (t *textOutput) endFloat(value float64) {
	t.line = append(appendFloat(t.line, value, t.openMetrics), '\n')
}

func (t *textOutput) endCount(n uint64) {
	t.line = append(strconv.AppendUint(t.line, n, 10), '\n')
}

// appendFloat appends a number; in OpenMetrics one with a point, as its examples have it.
func appendFloat(line []byte, value float64, openMetrics bool) []byte {
	switch {
	case math.IsInf(value, 1):
		return append(line, "+Inf"...)
	case math.IsInf(value, -1):
		return append(line, "-Inf"...)
	}
	start := len(line)
	line = strconv.AppendFloat(line, value, 'g', -1, 64)
	if openMetrics && !strings.ContainsAny(string(line[start:]), "e.N") {
		line = append(line, ".0"...)
	}
	return line
}

// probeLabelNames are the labels of a probe, sorted.
var probeLabelNames = [...]string{"kind", "probe", "service", "vantage"}

// asText returns the labels of a probe in the order of probeLabelNames.
func (p *series) asText() *[len(probeLabelNames)][]byte {
	if p.text[0] == nil {
		for i, value := range [...]string{p.Kind.String(), p.Probe, p.Service, p.Vantage.String()} {
			p.text[i] = appendLabel(nil, probeLabelNames[i], value)
		}
	}
	return &p.text
}

func appendLabel(line []byte, name, value string) []byte {
	value = labelEscapes.Replace(strings.ToValidUTF8(value, "\uFFFD"))
	line = append(append(line, name...), `="`...)
	return append(append(line, value...), '"')
}

// labelEscapes are those of both text formats.
var labelEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
