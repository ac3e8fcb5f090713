package httpprobe

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/connect"
	"netwatchd/internal/redact"
)

// isRefusal reports whether a status refuses the client itself: 403, or 451, "Unavailable For Legal Reasons" (RFC
// 7725).
func isRefusal(status int) bool {
	return status == http.StatusForbidden || status == http.StatusUnavailableForLegalReasons
}

// explainRefusal makes one GET after a HEAD was refused, and takes over the body of the answer: the reason is in the
// body, and an answer to HEAD has none. The GET has an attempt of its own, so that the facts stay those of the HEAD.
// If it fails or gets another status, the HEAD's answer is judged alone.
func (h *Request) explainRefusal(ctx context.Context, l *connect.Attempt) {
	if h.Method != http.MethodHead || !isRefusal(l.Response.StatusCode) || isExpected(h.Status, l.Response.StatusCode) {
		return
	}
	get := *h
	get.Method = http.MethodGet
	again := &connect.Attempt{Options: l.Options, Progress: new(connect.Progress), Origin: l.Origin,
		Protocols: l.Protocols}
	defer again.Close()
	if get.request(ctx, again) == nil && again.Response.StatusCode == l.Response.StatusCode {
		l.Response.Content = again.Response.Content
	}
}

// judgeRefusal returns the error of an answer that refuses the client itself, or nil. Three answers do: a 451; any
// refusal that blames the client's country, which APIs send as 400 or 403; and a 403 where the probe expects an answer
// that applications give before any sign-in, such as 401 or 405. A 403 where the probe expects success does not: an
// application may answer it to everyone who is not signed in. The answers of [edgeRefusal] are known before.
//
// OpenAI answers 403 with JSON and the code unsupported_country_region_territory through its CDN, to HEAD and to GET.
func judgeRefusal(said string, a connect.Response, want []int) error {
	if a.StatusCode/100 != 4 {
		return nil
	}
	r := readRefusal(a)
	because := ""
	switch {
	case r.Location:
		because = "the service refuses this country or region"
	case a.StatusCode == http.StatusUnavailableForLegalReasons:
		because = "the service refuses this client for legal reasons"
	case a.StatusCode == http.StatusForbidden && expectsAnonymousAnswer(want):
		because = "the service refuses this address before any sign-in"
	default:
		return nil
	}
	if reason := strings.Join(slices.DeleteFunc([]string{r.Code, r.message}, isEmpty), ": "); reason != "" {
		because += " (" + reason + ")"
	}
	return probe.Fail(probe.HTTPEdgeBlocked, fmt.Errorf("%s: %s", said, because))
}

func isEmpty(s string) bool { return s == "" }

// expectsAnonymousAnswer reports whether all statuses that a probe expects are refusals of the request, not of the
// client: they show the application to anyone.
func expectsAnonymousAnswer(want []int) bool {
	return len(want) > 0 && !slices.ContainsFunc(want, func(s int) bool { return s/100 != 4 || isRefusal(s) })
}

// A refusal is what the body of an error says.
type refusal struct {
	probe.Refusal
	message string
}

var (
	aboutLocation = regexp.MustCompile(`(?i)unsupported_(?:country|region|location)|country, region,? or territory` +
		`|banned the country or region|user location is not supported` +
		`|\bnot (?:currently )?(?:available|supported) in (?:your|this) (?:country|region|location|territory)`)
	// "(IR)" in the text of Cloudflare's error 1009
	countryInText = regexp.MustCompile(`country or region your IP address is in \(([A-Z]{2})\)`)
	// Cloudflare's numbers, if the client accepts no HTML: "error code: 1009"
	cloudflareCode = regexp.MustCompile(`^error code: (\d{4})\b`)
)

// cloudflareLocation is Cloudflare's "access denied: country or region banned".
const cloudflareLocation = "1009"

// readRefusal reads an error's body: {"error": {"code": …, "message": …}}, as most APIs write it (OpenAI, Anthropic,
// Google), {"error": "text"}, {"detail": "text"}, problem details (RFC 9457), or plain text.
func readRefusal(a connect.Response) refusal {
	var r refusal
	if m := cloudflareCode.FindSubmatch(a.Content); m != nil {
		r.Code = string(m[1])
	}
	var body map[string]any
	if json.Unmarshal(a.Content, &body) == nil {
		inner, codes := body, []string{"code", "error_code"} // a "type" at the top is a URL (RFC 9457)
		for _, key := range []string{"error", "detail"} {
			switch v := body[key].(type) {
			case map[string]any:
				inner, codes = v, []string{"code", "status", "type"}
			case string:
				r.message = cmp.Or(r.message, v)
			}
		}
		text := func(keys ...string) string {
			for _, key := range keys {
				if s, ok := inner[key].(string); ok && s != "" {
					return s
				}
			}
			return ""
		}
		r.Code = text(codes...)
		r.message = cmp.Or(text("message", "detail", "title"), r.message)
		r.Country = text("country", "country_code")
	}
	if m := countryInText.FindSubmatch(a.Content); m != nil {
		r.Country = string(m[1])
	}
	r.Location = r.Code == cloudflareLocation || aboutLocation.Match(a.Content)
	// A server chooses these texts: they are quoted like a body.
	r.Code, r.message = redact.Quote(r.Code, codeLimit), redact.Quote(r.message, connect.QuoteLimit)
	r.Country = redact.Quote(r.Country, codeLimit)
	return r
}

// codeLimit bounds a code or a country's name. The longest known code, unsupported_country_region_territory, has 36
// characters.
const codeLimit = 64

// learnRefusal records the reason that the service gave for refusing the client.
func learnRefusal(l *connect.Attempt, err error) {
	if probe.Classify(probe.Response, err) != probe.HTTPEdgeBlocked {
		return
	}
	if r := readRefusal(l.Response).Refusal; r != (probe.Refusal{}) {
		l.Progress.Learn(func(f *probe.Facts) { f.Refusal = &r })
	}
}
