package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// settle lets what a start costs (the first round, the first garbage) pass before the measuring begins.
const settle = 5 * time.Second

// measured is one program under one load.
type measured struct {
	load
	span       time.Duration
	made       int           // requests that reached the targets
	each       time.Duration // CPU time of one
	spent      time.Duration
	resident   int64 // bytes, while nothing scrapes
	deviations []time.Duration
	first      time.Duration // from the start of the process to its first request
	missed     float64       // starts, as netwatchd counts them
	failed     float64
	classes    []string // of the failed attempts, with their number
	lag        []bucket // how late netwatchd says that it started
}

// measure runs p under l. Netwatchd is scraped before and after the span in which the CPU time is taken: a scrape of ten
// thousand probes costs as much as a second of probing.
func measure(p program, l load, span time.Duration, withProfile bool, profile string) (m measured, err error) {
	r, err := begin(p, l)
	if err != nil {
		return m, err
	}
	defer r.end()
	m.load, m.first = l, r.targets.first-r.begun.Sub(r.targets.begun)
	time.Sleep(settle)
	_, own := p.(netwatchd)
	var before, after scraped
	if own {
		if before, err = scrape("http://" + r.web); err != nil {
			return m, err
		}
		time.Sleep(settle / 5) // the garbage of the scrape
	}
	if withProfile {
		record := exec.Command("perf", "record", "-g", "-o", profile, "-p", strconv.Itoa(r.pid()), "--", "sleep",
			strconv.Itoa(int(span.Seconds())))
		if err := record.Start(); err != nil {
			return m, err
		}
		defer func() { _ = record.Wait() }()
	}
	r.targets.restart()
	begun := time.Now()
	spent, err := cpu(r.pid())
	if err != nil {
		return m, err
	}
	time.Sleep(span)
	m.span, m.made = time.Since(begun), r.targets.count()
	if m.spent, err = cpu(r.pid()); err != nil {
		return m, err
	}
	m.spent -= spent
	m.each = m.spent / time.Duration(max(m.made, 1))
	m.deviations = r.targets.deviations(l.interval)
	if m.resident, _, err = memory(r.pid()); err != nil || !own {
		return m, err
	}
	if after, err = scrape("http://" + r.web); err != nil {
		return m, err
	}
	for class, n := range after.classes {
		if n -= before.classes[class]; n > 0 {
			m.classes = append(m.classes, fmt.Sprintf(" %s %.0f", class, n))
		}
	}
	m.missed, m.failed, m.lag = after.missed-before.missed, after.failed-before.failed, between(before.lag, after.lag)
	return m, nil
}

// line is the row of the table.
func (m measured) line(program string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %-18s %6.1f µs a probe  %5.1f MiB  %6.2f %% made  deviation p50 %s p99 %s", program,
		float64(m.each.Nanoseconds())/1e3, mib(m.resident), m.share(),
		milli(at(m.deviations, .5)), milli(at(m.deviations, .99)))
	if m.lag != nil {
		fmt.Fprintf(&b, "  late p50 %s p99 %s, %.0f missed, %.0f failed%s", milli(quantile(m.lag, .5)),
			milli(quantile(m.lag, .99)), m.missed, m.failed, strings.Join(m.classes, ""))
	}
	return b.String() + "\n"
}

func milli(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1e3) }

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// A scraped is the daemon's own metrics.
type scraped struct {
	at             time.Time
	took           time.Duration
	lines, bytes   int
	failed, missed float64
	lag            []bucket
	classes        map[string]float64   // of the failed attempts
	latest         map[string]attempted // by the name of the probe
}

// An attempted is the latest attempt of a probe, as its metrics say.
type attempted struct {
	start time.Time
	took  time.Duration
}

// A bucket counts the attempts that began at most le seconds late.
type bucket struct {
	le    float64
	count uint64
}

func scrape(url string) (scraped, error) {
	begun := time.Now()
	response, err := http.Get(url + "/metrics")
	if err != nil {
		return scraped{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body) // before it is parsed, which takes longer than to format it
	if err != nil {
		return scraped{}, err
	}
	took := time.Since(begun)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return scraped{}, err
	}
	s := scraped{
		at: begun, took: took, lines: bytes.Count(text, []byte("\n")), bytes: len(text),
		failed:  sum(families["netwatchd_probe_failures_total"]),
		classes: classesOf(families["netwatchd_probe_failures_total"]),
		missed:  sum(families["netwatchd_scheduler_missed_runs_total"]),
		latest:  latestOf(families),
	}
	for _, metric := range families["netwatchd_scheduler_lag_seconds"].GetMetric() {
		for _, b := range metric.GetHistogram().GetBucket() {
			s.lag = append(s.lag, bucket{b.GetUpperBound(), b.GetCumulativeCount()})
		}
	}
	return s, nil
}

func classesOf(family *dto.MetricFamily) map[string]float64 {
	classes := make(map[string]float64)
	for _, metric := range family.GetMetric() {
		for _, label := range metric.GetLabel() {
			if label.GetName() == "class" {
				classes[label.GetValue()] += metric.GetCounter().GetValue()
			}
		}
	}
	return classes
}

func latestOf(families map[string]*dto.MetricFamily) map[string]attempted {
	latest := make(map[string]attempted)
	each := func(family string, set func(*attempted, float64)) {
		for _, metric := range families[family].GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() == "probe" {
					a := latest[label.GetValue()]
					set(&a, metric.GetGauge().GetValue())
					latest[label.GetValue()] = a
				}
			}
		}
	}
	each("netwatchd_probe_duration_seconds", func(a *attempted, v float64) { a.took = time.Duration(v * float64(time.Second)) })
	each("netwatchd_probe_last_run_timestamp_seconds", func(a *attempted, v float64) {
		a.start = time.Unix(0, int64(v*float64(time.Second)))
	})
	return latest
}

func sum(family *dto.MetricFamily) (total float64) {
	for _, metric := range family.GetMetric() {
		total += metric.GetCounter().GetValue()
	}
	return total
}

// between is what came between two scrapes.
func between(before, after []bucket) []bucket {
	var came []bucket
	for i, b := range after {
		if i < len(before) {
			b.count -= before[i].count
		}
		came = append(came, b)
	}
	return came
}

// quantile interpolates within the bucket that holds it, and gives the last finite bound for what lies beyond, as
// histogram_quantile does.
func quantile(buckets []bucket, q float64) time.Duration {
	if len(buckets) == 0 {
		return 0
	}
	rank := q * float64(buckets[len(buckets)-1].count)
	var below bucket
	for _, b := range buckets {
		if math.IsInf(b.le, 1) {
			break
		}
		if float64(b.count) >= rank && b.count > below.count {
			share := (rank - float64(below.count)) / float64(b.count-below.count)
			return inSeconds(below.le + share*(b.le-below.le))
		}
		below = b
	}
	return inSeconds(below.le)
}

func inSeconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(10 * time.Microsecond)
}
