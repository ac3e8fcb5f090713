package metrics

import (
	"log/slog"
	"strings"
	"testing"

	"netwatchd/internal/ledger"
	"netwatchd/internal/panics"
)

// An agent's file that panics a parser costs the metric about the agent, is logged and counted.
func TestPanicWhileDescribingTheAgent(t *testing.T) {
	var log strings.Builder
	e, _ := NewExporter(&Exporter{Ledger: ledger.New(), Source: new(fakeSource), Log: slog.New(slog.NewTextHandler(&log, nil))},
		Build{}, func() []Agent { panic("malformed config.toml") })
	before := panics.Count(panics.Scrape)
	all := gathered(t, e)
	if all["netwatchd_build_info"] == nil || all["netwatchd_codex_info"] != nil {
		t.Errorf("got %d families", len(all))
	}
	if panics.Count(panics.Scrape) != before+1 || !strings.Contains(log.String(), "malformed config.toml") {
		t.Errorf("%d panics counted, log %q", panics.Count(panics.Scrape)-before, &log)
	}
	for _, m := range gathered(t, e)["netwatchd_panics_total"].GetMetric() {
		if m.Label[0].GetValue() == "scrape" && m.Counter.GetValue() == 0 {
			t.Error("netwatchd_panics_total does not count it")
		}
	}
}
