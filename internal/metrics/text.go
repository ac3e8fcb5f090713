package metrics

import (
	"bufio"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

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
		sc.yieldAt(i)
		f.perProbe(&sc.series[i], out)
		if header != "" && len(out.line) > 0 { // a family without a sample has no header either
			w.WriteString(header)
			header = ""
		}
		w.Write(out.line)
		out.line = out.line[:0]
	}
}

func (t *textOutput) add(p *series, value float64, more labels) {
	t.begin(p, "", more)
	t.line = append(t.line, "} "...)
	t.endFloat(value)
}

// addHistogram adds the classic buckets: text has no native ones.
func (t *textOutput) addHistogram(p *series) {
	if !p.classic && !p.redundant {
		return // without buckets it is the number of runs and the sum of their durations
	}
	h := &p.Durations
	var below uint64
	if p.classic {
		for i, n := range h.Classic {
			below += uint64(n)
			t.bucket(p, ledger.Bounds[i], below)
		}
	}
	t.bucket(p, math.Inf(1), h.Count)
	t.begin(p, "_sum", labels{})
	t.line = append(t.line, "} "...)
	t.endFloat(h.Sum)
	t.begin(p, "_count", labels{})
	t.line = append(t.line, "} "...)
	t.endCount(h.Count)
}

// bucket adds one cumulative bucket. Its bound is the last label, as expfmt has it.
func (t *textOutput) bucket(p *series, bound float64, count uint64) {
	t.begin(p, "_bucket", labels{})
	t.line = append(t.line, `,le="`...)
	t.line = append(appendFloat(t.line, bound, t.openMetrics), `"} `...)
	t.endCount(count)
}

// begin writes the name and the labels, sorted by name: people and scripts look for whole lines.
func (t *textOutput) begin(p *series, suffix string, more labels) {
	t.line = append(append(t.line, t.name...), suffix...)
	separator := byte('{')
	label := func(name, value string) {
		t.line = appendLabel(append(t.line, separator), name, value)
		separator = ','
	}
	next := 0 // of more
	for i, value := range [...]string{p.Kind.String(), p.Probe, p.Service, p.Vantage.String()} {
		for ; next < len(more) && more[next][0] != "" && more[next][0] < probeLabelNames[i]; next++ {
			label(more[next][0], more[next][1])
		}
		label(probeLabelNames[i], value)
	}
	for ; next < len(more) && more[next][0] != ""; next++ {
		label(more[next][0], more[next][1])
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

func appendLabel(line []byte, name, value string) []byte {
	if !isPlain(value) {
		value = labelEscapes.Replace(strings.ToValidUTF8(value, "\uFFFD"))
	}
	line = append(append(line, name...), `="`...)
	return append(append(line, value...), '"')
}

// isPlain reports whether value is the same in the format: ASCII without what must be escaped.
func isPlain(value string) bool {
	for i := range len(value) {
		if c := value[i]; c >= utf8.RuneSelf || c == '\\' || c == '"' || c == '\n' {
			return false
		}
	}
	return true
}

// labelEscapes are those of both text formats.
var labelEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
