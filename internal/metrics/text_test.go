package metrics

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"

	"netwatchd/internal/ledger"
	"netwatchd/internal/probe"
)

// TestTextAsExpfmt: the text is that of expfmt, to the byte.
func TestTextAsExpfmt(t *testing.T) {
	fixture := fullFixture()
	fixture.record("codex \"\\\n\xff", "dns", probe.KindDNS, probe.FromHost, probe.OK, nil)
	for i, took := range []float64{0, 1, 0.5, 1e-9, 1e21, 123456789, 1e300, math.Inf(1), math.Inf(-1), math.NaN()} {
		fixture.ledger.Add(probe.Result{Spec: probe.Spec{Service: "numbers", Name: fmt.Sprint(i)}, Elapsed: probe.Seconds(took), Start: noon}, every)
	}
	for _, classic := range []Detail{detailAlways, detailNever} {
		fixture.Classic = classic
		sc := fixture.begin(t.Context(), new(scrape))
		for _, format := range expfmtTexts {
			for i := range families {
				f := &families[i]
				if f.perProbe == nil {
					continue
				}
				var ours, theirs strings.Builder
				w := bufio.NewWriter(&ours)
				f.writeText(w, format.FormatType() == expfmt.TypeOpenMetrics, sc)
				w.Flush()
				if err := expfmt.NewEncoder(&theirs, format).Encode(f.collect(sc)); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(theirs.String(), ours.String()); diff != "" {
					t.Errorf("%s as %s (-theirs +ours):\n%s", f.name, format, diff)
				}
			}
		}
	}
}

var expfmtTexts = []expfmt.Format{
	expfmt.NewFormat(expfmt.TypeTextPlain), "application/openmetrics-text; version=1.0.0; charset=utf-8",
}

func TestEmptyFamilyHasNoHeader(t *testing.T) {
	fixture := newFixture()
	var got strings.Builder
	w := bufio.NewWriter(&got)
	for i := range families {
		if families[i].perProbe != nil {
			families[i].writeText(w, false, fixture.begin(t.Context(), new(scrape)))
		}
	}
	if w.Flush(); got.Len() > 0 {
		t.Errorf("got %q", got.String())
	}
}

func TestDetail(t *testing.T) {
	ladder := []ledger.Record{{Key: ledger.Key{Service: "codex", Kind: probe.KindDNS}}, {Key: ledger.Key{Service: "codex", Kind: probe.KindHTTP}}}
	many := slices.Concat(make([]ledger.Record, fewProbes), ladder)
	for _, test := range []struct {
		mode          Detail
		records       []ledger.Record
		ladder, other bool
	}{
		{detailAuto, ladder, true, true},
		{detailAuto, many, true, false},
		{detailAlways, many, true, true},
		{detailNever, many, false, false},
		{detailNever, ladder, false, false},
	} {
		auto := autoDetail(test.records)
		ladder, other := test.mode.includes(auto("codex")), test.mode.includes(auto(""))
		if ladder != test.ladder || other != test.other {
			t.Errorf("%s, %d probes: got %v and %v", test.mode, len(test.records), ladder, other)
		}
	}
}

// TestRedundantSeries: what is left out of a large scrape is told by what remains.
func TestRedundantSeries(t *testing.T) {
	names := func(redundant Detail, latest probe.Class) (all []string) {
		fixture := newFixture()
		fixture.Classic, fixture.Redundant = detailNever, redundant
		alone := map[probe.Phase]probe.Seconds{probe.Resolve: 0.084} // all of the attempt
		for _, class := range []probe.Class{probe.DNSServfail, probe.OK, latest} {
			fixture.record("codex", "dns", probe.KindDNS, probe.FromHost, class, alone)
		}
		var text bytes.Buffer
		w := bufio.NewWriter(&text)
		for i := range families {
			if families[i].perProbe != nil {
				families[i].writeText(w, false, fixture.begin(t.Context(), new(scrape)))
			}
		}
		w.Flush()
		for line := range strings.Lines(text.String()) {
			if name, _, isSample := strings.Cut(line, "{"); isSample {
				all = append(all, strings.TrimPrefix(name, "netwatchd_probe_"))
			}
		}
		return all
	}
	always := []string{"success", "duration_seconds", "phase_duration_seconds", "error_class", "error_class",
		"last_run_timestamp_seconds", "last_success_timestamp_seconds", "runs_total", "runs_total", "failures_total",
		"run_duration_seconds_bucket", "run_duration_seconds_sum", "run_duration_seconds_count", "info"}
	for _, test := range []struct {
		redundant Detail
		latest    probe.Class
		want      []string
	}{
		{detailAlways, probe.OK, always},
		{detailAlways, probe.DNSServfail, always},
		{detailNever, probe.OK, []string{"success", "duration_seconds", "error_class", "runs_total", "runs_total",
			"failures_total", "info"}},
		{detailNever, probe.DNSServfail, []string{"success", "duration_seconds", "error_class",
			"last_success_timestamp_seconds", "runs_total", "runs_total", "failures_total", "info"}},
	} {
		if diff := cmp.Diff(test.want, names(test.redundant, test.latest)); diff != "" {
			t.Errorf("redundant series %s, the latest attempt %s (-want +got):\n%s", test.redundant, test.latest, diff)
		}
	}
}

// TestScrapesShareMemory: what a scrape has allocated serves the next one. Otherwise it stays resident until a
// collection, and a daemon that makes no other garbage has few.
func TestScrapesShareMemory(t *testing.T) {
	const probes, scrapes = 5_000, 3
	fixture := newFixture()
	for i := range probes {
		fixture.record("many", fmt.Sprint(i), probe.KindDNS, probe.FromHost, probe.OK, nil)
	}
	for _, encoding := range []string{"identity", "gzip"} {
		request := httptest.NewRequest("GET", "/metrics", nil)
		request.Header.Set("Accept", asText)
		request.Header.Set("Accept-Encoding", encoding)
		size := 0
		scrape := func() {
			response := httptest.NewRecorder()
			response.Body = nil
			fixture.ServeHTTP(counting{response, &size}, request)
		}
		scrape()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range scrapes {
			scrape()
		}
		runtime.ReadMemStats(&after)
		each := (after.TotalAlloc - before.TotalAlloc) / scrapes
		if most := uint64(probes * unsafe.Sizeof(ledger.Record{})); each > most || size == 0 {
			t.Errorf("%s: a scrape of %d probes allocates %d bytes, want at most %d", encoding, probes, each, most)
		}
	}
}

// BenchmarkScrape reports the bytes of a scrape of ten thousand DNS probes.
func BenchmarkScrape(b *testing.B) {
	fixture := newFixture()
	fixture.Info = func(ledger.Key) (Info, bool) {
		return Info{Target: "host.example", Interval: "1s", Expectation: "answers 192.0.2.1"}, true
	}
	for i := range 10_000 {
		service, name := fmt.Sprintf("s%02d", i/100), fmt.Sprintf("p%02d", i%100)
		for n := range 10 {
			took := probe.Seconds(0.001 * float64(1+(i+n)%8))
			r := probe.Result{Spec: probe.Spec{Service: service, Name: name, Kind: probe.KindDNS}, Start: noon, Elapsed: took, Class: probe.OK}
			r.Phases[probe.Resolve] = took
			fixture.ledger.Add(r, every)
		}
	}
	for _, classic := range []Detail{detailNever, detailAlways} {
		for _, accept := range []string{asText, asProtobuf} {
			for _, encoding := range []string{"identity", "gzip"} {
				kind, _, _ := strings.Cut(accept, ";")
				b.Run(fmt.Sprintf("classic=%s/%s/%s", classic, kind, encoding), func(b *testing.B) {
					fixture.Classic, fixture.Redundant = classic, classic
					request := httptest.NewRequest("GET", "/metrics", nil)
					request.Header.Set("Accept", accept)
					request.Header.Set("Accept-Encoding", encoding)
					b.ReportAllocs()
					var size int
					for b.Loop() {
						response := httptest.NewRecorder()
						response.Body = nil
						fixture.ServeHTTP(counting{response, &size}, request)
					}
					b.ReportMetric(float64(size)/float64(b.N)/1e6, "MB/scrape")
				})
			}
		}
	}
}

type counting struct {
	*httptest.ResponseRecorder
	size *int
}

func (c counting) Write(p []byte) (int, error) {
	*c.size += len(p)
	return io.Discard.Write(p)
}
