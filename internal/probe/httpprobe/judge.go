package httpprobe

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/connect"
)

// isExpected reports whether a status is expected; without an expectation, every 2xx is.
func isExpected(want []int, got int) bool {
	return slices.Contains(want, got) || len(want) == 0 && got/100 == 2
}

// statusError classifies an unexpected status. A rate limit comes first and a CDN's refusal second, because neither
// says anything about the service behind.
func statusError(a connect.Response, want []int) error {
	said := fmt.Sprintf("got %d, want %s", a.StatusCode, formatStatuses(want))
	if a.Proxied && (a.StatusCode == http.StatusProxyAuthRequired || a.Header.Get("X-Proxy-Error") != "") {
		return connect.ProxyRefusal(said, a)
	}
	if a.StatusCode == http.StatusTooManyRequests {
		if wait := a.Header.Get("Retry-After"); wait != "" {
			said += ": Retry-After is " + wait
		}
		return probe.Failf(probe.HTTPRateLimited, "%s", said)
	}
	if refused := edgeRefusal(a); refused != "" {
		return probe.Failf(probe.HTTPEdgeBlocked, "%s: %s", said, refused)
	}
	if err := judgeRefusal(said, a, want); err != nil {
		return err
	}
	switch {
	case a.StatusCode == http.StatusUnauthorized:
		return probe.Failf(probe.HTTPUnauthorized, "%s", said)
	case a.StatusCode == http.StatusNetworkAuthenticationRequired: // RFC 6585, 6: origin servers never send it
		return probe.Failf(probe.HTTPUnexpectedStatus, "%s: a network on the path requires a sign-in", said)
	case a.StatusCode == http.StatusProxyAuthRequired:
		return probe.Failf(
			probe.HTTPUnexpectedStatus,
			"%s: a proxy on the network path, not configured here, requires credentials",
			said,
		)
	case a.StatusCode/100 == 5:
		return probe.Failf(probe.HTTPServerError, "%s", said)
	case a.StatusCode/100 == 3:
		return probe.Failf(probe.HTTPRedirected, "%s: redirects to %s", said, quoteLocation(a.Header.Get("Location")))
	}
	return probe.Failf(probe.HTTPUnexpectedStatus, "%s", said)
}

// notAnApplication returns nil if an application answered, whatever its answer. A CDN, a proxy or a login page is
// none, an application that is down sends a 5xx, and one that limits requests answers nothing else.
func notAnApplication(a connect.Response) error {
	if a.StatusCode/100 == 2 {
		return nil
	}
	err := statusError(a, []int{})
	switch probe.Classify(probe.Response, err) {
	case probe.HTTPUnauthorized:
		return nil
	case probe.HTTPUnexpectedStatus:
		if a.StatusCode != http.StatusNetworkAuthenticationRequired && a.StatusCode != http.StatusProxyAuthRequired {
			return nil
		}
	}
	return err
}

func formatStatuses(status []int) string {
	switch {
	case status == nil:
		return "2xx"
	case len(status) == 0:
		return "any answer of the application"
	}
	var each []string
	for _, s := range status {
		each = append(each, strconv.Itoa(s))
	}
	return strings.Join(each, " or ")
}

func quoteLocation(location string) string {
	if location == "" {
		return "nowhere"
	}
	return strconv.Quote(location)
}

// edgeRefusal says how a CDN rejected the request, or is empty if the application answered.
//
// Only a 403 or a challenge page counts. A CDN also passes on, or generates, the 5xx of an application that is down,
// with its own headers, and those must page. An application's 403 is JSON: see judgeRefusal.
func edgeRefusal(a connect.Response) string {
	if mitigated := a.Header.Get("Cf-Mitigated"); mitigated != "" {
		return "Cloudflare refuses this address (cf-mitigated: " + mitigated + ")"
	}
	forbidden := a.StatusCode == http.StatusForbidden
	server := strings.ToLower(a.Header.Get("Server"))
	ray := a.Header.Get("Cf-Ray")
	if forbidden && server == "cloudflare" && ray != "" &&
		isType(a, "text/plain") { // "error code: 1020", if the client does not accept HTML
		return "Cloudflare refuses this address (cf-ray " + ray + ")"
	}
	if !forbidden && a.StatusCode != http.StatusServiceUnavailable || !isType(a, "text/html") {
		return ""
	}
	says := func(what string) bool { return bytes.Contains(a.Content, []byte(what)) }
	switch {
	case server == "cloudflare" && (says("Just a moment") || says("Attention Required!")),
		ray != "" && forbidden:
		return "Cloudflare refuses this address (cf-ray " + ray + ")"
	case forbidden && (server == "akamaighost" || says("Access Denied") && (says("Reference #") || says("Reference&#32;&#35;"))):
		return "Akamai refuses this address"
	case forbidden && a.Header.Get("X-Amz-Cf-Id") != "":
		return "CloudFront refuses this address (x-amz-cf-id " + a.Header.Get("X-Amz-Cf-Id") + ")"
	}
	return ""
}

// isType uses the header alone, which an answer to HEAD also has.
func isType(a connect.Response, media string) bool {
	return strings.HasPrefix(strings.ToLower(a.Header.Get("Content-Type")), media)
}

// judge looks for the token in the list, with or without its parameters, as in "text/html; charset=utf-8".
func (t HeaderToken) judge(h http.Header) error {
	values := h.Values(t.Name)
	if len(values) == 0 {
		return probe.Failf(probe.HTTPUnexpectedHeader, "no %s header, want %s", t.Name, t.Value)
	}
	all := strings.Join(values, ", ")
	for token := range strings.SplitSeq(all, ",") {
		kind, _, _ := strings.Cut(token, ";")
		if t.is(token) || t.is(kind) {
			return nil
		}
	}
	if t.is(all) { // a value that is not a list, such as a date
		return nil
	}
	return probe.Failf(probe.HTTPUnexpectedHeader, "%s is %q, want %s among them", t.Name, all, t.Value)
}

func (t HeaderToken) is(token string) bool {
	return strings.EqualFold(strings.TrimSpace(token), t.Value)
}
