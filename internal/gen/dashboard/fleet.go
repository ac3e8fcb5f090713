package dashboard

import "netwatchd/internal/diagnose"

// everyone matches all hosts, whichever are chosen.
const everyone = `job=~"$job", service=~"$service"`

func fleet() Dashboard {
	return Dashboard{
		UID: "netwatchd-fleet", Title: "netwatchd / Fleet",
		Description: "Is it one host, or everyone? Shares are of the hosts that report; the hosts chosen are held against all of them.",
		Variables:   []Variable{jobs, instances, services},
		Rows: []Row{
			{Height: 5, Panels: []Panel{down(), faulty(), reporting(), silent()}},
			{Height: 9, Panels: []Panel{hostsByCause(), sharesByCause()}},
			{Title: "The hosts chosen", Height: 9, Panels: []Panel{unwellHosts(), chosenHosts()}},
			{Title: "What they run", Height: 6, Panels: []Panel{versions(), agents(), platforms()}},
		},
	}
}

// share is the part of the hosts watching a service for which a cause that matches holds.
func share(matcher string) string {
	return "sum by (service) (netwatchd_verdict{" + everyone + ", " + matcher + "})\n" +
		"/ sum by (service) (netwatchd_verdict{" + everyone + "})"
}

func of(c diagnose.Cause) string { return `cause="` + c.String() + `"` }

func down() Panel {
	return Panel{
		Title: "One host, or everyone?", Width: 8, Unit: "percentunit", View: Stat,
		Description: "The share of hosts that say that the service is down. One of many is that host's way to it; half of them are an outage.",
		Queries:     []Query{{share(of(diagnose.Upstream)), "{{service}}: upstream"}},
		Scale:       []Step{{0, "green"}, {0.001, "orange"}, {0.5, "red"}},
	}
}

func faulty() Panel {
	return Panel{
		Title: "Hosts that are not well", Width: 6, Unit: "percentunit", View: Stat,
		Description: "The share of hosts with any cause that somebody should hear of, whosever fault it is.",
		Queries:     []Query{{share(unwell()), "{{service}}"}},
		Scale:       []Step{{0, "green"}, {0.001, "orange"}, {0.5, "red"}},
	}
}

func reporting() Panel {
	return Panel{
		Title: "Hosts that report", Width: 5, Unit: "short", View: Stat,
		Description: "How many hosts are heard of now.",
		Queries:     []Query{{`count(group by (job, instance) (netwatchd_build_info{job=~"$job"}))`, "hosts"}},
		Scale:       []Step{{0, "blue"}},
	}
}

func silent() Panel {
	return Panel{
		Title: "Hosts gone silent", Width: 5, Unit: "short", View: Stat,
		Description: "How many hosts were heard of in the last day and are not now. Laptops and WSL sleep: silence is no outage by itself.",
		Queries: []Query{{`count(group by (job, instance) (last_over_time(netwatchd_build_info{job=~"$job"}[1d]))` +
			` unless on (job, instance) netwatchd_build_info{job=~"$job"}) or vector(0)`, "hosts"}},
		Scale: []Step{{0, "green"}, {1, "blue"}},
	}
}

func hostsByCause() Panel {
	return Panel{
		Title: "Hosts, by cause", Width: 12, Unit: "short", View: Stacked,
		Description: "On how many hosts each cause holds, healthy ones included, summed over the services chosen.",
		Queries:     []Query{{"sum by (cause) (netwatchd_verdict{" + everyone + "}) > 0", "{{cause}}"}},
		Colors:      colors(),
	}
}

func sharesByCause() Panel {
	return Panel{
		Title: "Share of hosts, by cause", Width: 12, Unit: "percentunit", View: Lines,
		Description: "For each cause that somebody should hear of, the share of hosts on which it holds. A step of many hosts at once has " +
			"one reason; single hosts come and go.",
		Queries: []Query{{"sum by (service, cause) (netwatchd_verdict{" + everyone + ", " + unwell() + "})\n" +
			"/ on (service) group_left () sum by (service) (netwatchd_verdict{" + everyone + "}) > 0", "{{service}}: {{cause}}"}},
		Empty: "every host has been well",
	}
}

func unwellHosts() Panel {
	const overview = "/d/netwatchd-overview?var-instance=${__data.fields.instance}&${__url_time_range}"
	return Panel{
		Title: "Not well", Width: 12, Unit: "none", View: Table,
		Description: "Which of the hosts chosen are not well, and for how long: at most fifty, the longest first. A host leads to its overview.",
		Queries: []Query{{Expr: "topk(50,\n" +
			"  time() - max by (instance, service, cause) (netwatchd_verdict_since_timestamp_seconds{" + chosen + ", " + unwell() + "})\n" +
			")"}},
		Columns: []Column{
			{Field: "instance", Name: "host", Link: overview}, {Field: "service"}, {Field: "cause"},
			{Field: "Value", Name: "for", Unit: "dtdurations"},
		},
		Hidden: []string{"Time"},
		Empty:  "all are well",
	}
}

func chosenHosts() Panel {
	return Panel{
		Title: "Their verdicts over time", Width: 12, Unit: "none", View: Timeline,
		Description: "Which cause held when on the hosts chosen; of many, thirty: those at fault themselves before others.",
		Queries:     []Query{{"bottomk(30, " + code(chosen) + ")", "{{instance}}: {{service}}"}},
		Words:       words(diagnose.Cause.String),
	}
}

func versions() Panel {
	return Panel{
		Title: "netwatchd", Width: 8, Unit: "short", View: Bars,
		Description: "Hosts, by the version of netwatchd.",
		Queries:     []Query{{`count by (version) (netwatchd_build_info{job=~"$job"})`, "{{version}}"}},
		Scale:       []Step{{0, "blue"}},
	}
}

func agents() Panel {
	return Panel{
		Title: "The agent", Width: 8, Unit: "short", View: Bars,
		Description: "Hosts, by the version of codex that was found and whether its sandbox is open. Hosts without one are not counted.",
		Queries:     []Query{{`count by (version, sandbox_mode) (netwatchd_codex_info{job=~"$job"})`, "{{version}}, sandbox {{sandbox_mode}}"}},
		Scale:       []Step{{0, "blue"}},
	}
}

func platforms() Panel {
	return Panel{
		Title: "Platform", Width: 8, Unit: "short", View: Bars,
		Description: "Hosts, by what they run on. WSL stops a distribution when its last window closes.",
		Queries:     []Query{{`count by (platform) (netwatchd_host_info{job=~"$job"})`, "{{platform}}"}},
		Scale:       []Step{{0, "blue"}},
	}
}
