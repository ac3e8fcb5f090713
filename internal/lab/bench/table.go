package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// A limit is what netwatchd may take under a load; zero: no limit.
type limit struct {
	cpu      time.Duration // of a probe
	ratio    float64       // to that of the leanest program
	resident int64         // bytes
	late     time.Duration // how far 99 of 100 starts are from the schedule, at most
}

const mb = 1 << 20

// limits are those of docs/performance.md, by the name of the load.
var limits = map[string]limit{
	"dns":      {ratio: 1.5, resident: 60 * mb, late: 3 * time.Millisecond},
	"dns-each": {cpu: 38 * time.Microsecond, ratio: 1.5, resident: 60 * mb, late: 3 * time.Millisecond},
	"dns-1000": {ratio: 1.5},
	"http":     {cpu: 120 * time.Microsecond, resident: 40 * mb, late: 3 * time.Millisecond},
	"https":    {cpu: 740 * time.Microsecond, late: 3 * time.Millisecond},
}

// A table collects the rows of docs/performance.md.
type table struct {
	loads, others []string
}

// add adds the row of a load. Lean is zero if the leanest program did not run.
func (t *table) add(ours, lean measured) {
	l, most := ours.load, limits[ours.name]
	ratio, leanCPU := "", ""
	if lean.made > 0 {
		ratio = bounded(fmt.Sprintf("%.2f", float64(ours.each)/float64(max(lean.each, 1))), most.ratio > 0, most.ratio)
		leanCPU = micro(lean.each)
	}
	t.loads = append(t.loads, row(
		fmt.Sprintf("`%s`: %s", l.name, l.short()),
		bounded(micro(ours.each), most.cpu > 0, micro(most.cpu)), leanCPU, ratio,
		bounded(fmt.Sprintf("%.0f MB", mib(ours.resident)), most.resident > 0, fmt.Sprintf("%.0f", mib(most.resident))),
		milli(at(ours.deviations, .5)), bounded(milli(at(ours.deviations, .99)), most.late > 0, milli(most.late)),
		fmt.Sprintf("%.2f %%, %.0f failed", ours.share(), ours.failed),
	))
}

// note adds a row that is no load.
func (t *table) note(what, measured, most string) {
	t.others = append(t.others, row(what, measured, most))
}

// print writes what was collected.
func (t *table) print(w io.Writer) {
	if len(t.loads) > 0 {
		fmt.Fprintln(w, "\n| load | CPU of a probe | leanest | ratio | memory | starts off by, p50 | p99 | made |")
		fmt.Fprintln(w, strings.Repeat("|---", 8)+"|")
		fmt.Fprintln(w, strings.Join(t.loads, "\n"))
	}
	if len(t.others) > 0 {
		fmt.Fprintln(w, "\n| | measured | limit |\n|---|---|---|\n"+strings.Join(t.others, "\n"))
	}
}

func row(cells ...string) string { return "| " + strings.Join(cells, " | ") + " |" }

// bounded returns a measured value with its limit in parentheses.
func bounded(measured string, has bool, most any) string {
	if !has {
		return measured
	}
	return fmt.Sprintf("%s (%v)", measured, most)
}

func micro(d time.Duration) string { return fmt.Sprintf("%.0f µs", float64(d.Nanoseconds())/1e3) }

// share is how many of the planned probes were made, in per cent.
func (m measured) share() float64 {
	planned := float64(m.targets) * m.span.Seconds() / m.interval.Seconds()
	return 100 * float64(m.made) / planned
}
