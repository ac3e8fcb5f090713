package metrics

import (
	"bufio"
	"compress/gzip"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/common/expfmt"
)

// scrapesAtOnce allows two Prometheus servers, a curl and one more. A scrape of ten thousand probes takes memory.
const scrapesAtOnce = 4

// ServeHTTP serves a scrape in the requested format: text, OpenMetrics or protobuf. Only protobuf carries native
// histograms.
func (e *Exporter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	default:
		http.Error(w, "too many concurrent scrapes: try again", http.StatusServiceUnavailable)
		return
	}
	format := expfmt.NegotiateAccept(r.Header, expfmt.DefaultOpenMetricsAcceptedFormats()...)
	w.Header().Set("Content-Type", string(format))
	if err := e.write(e.compressed(w, r), r, format); err != nil {
		e.Log.Warn("scrape aborted", "error", err)
		panic(http.ErrAbortHandler) // so that the client does not take a part for the whole
	}
	if isCollector(r.UserAgent()) {
		now := e.now()
		e.lastScrape.Store(&now)
	}
}

// Doctor is the User-Agent of `netwatchd doctor`.
const Doctor = "netwatchd-doctor"

// scrapers begin the User-Agents of the programs that scrape: Prometheus 3.1 sends "Prometheus/3.1.0", vmagent
// "vm_promscrape", the OpenTelemetry collector "otelcol-contrib/0.160.0" or what its distribution is called, Grafana's
// two agents "Alloy/…" and "GrafanaAgent/…". A person's curl or browser is none: `netwatchd doctor` checks whether
// anything will alert.
var scrapers = []string{"prometheus/", "vm_promscrape", "vmagent", "victoriametrics", "otelcol", "opentelemetry",
	"alloy/", "grafanaagent/", "telegraf", "datadog", "mimir", "cortex/", "thanos"}

func isCollector(agent string) bool {
	agent = strings.ToLower(agent)
	return slices.ContainsFunc(scrapers, func(name string) bool { return strings.HasPrefix(agent, name) })
}

// write writes every family. An error in gathering is logged and concerns only its own metrics.
func (e *Exporter) write(out io.WriteCloser, r *http.Request, format expfmt.Format) error {
	earlier := e.spare.Swap(nil)
	if earlier == nil {
		earlier = new(scrape)
	}
	sc := e.begin(r.Context(), earlier)
	defer e.keep(sc)
	encoder := expfmt.NewEncoder(yieldingWriter{out, &sc.turn}, format)
	for family, err := range e.gathered() {
		if err != nil {
			e.Log.Error("cannot gather some metrics", "error", err)
			continue
		}
		if err := encoder.Encode(family); err != nil {
			return err
		}
	}
	text := bufio.NewWriter(yieldingWriter{out, &sc.turn})
	for i := range families {
		f, kind := &families[i], format.FormatType()
		if isText := kind == expfmt.TypeTextPlain || kind == expfmt.TypeOpenMetrics; isText && f.perProbe != nil {
			f.writeText(text, kind == expfmt.TypeOpenMetrics, sc)
			if err := text.Flush(); err != nil {
				return err
			}
			continue
		}
		if all := f.collect(sc); len(all.Metric) > 0 {
			if err := encoder.Encode(all); err != nil {
				return err
			}
		}
	}
	if closer, ok := encoder.(expfmt.Closer); ok { // OpenMetrics ends with "# EOF"
		if err := closer.Close(); err != nil {
			return err
		}
	}
	return out.Close()
}

// bufferSize bounds what a scrape, which may be tens of megabytes, holds in memory.
const bufferSize = 64 << 10

// compressed returns a writer to w that compresses if the client accepts gzip.
func (e *Exporter) compressed(w http.ResponseWriter, r *http.Request) io.WriteCloser {
	w.Header().Add("Vary", "Accept-Encoding")
	buffered := bufio.NewWriterSize(w, bufferSize)
	if !acceptsGzip(r) {
		return &closer{Writer: buffered, ends: []func() error{buffered.Flush}}
	}
	w.Header().Set("Content-Encoding", "gzip")
	// The fastest level shrinks the text to a twentieth; the default one takes three times as long for little more.
	zipped := e.spareZipper.Swap(nil)
	if zipped == nil {
		zipped, _ = gzip.NewWriterLevel(nil, gzip.BestSpeed) // fails only on an unknown level
	}
	zipped.Reset(buffered)
	keep := func() error { zipped.Reset(nil); e.spareZipper.Store(zipped); return nil }
	return &closer{Writer: zipped, ends: []func() error{zipped.Close, buffered.Flush, keep}}
}

func acceptsGzip(r *http.Request) bool {
	for encoding := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, quality, _ := strings.Cut(encoding, ";")
		if strings.TrimSpace(name) == "gzip" {
			return strings.ReplaceAll(quality, " ", "") != "q=0"
		}
	}
	return false
}

// closer is a writer with functions to call, in order, when it is closed.
type closer struct {
	io.Writer
	ends []func() error
}

func (c *closer) Close() error {
	for _, end := range c.ends {
		if err := end(); err != nil {
			return err
		}
	}
	return nil
}
