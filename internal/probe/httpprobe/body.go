package httpprobe

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"regexp"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/connect"
)

// A bodySearch looks for a pattern in the body of the latest answer.
type bodySearch struct {
	pattern *regexp.Regexp
	limit   int64 // how much of the body is searched
	wants   func(status int) bool
	found   bool
	cut     bool // the body is longer
}

// readOn implements connect.Attempt.ReadOn. It keeps nothing of what it reads: a hostile server costs no memory.
func (s *bodySearch) readOn(a connect.Response, rest io.Reader) {
	s.found, s.cut = false, false
	if s.pattern == nil || !s.wants(a.StatusCode) {
		return
	}
	more := &cutReader{r: rest, left: s.limit - int64(len(a.Content))}
	s.found = s.pattern.MatchReader(bufio.NewReader(io.MultiReader(bytes.NewReader(a.Content), more)))
	s.cut = more.cut
}

// A cutReader reads left bytes. If there are more, it ends with a NUL, so that $ does not match where only the limit
// ends the text.
type cutReader struct {
	r    io.Reader
	left int64
	cut  bool
}

func (c *cutReader) Read(p []byte) (int, error) {
	switch {
	case c.cut:
		return 0, io.EOF
	case c.left > 0:
		n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
		c.left -= int64(n)
		return n, err
	}
	n, err := c.r.Read(p[:1])
	if n > 0 {
		c.cut, p[0] = true, 0
	}
	return n, err
}

// judge returns the error of a body without the pattern, or nil. A shorter body than probe.BodyLimit is all in Content;
// readOn has searched a longer one.
func (s *bodySearch) judge(a connect.Response) error {
	switch {
	case s.pattern == nil:
		return nil
	case len(a.Content) < probe.BodyLimit && s.pattern.Match(a.Content), len(a.Content) == probe.BodyLimit && s.found:
		return nil
	}
	why := fmt.Sprintf("the body does not match /%s/", s.pattern)
	if s.cut && len(a.Content) == probe.BodyLimit {
		why += fmt.Sprintf(" within its first %d KiB (raise expect.body_limit)", s.limit>>10)
	}
	if a.Encoded != "" {
		why += fmt.Sprintf(" (it is encoded as %q, which could not be decoded)", a.Encoded)
	}
	return probe.Failf(probe.HTTPUnexpectedBody, "%s", why)
}
