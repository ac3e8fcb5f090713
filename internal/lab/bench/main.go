// Bench measures netwatchd where it works hardest: thousands of probes every second on one core, each a real request to
// a real socket on the loopback interface. It prints one line for each load and program: the share of planned probes
// that ran, the CPU time of one, memory, and how far starts deviate from the plan, as the targets see them. At the end
// it prints the tables of docs/performance.md.
//
//	go run ./internal/lab/bench -netwatchd bin/netwatchd
//	go run ./internal/lab/bench -netwatchd bin/netwatchd -only http,https -peer cloudprober=/usr/bin/cloudprober
//
// Each load also runs with the leanest program that makes the same requests (lean.go), which is this binary: the ratio
// between the two holds on a busy machine too.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

type options struct {
	netwatchd string
	peers     peerFlag
	only      string
	asks      load // what the single load "custom" is
	span      time.Duration
	profile   string
	table     *table
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == leanArgument {
		exit(runLean(os.Args[2], os.Args[3]))
	}
	var o options
	flag.StringVar(&o.netwatchd, "netwatchd", "bin/netwatchd", "the binary to measure")
	flag.Var(&o.peers, "peer", "another program, cloudprober=PATH or blackbox_exporter=PATH; may be repeated")
	flag.StringVar(&o.only, "only", "", "the loads to run, separated by commas: "+strings.Join(loadNames(), ", ")+
		", scrape, latency, default, growth; all if it is empty")
	flag.StringVar(&o.asks.kind, "kind", "dns", "of a load of your own: dns, http or https")
	flag.IntVar(&o.asks.targets, "targets", 10_000, "of a load of your own, which replaces the table: how many probes")
	flag.IntVar(&o.asks.services, "services", 100, "of a load of your own: spread over how many services")
	flag.IntVar(&o.asks.servers, "nameservers", 1, "of a load of your own: at how many addresses; http and https: one each")
	flag.DurationVar(&o.asks.interval, "interval", time.Second, "of a load of your own: how often each")
	flag.DurationVar(&o.span, "for", 15*time.Second, "how long to measure each")
	flag.StringVar(&o.profile, "perf", "", "write a profile of netwatchd by perf(1) to FILE during the first load")
	flag.Parse()
	o.table = new(table)
	err := bench(o)
	o.table.print(os.Stdout)
	exit(err)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// loads are the rows of the table. The rates are those at which one core is busy but not full.
var loads = []load{
	{name: "dns", kind: "dns", targets: 10_000, servers: 1},
	{name: "dns-each", kind: "dns", targets: 10_000, servers: 10_000},
	{name: "dns-1000", kind: "dns", targets: 1_000},
	{name: "http", kind: "http", targets: 3_000},
	{name: "https", kind: "https", targets: 1_000},
}

func loadNames() (names []string) {
	for _, l := range loads {
		names = append(names, l.name)
	}
	return names
}

func bench(o options) error {
	// The last core belongs to the measured program; the targets and all else here have the others, if there are others.
	if err := confine(0, max(cores()-1, 1)); err != nil {
		return err
	}
	if flagIsSet("kind", "targets", "services", "nameservers", "interval") {
		l := o.asks
		l.name = "custom"
		if l.kind != "dns" && !flagIsSet("nameservers") {
			l.servers = 0 // an address for each
		}
		return o.row(l)
	}
	wants := func(name string) bool {
		return o.only == "" || slices.Contains(strings.Split(o.only, ","), name)
	}
	for _, l := range loads {
		if wants(l.name) {
			if err := o.row(l); err != nil {
				return err
			}
		}
	}
	extras := []struct {
		name string
		run  func() error
	}{{"scrape", o.scrapes}, {"latency", o.latency}, {"default", o.defaults}, {"growth", o.growth}}
	for _, extra := range extras {
		if wants(extra.name) {
			if err := extra.run(); err != nil {
				return fmt.Errorf("%s: %w", extra.name, err)
			}
		}
	}
	return nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func flagIsSet(names ...string) (set bool) {
	flag.Visit(func(f *flag.Flag) { set = set || slices.Contains(names, f.Name) })
	return set
}

// row measures every program under one load, and prints how netwatchd compares with the others.
func (o options) row(l load) error {
	l = l.withDefaults()
	fmt.Printf("%s\n", l)
	var ours, leanest measured
	for i, p := range o.programs() {
		m, err := measure(p, l, o.span, btoi(i == 0)*len(o.profile) > 0, o.profile)
		if err != nil {
			return fmt.Errorf("%s, %s: %w", l.name, p.name(), err)
		}
		fmt.Print(m.line(p.name()))
		if i == 0 {
			ours = m
			continue
		}
		if p.name() == leanArgument {
			leanest = m
		}
		fmt.Printf("  = netwatchd / %s: cpu %.2f, memory %.2f\n", p.name(),
			float64(ours.each)/float64(max(m.each, 1)), float64(ours.resident)/float64(max(m.resident, 1)))
	}
	o.table.add(ours, leanest)
	return nil
}

// A peerFlag maps the name of a program to its path.
type peerFlag map[string]string

func (p *peerFlag) String() string { return "" }

func (p *peerFlag) Set(value string) error {
	name, path, ok := strings.Cut(value, "=")
	if !ok || name != cloudproberName && name != blackboxName {
		return errors.New("use cloudprober=PATH or blackbox_exporter=PATH")
	}
	if *p == nil {
		*p = peerFlag{}
	}
	(*p)[name] = path
	return nil
}
