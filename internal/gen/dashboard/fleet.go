package dashboard

import "netwatchd/internal/causes"

// everyone matches all hosts, whichever are selected.
const everyone = `job=~"$job", service=~"$service"`

func fleet() Dashboard {
	return Dashboard{
		UID:         "netwatchd-fleet",
		Title:       "netwatchd / Fleet",
		Description: "Is it one host or everyone? Shares refer to all hosts that report; the selected hosts are compared with them.",
		Variables:   []Variable{jobs, instances, services},
		Rows: []Row{
			{Height: 5, Panels: []Panel{downShare(), unhealthyShare(), reporting(), silent()}},
			{Height: 9, Panels: []Panel{hostsByCause(), sharesByCause()}},
			{Title: "Selected hosts", Height: 9, Panels: []Panel{unhealthyHosts(), chosenHosts()}},
			{Title: "Versions", Height: 6, Panels: []Panel{versions(), agents(), platforms()}},
		},
	}
}

// share is the share of hosts whose cause for a service matches.
func share(matcher string) string {
	return "sum by (service) (netwatchd_verdict{" + everyone + ", " + matcher + "})\n" +
		"/ sum by (service) (netwatchd_verdict{" + everyone + "})"
}

func of(c causes.Cause) string { return `cause="` + c.String() + `"` }

func downShare() Panel {
	return Panel{
		Title:       "One host or everyone?",
		Width:       8,
		Unit:        "percentunit",
		View:        stat,
		Description: "Share of hosts that report the service down. One host of many has a broken network path; half of them are an outage.",
		Queries:     []Query{{share(of(causes.Upstream)), "{{service}}: upstream"}},
		Scale:       []Step{{0, "green"}, {0.001, "orange"}, {0.5, "red"}},
	}
}

func unhealthyShare() Panel {
	return Panel{
		Title: "Unhealthy hosts", Width: 6, Unit: "percentunit", View: stat,
		Description: "Share of hosts with a cause that has a severity, whoever is at fault.",
		Queries:     []Query{{share(unhealthy()), "{{service}}"}},
		Scale:       []Step{{0, "green"}, {0.001, "orange"}, {0.5, "red"}},
	}
}

func reporting() Panel {
	return Panel{
		Title: "Reporting hosts", Width: 5, Unit: "short", View: stat,
		Description: "Number of hosts with data now.",
		Queries:     []Query{{`count(group by (job, instance) (netwatchd_build_info{job=~"$job"}))`, "hosts"}},
		Scale:       []Step{{0, "blue"}},
	}
}

func silent() Panel {
	return Panel{
		Title:       "Silent hosts",
		Width:       5,
		Unit:        "short",
		View:        stat,
		Description: "Number of hosts with data in the last day but not now. Laptops and WSL sleep, so silence alone is no outage.",
		Queries: []Query{{`count(group by (job, instance) (last_over_time(netwatchd_build_info{job=~"$job"}[1d]))` +
			` unless on (job, instance) netwatchd_build_info{job=~"$job"}) or vector(0)`, "hosts"}},
		Scale: []Step{{0, "green"}, {1, "blue"}},
	}
}

func hostsByCause() Panel {
	return Panel{
		Title: "Hosts by cause", Width: 12, Unit: "short", View: stacked,
		Description: "Number of hosts with each cause, healthy ones included, summed over the selected services.",
		Queries:     []Query{{"sum by (cause) (netwatchd_verdict{" + everyone + "}) > 0", "{{cause}}"}},
		Colors:      colors(),
	}
}

func sharesByCause() Panel {
	return Panel{
		Title: "Share of hosts by cause",
		Width: 12,
		Unit:  "percentunit",
		View:  lines,
		Description: "Share of hosts with each cause that has a severity. If many hosts change at the same time, they have one common cause; " +
			"single hosts come and go.",
		Queries: []Query{{"sum by (service, cause) (netwatchd_verdict{" + everyone + ", " + unhealthy() + "})\n" +
			"/ on (service) group_left () sum by (service) (netwatchd_verdict{" + everyone + "}) > 0", "{{service}}: {{cause}}"}},
		Empty: "all hosts were healthy",
	}
}

func unhealthyHosts() Panel {
	const overview = "/d/netwatchd-overview?var-instance=${__data.fields.instance}&${__url_time_range}"
	return Panel{
		Title:       "Unhealthy",
		Width:       12,
		Unit:        "none",
		View:        table,
		Description: "Selected hosts that are unhealthy, and for how long: at most fifty, the longest first. A host links to its overview.",
		Queries: []Query{{Expr: "topk(50,\n" +
			"  time() - max by (instance, service, cause) (netwatchd_verdict_since_timestamp_seconds{" + chosen + ", " + unhealthy() + "})\n" +
			")"}},
		Columns: []Column{
			{Field: "instance", Name: "host", Link: overview}, {Field: "service"}, {Field: "cause"},
			{Field: "Value", Name: "for", Unit: "dtdurations"},
		},
		Hidden: []string{"Time"},
		Empty:  "all are healthy",
	}
}

func chosenHosts() Panel {
	return Panel{
		Title: "Verdicts over time", Width: 12, Unit: "none", View: timeline,
		Description: "The cause on each selected host over time, at most thirty hosts: those at fault themselves first.",
		Queries:     []Query{{"bottomk(30, " + code(chosen) + ")", "{{instance}}: {{service}}"}},
		Words:       words(causes.Cause.String),
	}
}

func versions() Panel {
	return Panel{
		Title: "netwatchd", Width: 8, Unit: "short", View: bars,
		Description: "Hosts by version of netwatchd.",
		Queries:     []Query{{`count by (version) (netwatchd_build_info{job=~"$job"})`, "{{version}}"}},
		Scale:       []Step{{0, "blue"}},
	}
}

func agents() Panel {
	return Panel{
		Title:       "Agent",
		Width:       8,
		Unit:        "short",
		View:        bars,
		Description: "Hosts by version of codex and by whether its sandbox is open. Hosts without codex are not counted.",
		Queries: []Query{
			{`count by (version, sandbox_mode) (netwatchd_codex_info{job=~"$job"})`, "{{version}}, sandbox {{sandbox_mode}}"},
		},
		Scale: []Step{{0, "blue"}},
	}
}

func platforms() Panel {
	return Panel{
		Title: "Platform", Width: 8, Unit: "short", View: bars,
		Description: "Hosts by platform. WSL stops a distribution when its last window closes.",
		Queries:     []Query{{`count by (platform) (netwatchd_host_info{job=~"$job"})`, "{{platform}}"}},
		Scale:       []Step{{0, "blue"}},
	}
}
