package main

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// A sample is the state of the daemon at one time, read without disturbing it.
type sample struct {
	at       time.Time
	answered int64
	cpu      time.Duration
	resident int64 // bytes
	peak     int64
}

func lookAt(pid int, ns *nameserver) (sample, error) {
	l := sample{at: time.Now(), answered: ns.answered.Load()}
	var err error
	if l.cpu, err = cpu(pid); err != nil {
		return l, err
	}
	l.resident, l.peak, err = memory(pid)
	return l, err
}

// A scraped is the daemon's own metrics.
type scraped struct {
	failed, missed float64
	lag            []bucket
}

// A bucket counts the attempts that began at most le seconds late.
type bucket struct {
	le    float64
	count uint64
}

func scrape(url string) (scraped, error) {
	response, err := http.Get(url + "/metrics")
	if err != nil {
		return scraped{}, err
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return scraped{}, err
	}
	s := scraped{
		failed: sum(families["netwatchd_probe_failures_total"]),
		missed: sum(families["netwatchd_scheduler_missed_runs_total"]),
	}
	for _, metric := range families["netwatchd_scheduler_lag_seconds"].GetMetric() {
		for _, b := range metric.GetHistogram().GetBucket() {
			s.lag = append(s.lag, bucket{b.GetUpperBound(), b.GetCumulativeCount()})
		}
	}
	return s, nil
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
	fields := strings.Fields(
		string(text[bytes.LastIndexByte(text, ')')+1:]),
	) // a name may hold anything; field 3 comes next
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

// A measurement is one run: a fresh daemon, the first scrape, the span, the last scrape.
type measurement struct {
	fresh         sample
	first         scraped
	before, after sample
	last          scraped
}

func (m measurement) report(o options) string {
	span := m.after.at.Sub(m.before.at)
	planned := float64(o.targets) * span.Seconds() / o.interval.Seconds()
	answered := float64(m.after.answered - m.before.answered)
	spent := m.after.cpu - m.before.cpu
	each := time.Duration(float64(spent) / max(answered, 1))
	lag := between(m.first.lag, m.last.lag)
	var b strings.Builder
	fmt.Fprintf(
		&b,
		"%d DNS probes every %v, %d services, one core, %v\n",
		o.targets,
		o.interval,
		o.services,
		span.Round(time.Second),
	)
	fmt.Fprintf(&b, "  kept         %.2f %% of the plan: %.0f queries a second; %.0f missed, %.0f failed\n",
		100*answered/planned, answered/span.Seconds(), m.last.missed-m.first.missed, m.last.failed-m.first.failed)
	fmt.Fprintf(&b, "  cpu          %v a probe (budget %v), %.1f %% of the core\n",
		each.Round(100*time.Nanosecond), cpuBudget, 100*spent.Seconds()/span.Seconds())
	fmt.Fprintf(&b, "  memory       %.1f MiB resident (budget %d MiB); %.1f MiB after a scrape, %.1f MiB at its peak\n",
		mib(m.fresh.resident), memoryBudget>>20, mib(m.after.resident), mib(m.after.peak))
	fmt.Fprintf(
		&b,
		"  start lag    p50 %v, p99 %v (budget %v), the first scrape included\n",
		quantile(lag, 0.5),
		quantile(lag, 0.99),
		lagBudget,
	)
	return b.String()
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

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
