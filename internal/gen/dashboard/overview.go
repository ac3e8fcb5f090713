package dashboard

import "netwatchd/internal/diagnose"

// Matchers of what is chosen at the top of a dashboard. What is known of the host itself has no service of the user's.
const (
	chosen     = `job=~"$job", instance=~"$instance", service=~"$service"`
	chosenHost = `job=~"$job", instance=~"$instance"`
)

// job and instance are chosen on every dashboard; services where there is a verdict.
var (
	jobs      = Variable{"job", "Job", "netwatchd_build_info"}
	instances = Variable{"instance", "Host", `netwatchd_build_info{job=~"$job"}`}
	services  = Variable{"service", "Service", `netwatchd_verdict{job=~"$job", instance=~"$instance"}`}
)

// right is green for all, red for none: of a share of attempts that ended as expected.
var right = []Step{{0, "red"}, {0.001, "orange"}, {1, "green"}}

// late is for what should take a moment.
var late = []Step{{0, "green"}, {0.1, "orange"}, {1, "red"}}

func overview() Dashboard {
	return Dashboard{
		UID: "netwatchd-overview", Title: "netwatchd / Overview",
		Description: "Whose fault is it when a coding agent cannot reach its service, since when, and what shows it.",
		Variables:   []Variable{jobs, instances, services},
		Annotations: []Annotation{{
			Name: "Incidents", Expr: "netwatchd_verdict{" + chosen + ", " + unwell() + "} == 1",
			Text: "{{service}}: {{cause}} on {{instance}}", Color: "rgba(242, 73, 92, 0.4)",
		}, {
			Name: "Verdict moves", Expr: "1000 * netwatchd_verdict_since_timestamp_seconds{" + chosen + "}",
			Text: "{{service}}: {{cause}} on {{instance}}", Color: "#8e8e8e", Moment: true,
		}},
		Rows: []Row{
			{Height: 7, Panels: []Panel{verdictNow(), whatToDo()}},
			{Height: 6, Panels: []Panel{verdicts()}},
			{Title: "What shows it", Height: 8, Panels: []Panel{fromHost(), fromSandbox()}},
			{Height: 8, Panels: []Panel{failing(), phases()}},
			{Title: "Looking back", Height: 7, Panels: []Panel{shares(), delays(), runs()}},
			{Title: "netwatchd itself", Height: 4, Panels: itself()},
		},
	}
}

func verdictNow() Panel {
	return Panel{
		Title: "Verdict", Width: 7, Unit: "none", View: Stat,
		Description: "The one cause that holds now, for each service on each host. Red: the service's, or an open sandbox. " +
			"Orange: this host's. Purple: the agent's. Yellow: it works all the same.",
		Queries: []Query{{"sort(" + code(chosen) + ")", "{{service}} on {{instance}}"}},
		Words:   words(diagnose.Cause.String),
		Empty:   "netwatchd is silent",
	}
}

func whatToDo() Panel {
	now := "sort(" + code(chosen) + ")"
	return Panel{
		Title: "What is wrong, and what to do", Width: 17, Unit: "none", View: Table,
		Description: "The verdict in words, how long it has held, how soon it was named after the first failed attempt, and what " +
			"to do. The runbooks and `netwatchd explain latest` on that host say more.",
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
			{Field: "Value #B", Name: "what to do", Words: plain(words(advice))},
			{Field: "Value #D", Name: "named after", Unit: "s", Width: 100},
		},
		Hidden: []string{"Time", "job"},
		Empty:  "netwatchd is silent",
	}
}

func verdicts() Panel {
	return Panel{
		Title: "Verdicts over time", Width: 24, Unit: "none", View: Timeline,
		Description: "Which cause held when. A gap is a time without netwatchd: its host asleep (WSL stops an idle distribution), " +
			"switched off, or not scraped.",
		Queries: []Query{{code(chosen), "{{service}} on {{instance}}"}},
		Words:   words(diagnose.Cause.String),
	}
}

// A rung of the ladder, with the probes that stand for it.
type rung struct{ name, matchers string }

// inside are the rungs that are tried from the sandbox too.
var inside = []rung{
	{"the service's name", chosen + `, kind="dns"`},
	{"the service", chosen + `, kind="http"`},
}

var ladder = append(append([]rung{
	{"this host", chosenHost + `, service="host"`},
	{"nameservers", chosenHost + `, service="resolvers"`},
	{"controls", chosenHost + `, service="controls"`},
}, inside...),
	rung{"its streams", chosen + `, kind="stream"`},
	rung{"the agent's run", chosen + `, kind="exec"`},
)

func climb(rungs []rung, vantage string) []Query {
	var all []Query
	for _, r := range rungs {
		all = append(all, Query{"avg(netwatchd_probe_success{" + r.matchers + ", " + vantage + "})", r.name})
	}
	return all
}

func fromHost() Panel {
	return Panel{
		Title: "From the host", Width: 12, Unit: "percentunit", View: Timeline,
		Description: "The ladder, the lowest rung on top: the share of its latest attempts that ended as expected. The first that " +
			"fails is the cause; those below it in the picture stand on it. Nameservers are the configured ones and the public ones.",
		Queries: climb(ladder, `vantage!="sandbox"`),
		Scale:   right,
		Words:   []Word{{Value: 1, Text: "as expected"}, {Value: 0, Text: "failed"}},
	}
}

func fromSandbox() Panel {
	return Panel{
		Title: "From the agent's sandbox", Width: 12, Unit: "percentunit", View: Timeline,
		Description: "The same attempts made inside the agent's sandbox. Closed is how it is wanted unless the configuration says " +
			"otherwise, so no colour here says good or bad: the verdict does.",
		Queries: climb(inside, `vantage="sandbox"`),
		Scale:   []Step{{0, "blue"}, {0.001, "purple"}},
		Words:   []Word{{Value: 1, Text: "reached"}, {Value: 0, Text: "not reached"}},
		Empty:   "the sandbox is not watched",
	}
}

func failing() Panel {
	return Panel{
		Title: "Failing, by class", Width: 12, Unit: "short", View: Stacked,
		Description: "How many probes' latest attempts ended in which class of error, those from the sandbox left out. The part " +
			"before the dot is the layer.",
		Queries: []Query{{`sum by (class) (netwatchd_probe_error_class{` + chosenHost + `, service=~"$service|host|resolvers|controls", class!="ok", vantage!="sandbox"})`, "{{class}}"}},
		Empty:   "nothing has failed",
	}
}

func phases() Panel {
	return Panel{
		Title: "Latency, by phase", Width: 12, Unit: "s", View: Stacked,
		Description: "Where the time of the latest HTTP attempts at the service went, from the host.",
		Queries:     []Query{{`avg by (phase) (netwatchd_probe_phase_duration_seconds{` + chosen + `, kind="http", vantage="host"})`, "{{phase}}"}},
	}
}

func shares() Panel {
	return Panel{
		Title: "Share of the time", Width: 10, Unit: "percentunit", View: Bars,
		Description: "How much of the time shown each cause held, over the hosts and services chosen.",
		Queries:     []Query{{"sort_desc(avg by (cause) (avg_over_time(netwatchd_verdict{" + chosen + "}[$__range])) > 0)", "{{cause}}"}},
		Colors:      colors(),
	}
}

func delays() Panel {
	return Panel{
		Title: "Time to verdict", Width: 7, Unit: "s", View: Lines,
		Description: "How long after the first failed attempt the standing verdict was named. Timeouts aside it is under two seconds.",
		Queries:     []Query{{"max by (service) (netwatchd_verdict_delay_seconds{" + chosen + "})", "{{service}}"}},
	}
}

func runs() Panel {
	return Panel{
		Title: "The agent's runs", Width: 7, Unit: "short", View: Lines,
		Description: "What runs of the agent cost, in tokens, and how many are left within the day's budget.",
		Queries: []Query{
			{"sum by (type) (increase(netwatchd_codex_tokens_total{" + chosenHost + "}[$__rate_interval]))", "{{type}} tokens"},
			{"sum(netwatchd_codex_budget_remaining_runs{" + chosen + "})", "runs left today"},
		},
		Empty: "the agent is not run",
	}
}

// itself tells a daemon that is well from one whose silence means nothing.
func itself() []Panel {
	return []Panel{{
		Title: "Latest attempt", Width: 4, Unit: "dtdurations", View: Stat,
		Description: "How long ago the newest attempt of the host that is furthest behind began. If this grows, the rest of this " +
			"page is old.",
		Queries: []Query{{"max(time() - max by (instance) (netwatchd_probe_last_run_timestamp_seconds{" + chosenHost + "}))", "ago"}},
		Scale:   []Step{{0, "green"}, {120, "orange"}, {600, "red"}},
	}, {
		Title: "Attempts late by", Width: 4, Unit: "s", View: Stat,
		Description: "How late attempts began against the plan: the 99th percentile. Beyond a tenth of a second latencies measure " +
			"this host rather than the network.",
		Queries: []Query{{quantile("0.99", "netwatchd_scheduler_lag_seconds", chosenHost), "p99"}},
		Scale:   late,
	}, {
		Title: "Attempts missed", Width: 4, Unit: "short", View: Stat,
		Description: "Planned attempts that were not made in the time shown.",
		Queries:     []Query{{"sum(increase(netwatchd_scheduler_missed_runs_total{" + chosenHost + "}[$__range]))", "missed"}},
		Scale:       []Step{{0, "green"}, {1, "orange"}},
	}, {
		Title: "Host away", Width: 4, Unit: "short", View: Stat,
		Description: "How often a host was suspended or stopped in the time shown. Gaps in the panels above are then no outage.",
		Queries:     []Query{{"sum(increase(netwatchd_host_suspends_total{" + chosenHost + "}[$__range]))", "times"}},
		Scale:       []Step{{0, "green"}, {1, "blue"}},
	}, {
		Title: "Configuration", Width: 4, Unit: "none", View: Stat,
		Description: "Whether the last reload was accepted; a refused one leaves the configuration from before in force.",
		Queries:     []Query{{"min(netwatchd_config_last_reload_successful{" + chosenHost + "})", "reload"}},
		Words:       []Word{{0, "refused", "red"}, {1, "loaded", "green"}},
	}, {
		Title: "History", Width: 4, Unit: "short", View: Stat,
		Description: "How often results could not be written to the store in the time shown.",
		Queries:     []Query{{"sum(increase(netwatchd_store_errors_total{" + chosenHost + "}[$__range]))", "errors"}},
		Scale:       []Step{{0, "green"}, {1, "red"}},
	}}
}

// quantile is that of a histogram over all its series, in classic buckets or, where only those are scraped, native ones.
func quantile(q, histogram, matchers string) string {
	return "histogram_quantile(" + q + ", sum by (le) (rate(" + histogram + "_bucket{" + matchers + "}[$__rate_interval])))\n" +
		"or histogram_quantile(" + q + ", sum(rate(" + histogram + "{" + matchers + "}[$__rate_interval])))"
}
