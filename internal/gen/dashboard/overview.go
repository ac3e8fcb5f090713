package dashboard

import "netwatchd/internal/causes"

// Matchers for the selection at the top of a dashboard. Metrics about the host itself belong to no configured service.
const (
	chosen     = `job=~"$job", instance=~"$instance", service=~"$service"`
	chosenHost = `job=~"$job", instance=~"$instance"`
)

// Every dashboard selects job and instance; services can be selected where there is a verdict.
var (
	jobs      = Variable{"job", "Job", "netwatchd_build_info"}
	instances = Variable{"instance", "Host", `netwatchd_build_info{job=~"$job"}`}
	services  = Variable{"service", "Service", `netwatchd_verdict{job=~"$job", instance=~"$instance"}`}
)

// successScale colors the share of successful attempts: green for all, red for none.
var successScale = []Step{{0, "red"}, {0.001, "orange"}, {1, "green"}}

// late colors how late attempts started.
var lagScale = []Step{{0, "green"}, {0.1, "orange"}, {1, "red"}}

func overview() Dashboard {
	return Dashboard{
		UID: "netwatchd-overview", Title: "netwatchd / Overview",
		Description: "Whose fault it is when a coding agent cannot reach its service, since when, and the evidence.",
		Variables:   []Variable{jobs, instances, services},
		Annotations: []Annotation{{
			Name: "Incidents", Expr: "netwatchd_verdict{" + chosen + ", " + unhealthy() + "} == 1",
			Text: "{{service}}: {{cause}} on {{instance}}", Color: "rgba(242, 73, 92, 0.4)",
		}, {
			Name: "Verdict changes", Expr: "1000 * netwatchd_verdict_since_timestamp_seconds{" + chosen + "}",
			Text: "{{service}}: {{cause}} on {{instance}}", Color: "#8e8e8e", Points: true,
		}},
		Rows: []Row{
			{Height: 7, Panels: []Panel{verdictNow(), whatToDo()}},
			{Height: 6, Panels: []Panel{verdicts()}},
			{Title: "Evidence", Height: 8, Panels: []Panel{fromHost(), fromSandbox()}},
			{Height: 8, Panels: []Panel{failing(), phases()}},
			{Title: "Over time", Height: 7, Panels: []Panel{shares(), delays(), runs()}},
			{Title: "netwatchd itself", Height: 4, Panels: selfPanels()},
		},
	}
}

func verdictNow() Panel {
	return Panel{
		Title: "Verdict", Width: 7, Unit: "none", View: stat,
		Description: "The current cause for each service on each host. Red: fault of the service, or an open sandbox. " +
			"Orange: of this host. Purple: of the agent. Yellow: it still works.",
		Queries: []Query{{"sort(" + code(chosen) + ")", "{{service}} on {{instance}}"}},
		Words:   words(causes.Cause.String),
		Empty:   "no data from netwatchd",
	}
}

func whatToDo() Panel {
	now := "sort(" + code(chosen) + ")"
	return Panel{
		Title: "What is wrong and what to do",
		Width: 17,
		Unit:  "none",
		View:  table,
		Description: "The verdict, for how long it has held, how long it took from the first failed attempt, and what to do. See the " +
			"runbooks, and run `netwatchd explain latest` on that host, for more.",
		Queries: []Query{
			{Expr: now},
			{Expr: now},
			{Expr: "time() - max by (job, instance, service) (netwatchd_verdict_since_timestamp_seconds{" + chosen + "})"},
			{Expr: "max by (job, instance, service) (netwatchd_verdict_delay_seconds{" + chosen + "})"},
		},
		Columns: []Column{
			{Field: "service", Width: 110},
			{Field: "instance", Name: "host", Width: 150},
			{Field: "Value #A", Name: "what is wrong", Words: words(title)},
			{Field: "Value #C", Name: "for", Unit: "dtdurations", Width: 110},
			{Field: "Value #B", Name: "what to do", Words: withoutColors(words(advice))},
			{Field: "Value #D", Name: "time to verdict", Unit: "s", Width: 100},
		},
		Hidden: []string{"Time", "job"},
		Empty:  "no data from netwatchd",
	}
}

func verdicts() Panel {
	return Panel{
		Title: "Verdicts over time",
		Width: 24,
		Unit:  "none",
		View:  timeline,
		Description: "The cause over time. In a gap there is no data from netwatchd: the host was asleep (WSL stops an idle " +
			"distribution), off or not scraped.",
		Queries: []Query{{code(chosen), "{{service}} on {{instance}}"}},
		Words:   words(causes.Cause.String),
	}
}

// A rung of the ladder, and the matchers of its probes.
type rung struct{ name, matchers string }

// sandboxLadder are the rungs that are also probed from the sandbox.
var sandboxLadder = []rung{
	{"service name", chosen + `, kind="dns"`},
	{"service", chosen + `, kind="http"`},
}

var ladder = append(append([]rung{
	{"this host", chosenHost + `, service="host"`},
	{"nameservers", chosenHost + `, service="resolvers"`},
	{"controls", chosenHost + `, service="controls"`},
}, sandboxLadder...),
	rung{"streams", chosen + `, kind="stream"`},
	rung{"agent run", chosen + `, kind="exec"`},
)

func ladderQueries(rungs []rung, vantage string) []Query {
	var all []Query
	for _, r := range rungs {
		all = append(all, Query{"avg(netwatchd_probe_success{" + r.matchers + ", " + vantage + "})", r.name})
	}
	return all
}

func fromHost() Panel {
	return Panel{
		Title: "From the host",
		Width: 12,
		Unit:  "percentunit",
		View:  timeline,
		Description: "The ladder with its lowest rung on top: the share of successful latest attempts. The first rung that fails is " +
			"the cause; the rungs shown below it depend on it. Nameservers include the configured and the public ones.",
		Queries: ladderQueries(ladder, `vantage!="sandbox"`),
		Scale:   successScale,
		Words:   []Word{{Value: 1, Text: "as expected"}, {Value: 0, Text: "failed"}},
	}
}

func fromSandbox() Panel {
	return Panel{
		Title: "From the agent's sandbox",
		Width: 12,
		Unit:  "percentunit",
		View:  timeline,
		Description: "The same probes inside the agent's sandbox. By default it should be closed, so the colors here do not mean good " +
			"or bad: see the verdict.",
		Queries: ladderQueries(sandboxLadder, `vantage="sandbox"`),
		Scale:   []Step{{0, "blue"}, {0.001, "purple"}},
		Words:   []Word{{Value: 1, Text: "reached"}, {Value: 0, Text: "not reached"}},
		Empty:   "the sandbox is not probed",
	}
}

func failing() Panel {
	return Panel{
		Title: "Failing probes by class",
		Width: 12,
		Unit:  "short",
		View:  stacked,
		Description: "Number of probes whose latest attempt failed, by class, without those from the sandbox. The part before the " +
			"dot is the layer.",
		Queries: []Query{
			{
				`sum by (class) (netwatchd_probe_error_class{` + chosenHost + `, service=~"$service|host|resolvers|controls", class!="ok", vantage!="sandbox"})`,
				"{{class}}",
			},
		},
		Empty: "no failures",
	}
}

func phases() Panel {
	return Panel{
		Title:       "Latency by phase",
		Width:       12,
		Unit:        "s",
		View:        stacked,
		Description: "Duration of each phase of the latest HTTP attempts from the host.",
		Queries: []Query{
			{
				`avg by (phase) (netwatchd_probe_phase_duration_seconds{` + chosen + `, kind="http", vantage="host"})`,
				"{{phase}}",
			},
		},
	}
}

func shares() Panel {
	return Panel{
		Title:       "Share of time",
		Width:       10,
		Unit:        "percentunit",
		View:        bars,
		Description: "Share of the shown time for each cause, over the selected hosts and services.",
		Queries: []Query{
			{"sort_desc(avg by (cause) (avg_over_time(netwatchd_verdict{" + chosen + "}[$__range])) > 0)", "{{cause}}"},
		},
		Colors: colors(),
	}
}

func delays() Panel {
	return Panel{
		Title: "Time to verdict", Width: 7, Unit: "s", View: lines,
		Description: "Time from the first failed attempt to the current verdict: under two seconds, plus any timeouts.",
		Queries:     []Query{{"max by (service) (netwatchd_verdict_delay_seconds{" + chosen + "})", "{{service}}"}},
	}
}

func runs() Panel {
	return Panel{
		Title: "Agent runs", Width: 7, Unit: "short", View: lines,
		Description: "Tokens spent by runs of the agent, and runs left in today's budget.",
		Queries: []Query{
			{"sum by (type) (increase(netwatchd_codex_tokens_total{" + chosenHost + "}[$__rate_interval]))", "{{type}} tokens"},
			{"sum(netwatchd_codex_budget_remaining_runs{" + chosen + "})", "runs left today"},
		},
		Empty: "no agent runs",
	}
}

// itself show whether the daemon itself works: otherwise silence means nothing.
func selfPanels() []Panel {
	return []Panel{
		{
			Title: "Latest attempt",
			Width: 4,
			Unit:  "dtdurations",
			View:  stat,
			Description: "Time since the latest attempt, of the host where it is longest. If this grows, the rest of this page is out of " +
				"date.",
			Queries: []Query{
				// A large scrape has no time of a probe that runs as planned: then that of the scrape is near enough.
				{"max(time() - max by (instance) (netwatchd_probe_last_run_timestamp_seconds{" + chosenHost + "}" +
					" or timestamp(netwatchd_probe_success{" + chosenHost + "})))", "ago"},
			},
			Scale: []Step{{0, "green"}, {120, "orange"}, {600, "red"}},
		},
		{
			Title: "Scheduler lag",
			Width: 4,
			Unit:  "s",
			View:  stat,
			Description: "How late attempts started, 99th percentile. Above a tenth of a second, latencies measure the host and not the " +
				"network.",
			Queries: []Query{{quantile("0.99", "netwatchd_scheduler_lag_seconds", chosenHost), "p99"}},
			Scale:   lagScale,
		},
		{
			Title:       "Skipped attempts",
			Width:       4,
			Unit:        "short",
			View:        stat,
			Description: "Scheduled attempts skipped in the shown time.",
			Queries: []Query{
				{"sum(increase(netwatchd_scheduler_missed_runs_total{" + chosenHost + "}[$__range]))", "skipped"},
			},
			Scale: []Step{{0, "green"}, {1, "orange"}},
		},
		{
			Title:       "Suspends",
			Width:       4,
			Unit:        "short",
			View:        stat,
			Description: "How often a host was suspended or stopped in the shown time. Gaps in the panels above are then no outage.",
			Queries:     []Query{{"sum(increase(netwatchd_host_suspends_total{" + chosenHost + "}[$__range]))", "times"}},
			Scale:       []Step{{0, "green"}, {1, "blue"}},
		},
		{
			Title: "Configuration", Width: 4, Unit: "none", View: stat,
			Description: "Whether the last reload succeeded. After a failed one the previous configuration stays active.",
			Queries:     []Query{{"min(netwatchd_config_last_reload_successful{" + chosenHost + "})", "reload"}},
			Words:       []Word{{0, "rejected", "red"}, {1, "loaded", "green"}},
		},
		{
			Title: "Store errors", Width: 4, Unit: "short", View: stat,
			Description: "How often the store could not be opened or written in the shown time.",
			Queries:     []Query{{"sum(increase(netwatchd_store_errors_total{" + chosenHost + "}[$__range]))", "errors"}},
			Scale:       []Step{{0, "green"}, {1, "red"}},
		},
	}
}

// quantile is the PromQL for a quantile of a histogram over all series, from classic buckets or, if only those are
// scraped, native ones.
func quantile(q, histogram, matchers string) string {
	return "histogram_quantile(" + q + ", sum by (le) (rate(" + histogram + "_bucket{" + matchers + "}[$__rate_interval])))\n" +
		"or histogram_quantile(" + q + ", sum(rate(" + histogram + "{" + matchers + "}[$__rate_interval])))"
}
