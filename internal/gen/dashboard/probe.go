package dashboard

// chosenProbe matches what is chosen on the probe dashboard.
const chosenProbe = chosen + `, probe=~"$probe", vantage=~"$vantage"`

func probeDetail() Dashboard {
	const of = "netwatchd_probe_runs_total{job=~\"$job\", instance=~\"$instance\"" // to be narrowed down
	return Dashboard{
		UID: "netwatchd-probe", Title: "netwatchd / Probe detail",
		Description: "What each probe is aimed at, how its attempts ended and how long they took.",
		Variables: []Variable{jobs, instances,
			{"service", "Service", of + "}"},
			{"probe", "Probe", of + `, service=~"$service"}`},
			{"vantage", "From", of + `, service=~"$service", probe=~"$probe"}`},
		},
		Rows: []Row{
			{Height: 8, Panels: []Panel{aim()}},
			{Height: 8, Panels: []Panel{success()}},
			{Title: "How attempts ended", Height: 8, Panels: []Panel{failures(), attempts()}},
			{Title: "How long they took", Height: 8, Panels: []Panel{quantiles(), latest(), phasesOfProbe()}},
		},
	}
}

func aim() Panel {
	const (
		probe = "on (job, instance, service, probe, kind, vantage)"
		share = "avg_over_time(netwatchd_probe_success{" + chosenProbe + "}[$__range])"
		aims  = "netwatchd_probe_info{" + chosenProbe + "}"
	)
	return Panel{
		Title: "What is probed", Width: 24, Unit: "none", View: Table,
		Description: "Each probe with what it is aimed at and what it expects, and the share of the time shown in which its latest attempt " +
			"was as expected: of many, the hundred worst. Nameservers, controls and the host itself have no aim of their own.",
		Queries: []Query{{Expr: "bottomk(100,\n  " + share + " * " + probe + " group_left (target, interval, expectation) " + aims + "\n  or " + probe + " " + share + "\n)"}},
		Columns: []Column{
			{Field: "Value", Name: "as expected", Unit: "percentunit", Scale: right, Width: 110},
			{Field: "instance", Name: "host"}, {Field: "service"}, {Field: "probe"}, {Field: "kind", Width: 80},
			{Field: "vantage", Name: "from", Width: 80}, {Field: "target"}, {Field: "interval", Width: 80}, {Field: "expectation"},
		},
		Hidden: []string{"Time", "job"},
	}
}

func success() Panel {
	return Panel{
		Title: "As expected", Width: 24, Unit: "none", View: Timeline,
		Description: "Whether the latest attempt of each probe saw exactly what it expected. Of many, thirty: " +
			"those that fail before others.",
		Queries: []Query{{"bottomk(30, min by (instance, service, probe, vantage) (netwatchd_probe_success{" + chosenProbe + "}))",
			"{{service}}/{{probe}} from {{vantage}}, {{instance}}"}},
		Words: []Word{{0, "failed", "red"}, {1, "as expected", "green"}},
	}
}

func failures() Panel {
	return Panel{
		Title: "Failures, by class", Width: 16, Unit: "cps", View: Stacked,
		Description: "Attempts that failed, in each second, by the class they ended in. What is denied in a sandbox is among them if " +
			"the sandbox is chosen. A class counts from its second failure on.",
		Queries: []Query{{"sum by (vantage, class) (rate(netwatchd_probe_failures_total{" + chosenProbe + "}[$__rate_interval]))", "{{class}} from {{vantage}}"}},
		Empty:   "nothing has failed",
	}
}

func attempts() Panel {
	return Panel{
		Title: "Attempts", Width: 8, Unit: "cps", View: Stacked,
		Description: "Attempts made in each second, by result. Rounds on suspicion show as bumps.",
		Queries:     []Query{{"sum by (result) (rate(netwatchd_probe_runs_total{" + chosenProbe + "}[$__rate_interval]))", "{{result}}"}},
	}
}

func quantiles() Panel {
	const histogram = "netwatchd_probe_run_duration_seconds"
	return Panel{
		Title: "Duration of attempts", Width: 8, Unit: "s", View: Lines,
		Description: "Percentiles over all attempts chosen, failed ones included: a timeout counts with the time it took.",
		Queries: []Query{{quantile("0.5", histogram, chosenProbe), "median"},
			{quantile("0.9", histogram, chosenProbe), "p90"}, {quantile("0.99", histogram, chosenProbe), "p99"}},
	}
}

func latest() Panel {
	return Panel{
		Title: "Slowest probes", Width: 8, Unit: "s", View: Lines,
		Description: "How long the latest attempts took: the ten slowest at each moment.",
		Queries:     []Query{{"topk(10, max by (service, probe, vantage) (netwatchd_probe_duration_seconds{" + chosenProbe + "}))", "{{service}}/{{probe}} from {{vantage}}"}},
	}
}

func phasesOfProbe() Panel {
	return Panel{
		Title: "Latest attempts, by phase", Width: 8, Unit: "s", View: Stacked,
		Description: "Where the time of the latest attempts went, on average; the failing phase is included.",
		Queries:     []Query{{"avg by (phase) (netwatchd_probe_phase_duration_seconds{" + chosenProbe + "})", "{{phase}}"}},
	}
}
