package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// scrapes prints what a scrape of ten thousand probes takes, and the time from the start of the process to its first
// request.
func (o options) scrapes() error {
	l := load{name: "scrape", kind: "dns", targets: 10_000, servers: 1, interval: 5 * time.Second}.withDefaults()
	r, err := begin(netwatchd{o.netwatchd}, l)
	if err != nil {
		return err
	}
	defer r.end()
	ready := time.Since(r.begun)
	time.Sleep(settle)
	calm, _, err := memory(r.pid())
	if err != nil {
		return err
	}
	before, err := cpu(r.pid())
	if err != nil {
		return err
	}
	var took []time.Duration
	var lines, size int
	const times = 5
	for range times {
		s, err := scrape("http://" + r.web)
		if err != nil {
			return err
		}
		took, lines, size = append(took, s.took), s.lines, s.bytes
	}
	after, err := cpu(r.pid())
	if err != nil {
		return err
	}
	slices.Sort(took)
	time.Sleep(settle)
	resident, peak, err := memory(r.pid())
	if err != nil {
		return err
	}
	fmt.Printf("%s\n  ready after %v, first request after %v\n", l, ready.Round(time.Millisecond),
		(r.targets.first - r.begun.Sub(r.targets.begun)).Round(time.Millisecond))
	fmt.Printf("  a scrape of %d lines: %v, %v CPU with the probes meanwhile; %.1f MiB before, %.1f MiB %v afterwards, peak %.1f MiB\n",
		lines, took[len(took)/2].Round(time.Millisecond), ((after - before) / times).Round(time.Millisecond), mib(calm),
		mib(resident), settle, mib(peak))
	o.table.note("a scrape of 10,000 probes", fmt.Sprintf("%v, %.1f MB of text, %d lines", took[len(took)/2].Round(time.Millisecond),
		float64(size)/1e6, lines), "150 ms, 6 MB")
	o.table.note("memory of 10,000 DNS probes", fmt.Sprintf("%.0f MB", mib(calm)), "60 MB")
	o.table.note("memory after its scrapes", fmt.Sprintf("%.0f MB, peak %.0f MB", mib(resident), mib(peak)), "10 % more than before")
	return nil
}

// latency prints how exact the reported times are: netwatchd's, minus what its nameserver knows to have taken.
func (o options) latency() error {
	l := load{name: "latency", kind: "dns", targets: 2_000, servers: 1, delay: 50 * time.Millisecond}.withDefaults()
	r, err := begin(netwatchd{o.netwatchd}, l)
	if err != nil {
		return err
	}
	defer r.end()
	time.Sleep(settle)
	r.targets.restart()
	time.Sleep(2 * l.interval)
	var errors []time.Duration
	for range 5 {
		time.Sleep(l.interval)
		s, err := scrape("http://" + r.web)
		if err != nil {
			return err
		}
		errors = append(errors, r.targets.errors(s.latest)...)
	}
	slices.Sort(errors)
	fmt.Printf("%s, answered after %v\n  error of the reported time: p50 %s p99 %s max %s, of %d attempts\n", l, l.delay,
		milli(at(errors, .5)), milli(at(errors, .99)), milli(at(errors, 1)), len(errors))
	o.table.note("error of the reported time", "p50 "+milli(at(errors, .5))+", p99 "+milli(at(errors, .99)), "")
	return nil
}

// errors returns by how much the reported times are wrong. An attempt is compared with the request that came first after
// its start.
func (a *arrivals) errors(latest map[string]attempted) (all []time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, attempt := range latest {
		i, err := strconv.Atoi(strings.TrimPrefix(name, "p"))
		if err != nil || i >= len(a.perNode) {
			continue
		}
		// A timestamp in a float is exact to a quarter of a microsecond.
		start := attempt.start.Sub(a.begun) - time.Microsecond
		for _, e := range a.perNode[i] {
			if e.came >= start && e.came < start+time.Second/2 {
				all = append(all, (attempt.took - (e.answered - e.came)).Abs())
				break
			}
		}
	}
	return all
}

// growth prints what a probe costs with more and more of them, and with longer intervals.
func (o options) growth() error {
	var all []load
	for _, n := range []int{10, 100, 1_000, 10_000, 50_000} {
		all = append(all, load{name: "growth", kind: "dns", targets: n, servers: n, interval: 5 * time.Second})
	}
	for _, interval := range []time.Duration{time.Second, 2 * time.Second, 10 * time.Second} {
		all = append(all, load{name: "growth", kind: "dns", targets: 5_000, servers: 5_000, interval: interval})
	}
	for _, l := range all {
		l = l.withDefaults()
		m, err := measure(netwatchd{o.netwatchd}, l, 2*max(l.interval, 5*time.Second), false, "")
		if err != nil {
			return err
		}
		fmt.Printf("%s\n%s", l, m.line("netwatchd"))
		o.table.note(l.short(), fmt.Sprintf("%s a probe, %.0f MB", micro(m.each), mib(m.resident)), "")
	}
	return nil
}

// defaults prints what the daemon takes without a configuration file, in the network that the benchmark runs in.
func (o options) defaults() error {
	dir, err := os.MkdirTemp("", "netwatchd-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	web, err := freePort()
	if err != nil {
		return err
	}
	config := filepath.Join(dir, "config.yaml")
	text := fmt.Sprintf("storage: {path: %s/storage}\nstatus_file: %s/status.json\n", dir, dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	cmd, err := start(cores()-1, o.netwatchd, "run", "--config.file="+config, "--web.listen-address="+web, "--log.level=error")
	if err != nil {
		return err
	}
	defer func() { _, _ = cmd.Process.Kill(), cmd.Wait() }()
	const span = 25 * time.Second // the first round, and no other
	time.Sleep(span)
	resident, _, err := memory(cmd.Process.Pid)
	if err != nil {
		return err
	}
	spent, err := cpu(cmd.Process.Pid)
	if err != nil {
		return err
	}
	share := 100 * spent.Seconds() / span.Seconds()
	fmt.Printf("default: no probes configured, the first %v\n  %.1f MiB, %.2f %% of a core\n", span, mib(resident), share)
	o.table.note("default configuration, with its start", fmt.Sprintf("%.0f MB, %.2f %% of a core", mib(resident), share), "25 MB")
	return nil
}
