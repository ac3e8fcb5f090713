package sessions

import (
	"regexp"

	"netwatchd/internal/probe"
)

// opencodeLog parses log/opencode.log (1.18.33). It has no codes: a failure is a text of the AI library, and most
// failures are repeated without bound.
type opencodeLog struct{}

// opencodeError matches the line of a request that failed. What a user or the service wrote is in quotes, and quotes in
// it are escaped, so that the text cannot begin a field.
var opencodeError = regexp.MustCompile(`^timestamp=(\S{20,40}) level=ERROR run=\S+ message="stream error" ` +
	`.* error\.error="(AI_[A-Za-z]+): ((?:[^"\\]|\\.)*)"`)

// opencodeTexts are the texts of each class, the more exact ones first.
var opencodeTexts = []struct {
	words *regexp.Regexp
	class probe.Class
}{
	{regexp.MustCompile(`^Cannot connect to API`), probe.ExecNetwork},
	{regexp.MustCompile(`(?i)socket connection was closed|stream ended|terminated`), probe.ExecStreamCut},
	{regexp.MustCompile(`^Forbidden: request was blocked by a gateway or proxy`), probe.HTTPEdgeBlocked},
	{regexp.MustCompile(`(?i)usage limit|credit balance|quota`), probe.ExecUsageLimit},
	{regexp.MustCompile(`(?i)rate limit|too many requests`), probe.ExecRateLimited},
	{regexp.MustCompile(`(?i)invalid x?-?api[ -]key|unauthorized|authentication`), probe.ExecUnauthorized},
	{regexp.MustCompile(`(?i)^model:|model.{0,60}not found`), probe.ExecModelRejected},
	{regexp.MustCompile(`(?i)overloaded|unavailable|internal server error`), probe.ExecOverloaded},
}

func (opencodeLog) parse(line []byte) (Event, bool) {
	m := opencodeError.FindSubmatch(line)
	if m == nil {
		return Event{}, false
	}
	e := Event{At: parseTime(string(m[1])), Kind: Retry}
	for _, text := range opencodeTexts {
		if text.words.Match(m[3]) {
			e.Class = text.class
			break
		}
	}
	switch e.Class {
	case probe.ExecUsageLimit, probe.ExecUnauthorized, probe.ExecModelRejected, probe.HTTPEdgeBlocked:
		e.Kind = Turn // these end the run at once (measured: 400, 401, 403, 404)
	}
	return e, true
}
