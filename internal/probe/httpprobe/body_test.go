package httpprobe

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/probetest"
)

func compressed(t *testing.T, text string, with func(io.Writer) io.WriteCloser) string {
	t.Helper()
	var b bytes.Buffer
	w := with(&b)
	io.WriteString(w, text)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestBodies(t *testing.T) {
	gz := func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }
	zl := func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }
	raw := func(w io.Writer) io.WriteCloser { f, _ := flate.NewWriter(w, 9); return f }
	const page = "<html>all is well</html>"
	long := strings.Repeat("x", 70_000) + page
	well := regexp.MustCompile("all is well")
	limit := int64(probe.BodyLimit)
	for _, tt := range []struct {
		name     string
		pattern  *regexp.Regexp
		limit    int64
		encoding string
		body     string
		class    probe.Class
		why      string
	}{
		{"gzip", well, 0, "gzip", compressed(t, page, gz), probe.OK, ""},
		{"x-gzip", well, 0, "x-gzip", compressed(t, page, gz), probe.OK, ""},
		{"deflate of zlib", well, 0, "deflate", compressed(t, page, zl), probe.OK, ""},
		{"bare deflate", well, 0, "Deflate", compressed(t, page, raw), probe.OK, ""},
		{"two encodings", well, 0, "deflate, gzip", compressed(t, compressed(t, page, zl), gz), probe.OK, ""},
		{"identity", well, 0, "identity", page, probe.OK, ""},
		{"gzip, and another body", well, 0, "gzip", compressed(t, "<html>down", gz), probe.HTTPUnexpectedBody, "the body does not match /all is well/"},
		{"not gzip, whatever the header says", well, 0, "gzip", "down", probe.HTTPUnexpectedBody, `encoded as "gzip", which could not be decoded`},
		{"gzip, cut off", well, 0, "gzip", compressed(t, page, gz)[:12], probe.HTTPUnexpectedBody, "could not be decoded"},
		{"brotli", well, 0, "br", "\x0b\x0b\x80", probe.HTTPUnexpectedBody, `encoded as "br"`},
		{"brotli, nothing wanted of it", nil, 0, "br", "\x0b\x0b\x80", probe.OK, ""},

		{"late", well, 1 << 20, "", long, probe.OK, ""},
		{"late, compressed", well, 1 << 20, "gzip", compressed(t, long, gz), probe.OK, ""},
		{"at the end", regexp.MustCompile("well</html>$"), 1 << 20, "", long, probe.OK, ""},
		{"across the first part's end", regexp.MustCompile("yes"), 1 << 20, "", strings.Repeat("x", probe.BodyLimit-1) + "yes", probe.OK, ""},
		{"within, and only that is read", well, 1 << 20, "", page + strings.Repeat("x", 2<<20), probe.OK, ""},
		{"absent from a long body", well, 1 << 20, "", strings.Repeat("x", 70_000), probe.HTTPUnexpectedBody, "the body does not match /all is well/"},
		{"too late", well, 0, "", long, probe.HTTPUnexpectedBody, "within its first 64 KiB (raise expect.body_limit)"},
		{"too late for a larger limit", well, 1 << 20, "", strings.Repeat("x", 1<<20) + page, probe.HTTPUnexpectedBody, "within its first 1024 KiB"},
		{"$ is the end of the body, not of what is read", regexp.MustCompile("x$"), 0, "", long, probe.HTTPUnexpectedBody, "within its first 64 KiB"},
		{"exactly as long as the limit", regexp.MustCompile("^x+$"), limit, "", strings.Repeat("x", probe.BodyLimit), probe.OK, ""},
		{"exactly as long as the limit, without it", regexp.MustCompile("y"), limit, "", strings.Repeat("x", probe.BodyLimit),
			probe.HTTPUnexpectedBody, ""},
		{"a bomb", well, 1 << 20, "gzip", strings.Repeat(compressed(t, strings.Repeat("x", 1<<20), gz), 64), probe.HTTPUnexpectedBody, "within its first 1024 KiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &Request{Body: tt.pattern, BodyLimit: tt.limit}
			p.URL, p.Options = at(t, "http", probetest.Serving(t, nil, probetest.Answering(200, tt.body, "Content-Encoding", tt.encoding)), "/")
			r := probetest.Attempt(t, p, time.Minute) // a busy machine takes more than five seconds
			probetest.WantEnd(t, r, tt.class, probe.Response, tt.why)
			if limited := strings.Contains(r.Why, "first"); limited != strings.Contains(tt.why, "first") {
				t.Errorf("why = %q, want %q", r.Why, tt.why)
			}
		})
	}
}

// An answer to HEAD names the encoding that the body would have.
func TestEncodedHead(t *testing.T) {
	p := &Request{Method: "HEAD"}
	p.URL, p.Options = at(t, "http", probetest.Serving(t, nil, probetest.Answering(200, "", "Content-Encoding", "gzip")), "/")
	probetest.WantEnd(t, probetest.Attempt(t, p, 5*time.Second), probe.OK, probe.Response)
}

// What the network does to the rest of a body is not the body's fault.
func TestLongBodyThatEndsEarly(t *testing.T) {
	if !probetest.InOwnProcess(t) {
		return
	}
	for name, tt := range map[string]struct {
		then  func(w http.ResponseWriter, r *http.Request)
		class probe.Class
	}{
		"stalled": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, probe.HTTPTimedOut},
		"aborted": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, probe.HTTPClosed},
	} {
		t.Run(name, func(t *testing.T) {
			p := &Request{Body: regexp.MustCompile("end"), BodyLimit: 1 << 20}
			p.URL, p.Options = at(t, "http", probetest.Serving(t, nil, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", "200000")
				io.WriteString(w, strings.Repeat("x", 100_000))
				w.(http.Flusher).Flush()
				tt.then(w, r)
			}), "/")
			probetest.WantEnd(t, probetest.Attempt(t, p, quick), tt.class, probe.Response)
		})
	}
}
