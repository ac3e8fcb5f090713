package dashboard

// chosenProbe matches the selection on the probe dashboard.
const chosenProbe = chosen + `, probe=~"$probe", vantage=~"$vantage"`

func probeDetail() Dashboard {
	const of = "netwatchd_probe_runs_total{job=~\"$job\", instance=~\"$instance\"" // to be narrowed down
	return Dashboard{
		UID: "netwatchd-probe", Title: "netwatchd / Probe detail",
		Description: "The target of each probe, how its attempts ended and how long they took.",
		Variables: []Variable{jobs, instances,
			{"service", "Service", of + "}"},
			{"probe", "Probe", of + `, service=~"$service"}`},
			{"vantage", "From", of + `, service=~"$service", probe=~"$probe"}`},
		},
		Rows: []Row{
			{Height: 8, Panels: []Panel{probeTable()}},
			{Height: 8, Panels: []Panel{success()}},
			{Title: "Results", Height: 8, Panels: []Panel{failures(), attempts()}},
			{Title: "Durations", Height: 8, Panels: []Panel{quantiles(), latest(), phasesOfProbe()}},
		},
	}
}

func probeTable() Panel {
	const (
		probe = "on (job, instance, service, probe, kind, vantage)"
		share = "avg_over_time(netwatchd_probe_success{" + chosenProbe + "}[$__range])"
		aims  = "netwatchd_probe_info{" + chosenProbe + "}"
	)
	return Panel{
		Title: "Probes",
		Width: 24,
		Unit:  "none",
		View:  table,
		Description: "Target and expectation of each probe, and the share of the shown time in which its latest attempt succeeded: at most " +
			"a hundred, the worst first. Nameservers, controls and the host have no configured target.",
		Queries: []Query{
			{
				Expr: "bottomk(100,\n  " + share + " * " + probe + " group_left (target, interval, expectation) " + aims + "\n  or " + probe + " " + share + "\n)",
			},
		},
		Columns: []Column{
			{Field: "Value", Name: "success", Unit: "percentunit", Scale: successScale, Width: 110},
			{Field: "instance", Name: "host"},
			{Field: "service"},
			{Field: "probe"},
			{Field: "kind", Width: 80},
			{
				Field: "vantage",
				Name:  "from",
				Width: 80,
			},
			{Field: "target"},
			{Field: "interval", Width: 80},
			{Field: "expectation"},
		},
		Hidden: []string{"Time", "job"},
	}
}

func success() Panel {
	return Panel{
		Title: "Success",
		Width: 24,
		Unit:  "none",
		View:  timeline,
		Description: "Whether the latest attempt of each probe saw exactly what it expected. At most thirty probes, failing " +
			"ones first.",
		Queries: []Query{
			{"bottomk(30, min by (instance, service, probe, vantage) (netwatchd_probe_success{" + chosenProbe + "}))",
				"{{service}}/{{probe}} from {{vantage}}, {{instance}}"},
		},
		Words: []Word{{0, "failed", "red"}, {1, "as expected", "green"}},
	}
}

func failures() Panel {
	return Panel{
		Title: "Failures by class",
		Width: 16,
		Unit:  "cps",
		View:  stacked,
		Description: "Failed attempts per second, by class. They include attempts denied in a sandbox if that vantage is " +
			"selected. A class is counted from its second failure on.",
		Queries: []Query{
			{
				"sum by (vantage, class) (rate(netwatchd_probe_failures_total{" + chosenProbe + "}[$__rate_interval]))",
				"{{class}} from {{vantage}}",
			},
		},
		Empty: "no failures",
	}
}

func attempts() Panel {
	return Panel{
		Title:       "Attempts",
		Width:       8,
		Unit:        "cps",
		View:        stacked,
		Description: "Attempts per second, by result. Confirming rounds show as bumps.",
		Queries: []Query{
			{"sum by (result) (rate(netwatchd_probe_runs_total{" + chosenProbe + "}[$__rate_interval]))", "{{result}}"},
		},
	}
}

func quantiles() Panel {
	const histogram = "netwatchd_probe_run_duration_seconds"
	return Panel{
		Title: "Attempt duration", Width: 8, Unit: "s", View: lines,
		Description: "Percentiles over all selected attempts, including failed ones: a timeout counts with the time it took.",
		Queries: []Query{{quantile("0.5", histogram, chosenProbe), "median"},
			{quantile("0.9", histogram, chosenProbe), "p90"}, {quantile("0.99", histogram, chosenProbe), "p99"}},
	}
}

func latest() Panel {
	return Panel{
		Title:       "Slowest probes",
		Width:       8,
		Unit:        "s",
		View:        lines,
		Description: "Duration of the latest attempts: the ten slowest at each point in time.",
		Queries: []Query{
			{
				"topk(10, max by (service, probe, vantage) (netwatchd_probe_duration_seconds{" + chosenProbe + "}))",
				"{{service}}/{{probe}} from {{vantage}}",
			},
		},
	}
}

func phasesOfProbe() Panel {
	return Panel{
		Title: "Latest attempts by phase", Width: 8, Unit: "s", View: stacked,
		Description: "Average duration of each phase of the latest attempts, including the failed phase.",
		Queries:     []Query{{"avg by (phase) (netwatchd_probe_phase_duration_seconds{" + chosenProbe + "})", "{{phase}}"}},
	}
}
