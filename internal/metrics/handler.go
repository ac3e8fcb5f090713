package metrics

import (
	"bufio"
	"compress/gzip"
	"io"
	"net/http"
	"runtime"
	"strings"

	"github.com/prometheus/common/expfmt"
)

// scrapesAtOnce is two Prometheis, a curl and one to spare: a scrape of ten thousand probes takes memory.
const scrapesAtOnce = 4

// ServeHTTP answers a scrape in the format asked for: text, OpenMetrics, or protobuf, in which native histograms come.
func (e *Exporter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	default:
		http.Error(w, "there are enough scrapes under way: try again", http.StatusServiceUnavailable)
		return
	}
	format := expfmt.NegotiateAccept(r.Header, expfmt.DefaultOpenMetricsAcceptedFormats()...)
	w.Header().Set("Content-Type", string(format))
	if err := e.write(compressed(w, r), r, format); err != nil {
		e.Log.Warn("a scrape was cut short", "error", err)
		panic(http.ErrAbortHandler) // so that nobody takes a part for the whole
	}
	if r.UserAgent() != Doctor {
		now := e.now()
		e.lastScrape.Store(&now)
	}
}

// Doctor is the User-Agent of `netwatchd doctor`: who asks whether anyone reads the metrics is not counted.
const Doctor = "netwatchd-doctor"

// write writes every family. What cannot be gathered is logged, and costs its own metrics only.
func (e *Exporter) write(out io.WriteCloser, r *http.Request, format expfmt.Format) error {
	encoder := expfmt.NewEncoder(yieldingWriter{out}, format)
	for family, err := range e.Families(r.Context()) {
		if err != nil {
			e.Log.Error("some metrics are missing", "error", err)
			continue
		}
		if err := encoder.Encode(family); err != nil {
			return err
		}
	}
	if closer, ok := encoder.(expfmt.Closer); ok { // OpenMetrics ends with a line of its own
		if err := closer.Close(); err != nil {
			return err
		}
	}
	return out.Close()
}

// yieldingWriter lets others have their turn before each write, of some kilobytes: on one processor the runtime would otherwise
// format for ten milliseconds at a time while attempts are due.
type yieldingWriter struct{ io.Writer }

func (p yieldingWriter) Write(b []byte) (int, error) {
	runtime.Gosched()
	return p.Writer.Write(b)
}

// page is what is handed on at a time: a scrape may be tens of megabytes.
const page = 64 << 10

// compressed compresses what is written to w, if whoever asked can read it.
func compressed(w http.ResponseWriter, r *http.Request) io.WriteCloser {
	w.Header().Add("Vary", "Accept-Encoding")
	buffered := bufio.NewWriterSize(w, page)
	if !acceptsGzip(r) {
		return &closer{Writer: buffered, ends: []func() error{buffered.Flush}}
	}
	w.Header().Set("Content-Encoding", "gzip")
	// The fastest level makes the text a twentieth already; the usual one takes three times as long for little more.
	zipped, _ := gzip.NewWriterLevel(buffered, gzip.BestSpeed) // errs on an unknown level only
	return &closer{Writer: zipped, ends: []func() error{zipped.Close, buffered.Flush}}
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

// closer is a writer with what there is to do at its end, in order.
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
