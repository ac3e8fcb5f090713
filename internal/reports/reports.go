// Package reports passes what the session files of agents show to the metrics, the watcher and the history.
package reports

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"netwatchd/internal/incident"
	"netwatchd/internal/probe"
	"netwatchd/internal/sessions"
)

// A Source is a home with session files, and the service that its agent uses; empty: it is not watched.
type Source struct {
	sessions.Home
	Service string
}

// Options are where reports come from and go to.
type Options struct {
	Sources func() []Source // called again every half minute
	// Suspect starts a confirming round of a service.
	Suspect func(ctx context.Context, service string) error
	Record  func(incident.Reported)
}

// A Reporter follows the session files of agents. It is also the collector of their metrics.
type Reporter struct {
	Options
	now func() time.Time

	services map[sessions.Home]string // used by Run only
	rounds   map[string]time.Time     // when the last round was started, by service; used by Run only

	mu      sync.Mutex
	events  map[series]float64
	retries map[series]float64
	limits  map[window]sessions.Limit
}

type series struct {
	agent string
	class probe.Class
}

type window struct{ agent, name string }

// New returns a Reporter. Run starts it.
func New(o Options) *Reporter {
	return &Reporter{Options: o, now: time.Now, rounds: make(map[string]time.Time),
		events: make(map[series]float64), retries: make(map[series]float64), limits: make(map[window]sessions.Limit)}
}

// Run follows the files until ctx ends.
func (r *Reporter) Run(ctx context.Context) {
	f := sessions.Follower{
		Homes:  r.homes,
		Handle: func(home sessions.Home, e sessions.Event) { r.handle(ctx, home, e) },
	}
	f.Run(ctx)
}

func (r *Reporter) homes() []sessions.Home {
	r.services = make(map[sessions.Home]string)
	var homes []sessions.Home
	for _, s := range r.Sources() {
		if _, known := r.services[s.Home]; !known { // two services of one agent: the first is judged by it
			r.services[s.Home] = s.Service
			homes = append(homes, s.Home)
		}
	}
	return homes
}

// suspectEvery is how often failures that agents report may start a confirming round of a service. A round makes about
// thirty requests, and some agents try again each second.
const suspectEvery = 10 * time.Second

func (r *Reporter) handle(ctx context.Context, home sessions.Home, e sessions.Event) {
	r.Count(home.Agent, e)
	service := r.services[home]
	if service == "" || e.Kind == sessions.Limits {
		return
	}
	r.Record(incident.Reported{Service: service, Agent: home.Agent, At: e.At, Class: e.Class,
		Retry: e.Kind == sessions.Retry, Denied: e.Kind == sessions.Denied, Network: e.Network.String()})
	if e.Kind == sessions.Denied || e.Class == probe.OK || r.now().Sub(r.rounds[service]) < suspectEvery {
		return
	}
	r.rounds[service] = r.now()
	_ = r.Suspect(ctx, service) // it fails only while the daemon stops
}

// Count counts an event of an agent.
func (r *Reporter) Count(agent string, e sessions.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e.Kind {
	case sessions.Limits:
		for _, l := range e.Limits {
			r.limits[window{agent, l.Window}] = l
		}
	case sessions.Retry:
		r.retries[series{agent, e.Class}]++
	case sessions.Turn, sessions.Denied:
		r.events[series{agent, e.Class}]++
	}
}

var (
	eventsDesc = prometheus.NewDesc("netwatchd_agent_events_total",
		"Turns that ended, and commands whose sandbox denied the network, in the session files of the agent, by class.",
		[]string{"agent", "class"}, nil)
	retriesDesc = prometheus.NewDesc("netwatchd_agent_retries_total",
		"Requests that the agent makes again, as its session files show, by the class of the failure.",
		[]string{"agent", "class"}, nil)
	limitDesc = prometheus.NewDesc("netwatchd_agent_limit_used_ratio",
		"How much of a limit of the account is used, as the agent's session files show; absent once the limit has begun again.",
		[]string{"agent", "window"}, nil)
)

// Describe implements prometheus.Collector.
func (r *Reporter) Describe(out chan<- *prometheus.Desc) {
	out <- eventsDesc
	out <- retriesDesc
	out <- limitDesc
}

// Collect implements prometheus.Collector.
func (r *Reporter) Collect(out chan<- prometheus.Metric) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for desc, counts := range map[*prometheus.Desc]map[series]float64{eventsDesc: r.events, retriesDesc: r.retries} {
		for s, n := range counts {
			out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, n, s.agent, s.class.String())
		}
	}
	now := r.now()
	maps.DeleteFunc(r.limits, func(_ window, l sessions.Limit) bool { return now.After(l.Resets) })
	for w, l := range r.limits {
		out <- prometheus.MustNewConstMetric(limitDesc, prometheus.GaugeValue, l.Used, w.agent, w.name)
	}
}
