package metrics

import (
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"

	"netwatchd/internal/causes"
	"netwatchd/internal/config"
	"netwatchd/internal/host"
	"netwatchd/internal/ledger"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
)

// A family is a metric and its labels. A family per probe also has probeLabels.
type family struct {
	name   string
	help   string
	kind   dto.MetricType
	labels []string

	perProbe func(p *series, out probeOutput) // called for each probe; nil in a family that is not per probe
	global   func(sc *scrape, out *samples)
}

var probeLabels = []string{"service", "probe", "kind", "vantage"}

const (
	gauge     = dto.MetricType_GAUGE
	counter   = dto.MetricType_COUNTER
	histogram = dto.MetricType_HISTOGRAM
)

// families are the metrics computed at each scrape.
var families = []family{
	{name: "netwatchd_probe_success", kind: gauge, help: "1 if the latest attempt saw exactly what it expected, 0 if not.",
		perProbe: func(p *series, out probeOutput) {
			if p.fresh {
				out.add(p, boolToFloat(p.Latest.OK()), labels{})
			}
		}},
	{name: "netwatchd_probe_duration_seconds", kind: gauge, help: "How long the latest attempt took.",
		perProbe: func(p *series, out probeOutput) {
			if p.fresh {
				out.add(p, float64(p.Latest.Elapsed), labels{})
			}
		}},
	{name: "netwatchd_probe_phase_duration_seconds", kind: gauge, labels: []string{"phase"},
		help: "How long each phase of the latest attempt took, including the failed one.", perProbe: phases},
	{name: "netwatchd_probe_error_class", kind: gauge, labels: []string{"class"},
		help: "1 for the class of the latest attempt, 0 for other classes seen since the start.", perProbe: errorClasses},
	{name: "netwatchd_probe_tls_not_after_timestamp_seconds", kind: gauge,
		help: "When the chain of certificates that the latest attempt got ends.",
		perProbe: func(p *series, out probeOutput) {
			if end := p.Latest.TLS.End(); p.fresh && !end.IsZero() {
				out.add(p, unix(end), labels{})
			}
		}},
	{name: "netwatchd_probe_last_run_timestamp_seconds", kind: gauge, help: "When the latest attempt started.",
		perProbe: func(p *series, out probeOutput) {
			if p.redundant || !p.fresh { // else it ran within the last three intervals
				out.add(p, unix(p.Latest.Start), labels{})
			}
		}},
	{name: "netwatchd_probe_last_success_timestamp_seconds", kind: gauge, help: "When an attempt last succeeded.",
		perProbe: func(p *series, out probeOutput) {
			if isNow := p.fresh && p.Latest.OK(); !p.LastSuccess.IsZero() && (p.redundant || !isNow) {
				out.add(p, unix(p.LastSuccess), labels{})
			}
		}},
	{name: "netwatchd_probe_runs_total", kind: counter, labels: []string{"result"}, help: "Attempts made, by result.",
		perProbe: func(p *series, out probeOutput) {
			out.add(p, float64(p.Succeeded), labels{{"result", "success"}})
			out.add(p, float64(p.Failed), labels{{"result", "failure"}})
		}},
	{name: "netwatchd_probe_failures_total", kind: counter, labels: []string{"class"}, help: "Failed attempts, by class.",
		perProbe: func(p *series, out probeOutput) {
			for _, seen := range p.Classes {
				if seen.Class != probe.OK {
					out.add(p, float64(seen.Count), labels{{"class", seen.Class.String()}})
				}
			}
		}},
	{name: "netwatchd_probe_run_duration_seconds", kind: histogram, help: "How long attempts took.",
		perProbe: func(p *series, out probeOutput) { out.addHistogram(p) }},
	{name: "netwatchd_probe_info", kind: gauge, labels: []string{"target", "interval", "expectation"},
		help: "Target, interval and expectation of the probe; always 1.",
		perProbe: func(p *series, out probeOutput) {
			if about, known := p.info(p.Key); known {
				out.add(p, 1, labels{{"expectation", about.Expectation}, {"interval", about.Interval}, {"target", about.Target}})
			}
		}},

	{name: "netwatchd_verdict", kind: gauge, labels: []string{"service", "cause"},
		help: "1 for the current cause of the service, 0 for the others.",
		global: func(sc *scrape, out *samples) {
			sc.eachCause(func(s *watch.ServiceStatus, c causes.Cause, labels []*dto.LabelPair) {
				out.add(labels, boolToFloat(s.Cause == c))
			})
		}},
	{name: "netwatchd_finding", kind: gauge, labels: []string{"service", "cause"},
		help: "1 for every cause found for the service, including those beside the main one.",
		global: func(sc *scrape, out *samples) {
			sc.eachCause(func(s *watch.ServiceStatus, c causes.Cause, labels []*dto.LabelPair) {
				out.add(labels, boolToFloat(s.Names(c)))
			})
		}},
	{name: "netwatchd_verdict_evidence", kind: gauge, labels: []string{"service", "probe", "vantage", "class"},
		help: "1 for each result that is evidence of the service's current verdict; class is how it ended.", global: evidence},
	{name: "netwatchd_intermittent_failure_ratio", kind: gauge, labels: []string{"service", "probe", "kind", "class"},
		help: "Share of the latest attempts that failed, of a probe that fails and works by turns; absent for the others.",
		global: func(sc *scrape, out *samples) {
			sc.eachService(func(s *watch.ServiceStatus) {
				for _, i := range s.Intermittent {
					out.add(labelPairs("service", s.Service, "probe", i.Probe, "kind", i.Kind.String(), "class", i.Class.String()),
						float64(i.Failed)/float64(i.Of))
				}
			})
		}},
	{name: "netwatchd_verdict_since_timestamp_seconds", kind: gauge, labels: []string{"service", "cause"},
		help: "When the service's verdict changed to its current cause.",
		global: func(sc *scrape, out *samples) {
			sc.eachService(func(s *watch.ServiceStatus) { out.add(causeLabels(s, s.Cause), unix(s.Since)) })
		}},
	{name: "netwatchd_verdict_delay_seconds", kind: gauge, labels: []string{"service", "cause"},
		help: "Time from the first failed attempt to the verdict.",
		global: func(sc *scrape, out *samples) {
			sc.eachService(func(s *watch.ServiceStatus) { out.add(causeLabels(s, s.Cause), float64(s.Delay)) })
		}},
	{name: "netwatchd_verdict_changes_total", kind: counter, labels: []string{"service", "cause"},
		help: "How often the service's verdict changed to the cause.",
		global: func(sc *scrape, out *samples) {
			sc.eachCause(func(s *watch.ServiceStatus, c causes.Cause, labels []*dto.LabelPair) {
				if n := sc.changes[change{s.Service, c}]; n > 0 {
					out.add(labels, n)
				}
			})
		}},

	{name: "netwatchd_sandboxed", kind: gauge, labels: []string{"signal"},
		help: "1 for each sandbox signal found by netwatchd in its own process, 0 for the others.", global: signals},
	{name: "netwatchd_agent_tokens_total", kind: counter, labels: []string{"agent", "type"},
		help: "Tokens spent by runs of the agent.", global: tokens},
	{name: "netwatchd_agent_requests_total", kind: counter, labels: []string{"agent"},
		help: "Requests by runs of the agent to its service: as the agent reports them, or else one for each run.",
		global: func(sc *scrape, out *samples) {
			sc.eachAgent(func(name string, runs ledger.Runs) { out.add(labelPairs("agent", name), float64(runs.Requests)) })
		}},
	{name: "netwatchd_agent_cost_usd_total", kind: counter, labels: []string{"agent"},
		help: "Cost of runs of the agent in US dollars, as the agent reports it; absent if it reports none.",
		global: func(sc *scrape, out *samples) {
			sc.eachAgent(func(name string, runs ledger.Runs) {
				if runs.CostUSD != nil {
					out.add(labelPairs("agent", name), *runs.CostUSD)
				}
			})
		}},
	{name: "netwatchd_codex_tokens_total", kind: counter, labels: []string{"type"},
		help: "Tokens spent by runs of codex: netwatchd_agent_tokens_total without its agent label.", global: codexTokens},
	{name: "netwatchd_agent_warnings_total", kind: counter, labels: []string{"agent", "warning"},
		help: "Warnings of the agent that did not fail the run, by name.", global: warnings},
	{name: "netwatchd_codex_warnings_total", kind: counter, labels: []string{"warning"},
		help:   "Warnings of codex that did not fail the run: netwatchd_agent_warnings_total without its agent label.",
		global: codexWarnings},
	{name: "netwatchd_agent_budget_remaining_runs", kind: gauge, labels: []string{"service"},
		help: "Runs of the agent left in today's budget.", global: budgets},
	{name: "netwatchd_agent_budget_remaining_tokens", kind: gauge, labels: []string{"service"},
		help: "Tokens of the agent's runs left in today's budget.",
		global: func(sc *scrape, out *samples) {
			sc.eachService(func(s *watch.ServiceStatus) {
				if s.BudgetTokens != nil {
					out.add(labelPairs("service", s.Service), float64(*s.BudgetTokens))
				}
			})
		}},
	{name: "netwatchd_codex_budget_remaining_runs", kind: gauge, labels: []string{"service"},
		help: "The older name of netwatchd_agent_budget_remaining_runs.", global: budgets},
	{name: "netwatchd_last_scrape_timestamp_seconds", kind: gauge, help: "When the previous scrape by a collector ended.",
		global: func(sc *scrape, out *samples) {
			if sc.lastScrape != nil {
				out.add(nil, unix(*sc.lastScrape))
			}
		}},
}

// codexName is the agent whose counters also have older names, and that of warnings of probes that run no agent.
const codexName = "codex"

// eachAgent calls do for every agent that has run, codex first.
func (sc *scrape) eachAgent(do func(name string, runs ledger.Runs)) {
	codex := ledger.Runs{Warnings: make(map[string]uint64)}
	for command, runs := range sc.Runs {
		if command != codexName && slices.Contains(config.Presets, command) {
			continue
		}
		for warning, n := range runs.Warnings {
			codex.Warnings[warning] += n
		}
		if command == codexName {
			codex.Tokens, codex.Requests, codex.CostUSD = runs.Tokens, runs.Requests, runs.CostUSD
		}
	}
	do(codexName, codex)
	for _, preset := range config.Presets {
		if runs, ran := sc.Runs[preset]; ran && preset != codexName {
			do(preset, runs)
		}
	}
}

func tokens(sc *scrape, out *samples) {
	sc.eachAgent(func(name string, runs ledger.Runs) { addTokens(out, runs, "agent", name) })
}

func codexTokens(sc *scrape, out *samples) {
	sc.eachAgent(func(name string, runs ledger.Runs) {
		if name == codexName {
			addTokens(out, runs)
		}
	})
}

func addTokens(out *samples, runs ledger.Runs, labels ...string) {
	out.add(labelPairs(append(labels, "type", "input")...), float64(runs.Tokens.Input))
	out.add(labelPairs(append(labels, "type", "cached_input")...), float64(runs.Tokens.CachedInput))
	out.add(labelPairs(append(labels, "type", "output")...), float64(runs.Tokens.Output))
}

func warnings(sc *scrape, out *samples) {
	sc.eachAgent(func(name string, runs ledger.Runs) { addWarnings(out, runs, "agent", name) })
}

func codexWarnings(sc *scrape, out *samples) {
	sc.eachAgent(func(name string, runs ledger.Runs) {
		if name == codexName {
			addWarnings(out, runs)
		}
	})
}

func addWarnings(out *samples, runs ledger.Runs, labels ...string) {
	for warning, n := range runs.Warnings {
		out.add(labelPairs(append(labels, "warning", warning)...), float64(n))
	}
}

func budgets(sc *scrape, out *samples) {
	sc.eachService(func(s *watch.ServiceStatus) {
		if s.Budget != nil {
			out.add(labelPairs("service", s.Service), float64(*s.Budget))
		}
	})
}

// evidence exports the results that show the current verdicts. Several with equal labels (one probe at each address
// of a name) are one series. In a large configuration a healthy service has none: nobody asks what shows that, and
// ten thousand services would add as many series.
func evidence(sc *scrape, out *samples) {
	sc.eachService(func(s *watch.ServiceStatus) {
		if s.Cause == causes.Healthy && len(sc.status.Services) > allCausesLimit {
			return
		}
		type labels struct{ probe, vantage, class string }
		seen := make(map[labels]bool, len(s.Evidence))
		for _, r := range s.Evidence {
			l := labels{r.Name, r.Vantage.String(), r.Class.String()}
			if !seen[l] {
				seen[l] = true
				out.add(labelPairs("service", s.Service, "probe", l.probe, "vantage", l.vantage, "class", l.class), 1)
			}
		}
	})
}

func phases(p *series, out probeOutput) {
	if !p.fresh {
		return
	}
	for _, phase := range probe.AllPhases() {
		implied := p.Latest.Phases[phase] == p.Latest.Elapsed // it is the only one
		if took := p.Latest.Phases[phase]; took > 0 && (p.redundant || !implied) {
			out.add(p, float64(took), labels{{"phase", phase.String()}})
		}
	}
}

func errorClasses(p *series, out probeOutput) {
	if !p.fresh {
		return
	}
	for _, seen := range p.Classes {
		if seen.Class == probe.OK && !p.redundant {
			continue // netwatchd_probe_success has the same value
		}
		out.add(p, boolToFloat(seen.Class == p.Latest.Class), labels{{"class", seen.Class.String()}})
	}
}

// signals exports every signal, seen or not: there are only two dozen, and a rule need not tell "not seen" from "no
// data".
func signals(sc *scrape, out *samples) {
	if sc.status == nil {
		return
	}
	for _, signal := range host.Signals() {
		out.add(labelPairs("signal", signal), boolToFloat(slices.Contains(sc.status.Sandboxed.Signals, signal)))
	}
}

// A gauge disappears when its probe has not run for three intervals. A probe without an interval runs only after a
// failure elsewhere; its gauges disappear after Prometheus' own lookback of five minutes.
const (
	staleAfter       = 3
	staleUnscheduled = 5 * time.Minute
)

func fresh(rec *ledger.Record, now time.Time) bool {
	limit := staleAfter * rec.Interval
	if rec.Interval == 0 {
		limit = staleUnscheduled
	}
	return now.Sub(rec.Latest.Start)-rec.Latest.Elapsed.Duration() <= limit
}

// allCausesLimit is the number of services up to which each exports every cause. Beyond it a service exports only the
// causes seen since the start: a thousand services with all twenty-three would be most of the scrape.
const allCausesLimit = 100

func (sc *scrape) eachCause(do func(*watch.ServiceStatus, causes.Cause, []*dto.LabelPair)) {
	sc.eachService(func(s *watch.ServiceStatus) {
		for cause := range causes.All() {
			if len(sc.status.Services) <= allCausesLimit || s.Names(cause) || sc.changes[change{s.Service, cause}] > 0 {
				do(s, cause, causeLabels(s, cause))
			}
		}
	})
}

func (sc *scrape) eachService(do func(*watch.ServiceStatus)) {
	if sc.status == nil {
		return
	}
	for i := range sc.status.Services {
		do(&sc.status.Services[i])
	}
}

func causeLabels(s *watch.ServiceStatus, c causes.Cause) []*dto.LabelPair {
	return labelPairs("service", s.Service, "cause", c.String())
}

func boolToFloat(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
