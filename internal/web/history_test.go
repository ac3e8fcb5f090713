package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/incident"
	"netwatchd/internal/ledger"
	"netwatchd/internal/probe"
	"netwatchd/internal/rollup"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func rolled(latency probe.Seconds, classes ...probe.Class) (u rollup.Rollup) {
	for _, c := range classes {
		u.Add(c, latency)
	}
	return u
}

func minutesAt(minutes ...int) (points []rollup.Point) {
	for _, m := range minutes {
		points = append(points, rollup.Point{At: noon.Add(time.Duration(m) * time.Minute)})
	}
	return points
}

func TestGaps(t *testing.T) {
	at := func(minute float64) time.Time { return noon.Add(time.Duration(minute * float64(time.Minute))) }
	absent := func(from, to float64, asleep bool) incident.Gap {
		return incident.Gap{From: at(from), To: at(to), Suspended: asleep}
	}
	span := func(from, to float64, why string) gap { return gap{at(from), at(to), why} }
	for _, test := range []struct {
		name     string
		points   []rollup.Point
		absences []incident.Gap
		want     []gap
	}{
		{"none", minutesAt(0, 1, 2, 3, 4, 5, 6, 7, 8, 9), nil, []gap{}},
		{"a probe made every third minute", minutesAt(0, 3, 6, 9), nil, []gap{}},
		{"the host slept", minutesAt(0, 1, 2, 8, 9), []incident.Gap{absent(2.5, 7.8, true)}, []gap{span(3, 7.8, "suspended")}},
		{"the daemon was down, then the host slept", minutesAt(0, 1, 8, 9), []incident.Gap{absent(1.9, 4, false), absent(5, 8, true)},
			[]gap{span(2, 4, "not_running"), span(5, 8, "suspended")}},
		{"a restart between two attempts", minutesAt(0, 1, 2, 3, 4, 5, 6, 7, 8, 9), []incident.Gap{absent(4.4, 4.6, false)}, []gap{}},
		{"a restart that a rare probe does not notice", minutesAt(0, 9), []incident.Gap{absent(4.4, 4.6, false)}, []gap{}},
		{"nobody knows why", minutesAt(0, 1, 2, 3, 9), nil, []gap{span(4, 9, "unknown")}},
		{"before it began", minutesAt(7, 8, 9), []incident.Gap{absent(0, 7, false)}, []gap{span(0, 7, "not_running")}},
		{"after it ended", minutesAt(0, 1, 2, 3), nil, []gap{span(4, 10, "unknown")}},
		{"never", nil, []incident.Gap{absent(-5, 20, false)}, []gap{span(0, 10, "not_running")}},
	} {
		c := rollup.NewCurves(nil, at(0), at(10), time.Minute)
		if diff := cmp.Diff(test.want, gaps(test.points, c, test.absences)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestHistory(t *testing.T) {
	now := time.Now().Truncate(time.Minute)
	s := newTestServer(t)
	head := ledger.Key{Service: "codex", Probe: "head", Kind: probe.KindHTTP}
	inside := head
	inside.Vantage = probe.FromSandbox
	s.History = &memory{keys: []ledger.Key{head, inside, {Service: "shop", Probe: "head", Kind: probe.KindHTTP}},
		minutes: []minute{
			{now.Add(-20 * time.Minute), rolled(.040, probe.OK, probe.OK)},
			{now.Add(-19 * time.Minute), rolled(.040, probe.OK, probe.TCPRefused)},
			{now.Add(-5 * time.Minute), rolled(.080, probe.TCPRefused)},
		},
		absences: []incident.Gap{{From: now.Add(-18 * time.Minute), To: now.Add(-6 * time.Minute), Suspended: true}}}
	base := at(t, s)
	got := get(t, http.DefaultClient, base+"/api/v1/history?service=codex&vantage=host")
	var c struct {
		Range  string
		From   time.Time
		To     time.Time
		Step   float64 `json:"step_seconds"`
		Total  int
		Series []struct {
			Service, Probe, Kind, Vantage string
			Attempts, Failed              int
			P50                           *float64 `json:"p50_seconds"`
			Points                        []struct {
				Attempts int
				Failed   map[string]int
				P50      *float64 `json:"p50_seconds"`
			}
			Gaps []struct{ Why string }
		}
	}
	if err := json.Unmarshal([]byte(got.body), &c); err != nil || got.status != 200 {
		t.Fatalf("%d %s: %v", got.status, got.body, err)
	}
	if c.Range != "1h" || c.Step != 60 || c.Total != 1 || len(c.Series) != 1 || c.To.Sub(c.From) < time.Hour || c.To.Sub(c.From) > time.Hour+time.Minute {
		t.Fatalf("got %s", got.body)
	}
	one := c.Series[0]
	if one.Attempts != 5 || one.Failed != 2 || one.P50 == nil || len(one.Points) != 3 || one.Points[1].Failed["tcp.refused"] != 1 ||
		one.Points[0].P50 == nil || one.Points[2].P50 != nil || len(one.Gaps) != 1 || one.Gaps[0].Why != "suspended" {
		t.Errorf("got %s", got.body)
	}
	for query, want := range map[string]struct {
		status int
		has    string
	}{
		"":                            {200, `"total":3`},
		"service=codex":               {200, `"total":2`},
		"service=absent":              {200, `"series":[],"total":0`},
		"probe=head&limit=1&offset=2": {200, `"service":"shop"`},
		"range=90d":                   {200, `"step_seconds":21600`},
		"range=7d":                    {200, `"step_seconds":1800`},
		"range=1d":                    {200, `"step_seconds":300`},
		"range=5m":                    {400, `range: unknown range \"5m\": use 1h, 1d, 7d, 90d`},
		"range=":                      {400, `bad_parameter`},
		"limit=101":                   {400, `from 1 to 100`},
		"vantage=moon":                {400, `bad_parameter`},
		"sevice=codex":                {400, `unknown parameter \"sevice\"`},
	} {
		if got := get(t, http.DefaultClient, base+"/api/v1/history?"+query); got.status != want.status || !strings.Contains(got.body, want.has) {
			t.Errorf("%s: %d %s; want %d with %s", query, got.status, got.body, want.status, want.has)
		}
	}
	s.History = &memory{err: errors.New("disk I/O error")}
	if got := get(t, http.DefaultClient, base+"/api/v1/history"); got.status != 503 || !strings.Contains(got.body, `"code":"unavailable"`) {
		t.Errorf("a broken store: %d %s", got.status, got.body)
	}
	s.History = nil
	if got := get(t, http.DefaultClient, base+"/api/v1/history"); got.status != 503 {
		t.Errorf("without a store: %d", got.status)
	}
}

// On the first day a chart begins at the first run, and never shows fewer than three steps.
func TestChartsBeginAtTheFirstRun(t *testing.T) {
	hour := spans[0]
	from := hour.from(noon)
	for name, tt := range map[string]struct{ first, want time.Time }{
		"unknown":        {time.Time{}, from},
		"long ago":       {noon.Add(-48 * time.Hour), from},
		"20 minutes ago": {noon.Add(-20 * time.Minute), noon.Add(-20 * time.Minute).Truncate(time.Minute)},
		"just now":       {noon.Add(-10 * time.Second), noon.Add(-3 * time.Minute).Truncate(time.Minute)},
	} {
		if got := hour.begin(noon, tt.first); !got.Equal(tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
	p := &memory{begin: noon.Add(-20 * time.Minute)}
	s := newTestServer(t)
	s.History = p
	c, err := s.chart(t.Context(), wanted{span: hour, window: window{limit: 1}}, noon)
	if err != nil || !c.Begin.Equal(p.begin.Truncate(time.Minute)) || c.FirstRun == nil {
		t.Errorf("%v, %+v", err, c)
	}
}

// A line never breaks between a number and its unit, and text from outside stays text.
func TestUnits(t *testing.T) {
	for text, want := range map[string]string{
		"held for 60 s":      `held for <span class="quantity">60 s</span>`,
		"(3 min 20 s) <b>":   `(<span class="quantity">3 min 20 s</span>) &lt;b&gt;`,
		"<1 ms":              `<span class="quantity">&lt;1 ms</span>`,
		"1 of 2 attempts":    "1 of 2 attempts",
		"4 services, 12 hot": "4 services, 12 hot",
	} {
		if got := string(units(text)); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
