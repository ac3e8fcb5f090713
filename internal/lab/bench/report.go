package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// An observation is what can be seen of the daemon from outside, at one moment.
type observation struct {
	at       time.Time
	cpu      time.Duration
	resident int64 // bytes, before the scrape
	peak     int64
	runs     float64
	failed   float64
	missed   float64
	lag      []bucket
}

// A bucket counts the attempts that began at most le seconds late.
type bucket struct {
	le    float64
	count uint64
}

// observe looks at the process first: a scrape of ten thousand probes costs as much as a second of probing.
func observe(pid int, url string) (observation, error) {
	o := observation{at: time.Now()}
	var err error
	if o.cpu, err = cpu(pid); err != nil {
		return o, err
	}
	if o.resident, o.peak, err = memory(pid); err != nil {
		return o, err
	}
	families, err := scrape(url)
	if err != nil {
		return o, err
	}
	o.runs = sum(families["netwatchd_probe_runs_total"])
	o.failed = sum(families["netwatchd_probe_failures_total"])
	o.missed = sum(families["netwatchd_scheduler_missed_runs_total"])
	for _, metric := range families["netwatchd_scheduler_lag_seconds"].GetMetric() {
		for _, b := range metric.GetHistogram().GetBucket() {
			o.lag = append(o.lag, bucket{b.GetUpperBound(), b.GetCumulativeCount()})
		}
	}
	return o, nil
}

func scrape(url string) (map[string]*dto.MetricFamily, error) {
	response, err := http.Get(url + "/metrics")
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(response.Body)
}

func sum(family *dto.MetricFamily) (total float64) {
	for _, metric := range family.GetMetric() {
		total += metric.GetCounter().GetValue()
	}
	return total
}

// tick is the unit of /proc/PID/stat: USER_HZ, a hundredth of a second on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// cpu is the time the process has spent, its own and the kernel's: fields 14 and 15 of proc_pid_stat(5).
func cpu(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // a name may hold anything; field 3 comes next
	var ticks time.Duration
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += time.Duration(n)
	}
	return ticks * tick, nil
}

// memory is what the process holds now, and the most it ever held.
func memory(pid int) (resident, peak int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		fmt.Sscanf(line, "VmRSS: %d kB", &resident)
		fmt.Sscanf(line, "VmHWM: %d kB", &peak)
	}
	return resident << 10, peak << 10, nil
}

// The budgets are promises to users: ten thousand DNS probes a second on one core.
const (
	cpuBudget    = 30 * time.Microsecond
	memoryBudget = 60 << 20
	lagBudget    = 5 * time.Millisecond
)

func report(o options, before, after observation) string {
	span := after.at.Sub(before.at)
	planned := float64(o.targets) * span.Seconds() / o.interval.Seconds()
	runs := after.runs - before.runs
	spent := after.cpu - before.cpu
	each := time.Duration(float64(spent) / max(runs, 1))
	var b strings.Builder
	fmt.Fprintf(&b, "%d DNS probes every %v, %d services, one core, %v\n", o.targets, o.interval, o.services, span.Round(time.Second))
	fmt.Fprintf(&b, "  kept         %.2f %% of the plan: %.0f a second, %.0f missed, %.0f failed\n",
		100*runs/planned, runs/span.Seconds(), after.missed-before.missed, after.failed-before.failed)
	fmt.Fprintf(&b, "  cpu          %v a probe (budget %v), %.1f %% of the core\n",
		each.Round(100*time.Nanosecond), cpuBudget, 100*spent.Seconds()/span.Seconds())
	fmt.Fprintf(&b, "  memory       %.1f MiB before the first scrape, %.1f MiB at the end (budget %d MiB), peak %.1f MiB\n",
		mib(before.resident), mib(after.resident), memoryBudget>>20, mib(after.peak))
	lag := since(before.lag, after.lag)
	fmt.Fprintf(&b, "  start lag    p50 %v, p99 %v (budget %v)\n", quantile(lag, 0.5), quantile(lag, 0.99), lagBudget)
	return b.String()
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// since is what came between two observations.
func since(before, after []bucket) []bucket {
	var between []bucket
	for i, b := range after {
		if i < len(before) {
			b.count -= before[i].count
		}
		between = append(between, b)
	}
	return between
}

// quantile interpolates within the bucket that holds it, as histogram_quantile does.
func quantile(buckets []bucket, q float64) time.Duration {
	if len(buckets) == 0 {
		return 0
	}
	rank := q * float64(buckets[len(buckets)-1].count)
	var below bucket
	for _, b := range buckets {
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
