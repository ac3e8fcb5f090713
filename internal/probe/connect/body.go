package connect

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"slices"
	"strings"

	"netwatchd/internal/probe"
)

// readBody reads the decoded body into the response, and has ReadOn read the rest. The error is the network's; a body
// that does not have the encoding that its header names is kept as it is.
func (l *Attempt) readBody(response *http.Response) error {
	// The limit is on what arrives: a compressed stream of empty blocks is endless and decodes to nothing. One byte more
	// shows that the body goes on.
	source := &source{r: io.LimitReader(response.Body, max(l.ReadLimit, probe.BodyLimit)+1)}
	var body io.Reader = source
	if len(response.Header.Values("Content-Encoding")) > 0 {
		body, l.Response.Encoded = decode(bufio.NewReader(source), response.Header)
	}
	var err error
	l.Response.Content, err = io.ReadAll(io.LimitReader(body, probe.BodyLimit))
	switch {
	case source.err != nil:
	case err != nil: // of the decoder: the body is damaged, or not what its header says
		l.Response.Encoded = response.Header.Get("Content-Encoding")
	case len(l.Response.Content) == probe.BodyLimit && l.ReadOn != nil:
		l.ReadOn(l.Response, body)
	}
	return source.err
}

// A source keeps the error that ended a body, which a decoder would replace by its own.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// decode returns a reader of the body without the encodings that its header names (RFC 9110, 8.4), and the first one
// that it cannot undo. Servers send gzip although we do not accept it (prometheus/blackbox_exporter#684).
func decode(body *bufio.Reader, h http.Header) (decoded io.Reader, encoded string) {
	if _, err := body.Peek(1); err != nil { // an answer to HEAD has the header alone
		return body, ""
	}
	codings := strings.Split(strings.Join(h.Values("Content-Encoding"), ","), ",")
	decoded = body
	for _, coding := range slices.Backward(codings) {
		coding = strings.ToLower(strings.TrimSpace(coding))
		switch coding {
		case "", "identity":
			continue
		case "gzip", "x-gzip", "deflate":
		default:
			return decoded, coding
		}
		decoded = &lazyDecoder{coding: coding, from: bufio.NewReader(decoded)}
	}
	return decoded, ""
}

// A lazyDecoder reads the header of a compressed stream when it is read first.
type lazyDecoder struct {
	coding string
	from   *bufio.Reader
	r      io.Reader
}

func (d *lazyDecoder) Read(p []byte) (int, error) {
	if d.r == nil {
		var err error
		if d.r, err = d.open(); err != nil {
			return 0, err
		}
	}
	return d.r.Read(p)
}

func (d *lazyDecoder) open() (io.Reader, error) {
	if d.coding != "deflate" {
		return gzip.NewReader(d.from)
	}
	// RFC 9110 says that "deflate" is zlib's format, and adds that some send the bare one.
	head, err := d.from.Peek(2)
	if err == nil && head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 { // RFC 1950, 2.2
		return zlib.NewReader(d.from)
	}
	return flate.NewReader(d.from), nil
}
