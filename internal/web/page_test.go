package web

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/probe"
	"netwatchd/internal/spending"
	"netwatchd/internal/watch"
)

func TestThePage(t *testing.T) {
	s := newTestServer(t)
	s.History = new(memory)
	base := at(t, s)
	got := get(t, http.DefaultClient, base+"/")
	for _, want := range []string{"<title>codex: upstream – netwatchd</title>", "<h1 id=\"words\">The service refuses connections</h1>", "What to do",
		"In the agent’s sandbox", "tcp.refused", "&lt;script&gt;", `href="/services/shop"`, `href="/incidents/20261123-codex-1"`, `href="/api/v1/status"`, `http-equiv="refresh"`} {
		if !strings.Contains(got.body, want) {
			t.Errorf("no %q on the page", want)
		}
	}
	if strings.Contains(got.body, "ZgotmplZ") {
		t.Error("the template refused something")
	}
	if got := get(t, http.DefaultClient, base+"/services/shop?range=90d"); got.status != 200 || !strings.Contains(got.body, "<h1 id=\"words\">Reachable</h1>") {
		t.Errorf("the page of another service: %d %s", got.status, got.body)
	}
	if got := get(t, http.DefaultClient, base+"/services/%3Cscript%3E"); got.status != 404 || strings.Contains(got.body, "<script>") {
		t.Errorf("the page of none: %d %s", got.status, got.body)
	}
}

// Pages load only files of this server, nothing is inline, and files may be cached for ever.
func TestAssets(t *testing.T) {
	base := at(t, newTestServer(t))
	page := get(t, http.DefaultClient, base+"/")
	if inline := regexp.MustCompile(`<style|<script>|\s(style|on[a-z]+)=`).FindString(page.body); inline != "" {
		t.Errorf("%q is inline: the policy would refuse it", inline)
	}
	found := regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`).FindAllStringSubmatch(page.body, -1)
	if len(found) < 6 {
		t.Fatalf("%d assets, want the icon, two styles and three scripts at least", len(found))
	}
	for _, f := range found {
		got := get(t, http.DefaultClient, base+f[1])
		if got.status != 200 || !strings.Contains(got.header.Get("Cache-Control"), "immutable") || got.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d, %v", f[1], got.status, got.header)
		}
	}
	if got := get(t, http.DefaultClient, base+"/assets/page.000000000000.css"); got.status != 404 {
		t.Errorf("a style of another version: %d, want 404", got.status)
	}
}

// hostile is text that a server may send to attack the reader. Names of services and probes are safe: the configuration
// allows only letters and digits.
var hostile = []string{
	"<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "\x1b[2J\x1b]0;owned\x07", "{{.Version}}", "javascript:alert(1)",
	"\u202egnp.exe", "\x00\xff\xfe", "'; DROP TABLE incidents; --", "]]>", "token=Pl4nt3dS3cret99", strings.Repeat("A", 1<<20),
}

func TestHostileText(t *testing.T) {
	for i, text := range hostile {
		r := attempt("codex", "head", probe.KindHTTP, probe.FromHost, probe.Response, probe.HTTPUnexpectedHeader, text)
		r.Server, r.Peer, r.RequestID, r.Target = text, text, text, text
		s := newTestServer(t)
		s.History = &memory{fault: text, said: text}
		s.Results = func() []probe.Result { return []probe.Result{r} }
		s.Source = &source{status: &watch.Status{At: time.Now(), Notes: []string{text},
			Sandboxed: watch.Sandboxed{Denied: true, Signals: []string{text}},
			Services: []watch.ServiceStatus{{Verdict: diagnose.Verdict{Service: "codex", Cause: causes.Upstream, Title: text, Advice: text,
				Also: []diagnose.Finding{{Cause: causes.IPv6, Title: text}}, Missing: []string{text}, Blocked: []string{text},
				Evidence: []probe.Result{r}}, Results: []probe.Result{r}}}}}
		base := at(t, s)
		for _, path := range []string{"/", "/?q=" + url.QueryEscape(truncate(text, 900)), "/?probe=" + url.QueryEscape(truncate(text, 900)), "/incidents/20261123-codex-1", "/incidents?service=" + url.QueryEscape(truncate(text, 900)),
			"/incidents/" + url.PathEscape(truncate(text, 900)), "/badge/" + url.PathEscape(truncate(text, 900)) + ".svg"} {
			got := get(t, http.DefaultClient, base+path)
			if harm := regexp.MustCompile(`<script>|<img|[\x00-\x08\x0b-\x1f\x7f]|\x{202e}|Pl4nt3dS3cret99[^"]*<|href="javascript|ZgotmplZ`).FindString(got.body); harm != "" {
				t.Errorf("%d at %.60s: %q is on it", i, path, harm)
			}
			if len(got.body) > 1<<20 {
				t.Errorf("%d at %.60s: %d bytes", i, path, len(got.body))
			}
		}
	}
}

// With hundreds of services and thousands of probes the page stays short and can be searched.
func TestManyServices(t *testing.T) {
	s := newTestServer(t)
	status := &watch.Status{At: time.Now()}
	var all []probe.Result
	for i := range 500 {
		status.Services = append(status.Services, watch.ServiceStatus{Verdict: diagnose.Verdict{Service: fmt.Sprintf("shop%03d", i), Cause: causes.Healthy, Title: "reachable"}})
	}
	for i := range 5_000 {
		class := probe.OK
		if i == 4_321 {
			class = probe.TCPReset
		}
		all = append(all, attempt("shop007", fmt.Sprintf("probe%04d", i), probe.KindDNS, probe.FromHost, probe.Resolve, class, ""))
	}
	s.Source, s.Results, s.History = &source{status: status}, func() []probe.Result { return all }, new(memory)
	base := at(t, s)
	for _, test := range []struct {
		path      string
		has       []string
		not       string
		mostBytes int
	}{
		{"/", []string{"All 500 services are healthy", "shop000", "and 400 more"}, "shop499", 64 << 10},
		{"/?q=SHOP49", []string{"shop490", "shop499"}, "shop000", 64 << 10},
		{"/?q=absent", []string{"No service matches."}, "shop000", 64 << 10},
		{"/services/shop007", []string{"probe4321", "tcp.reset", "24 of 5000"}, "probe0023", 128 << 10},
		{"/services/shop007?probe=0023", []string{"probe0023"}, "probe4321", 128 << 10},
	} {
		got := get(t, http.DefaultClient, base+test.path)
		for _, want := range test.has {
			if !strings.Contains(got.body, want) {
				t.Errorf("%s: no %q", test.path, want)
			}
		}
		if strings.Contains(got.body, test.not) || len(got.body) > test.mostBytes {
			t.Errorf("%s: %q is on it, or it is too long: %d bytes", test.path, test.not, len(got.body))
		}
	}
	status.Services[300].Cause = causes.Resolver
	if got := get(t, http.DefaultClient, base+"/"); !strings.Contains(got.body, "<title>shop300: resolver") || !strings.Contains(got.body, "1 of 500 services with a fault") {
		t.Error("the one with a fault is not first")
	}
}

// A closed sandbox looks like a failure only if the verdict counts it as a fault.
func TestClosedSandboxIsNoFailure(t *testing.T) {
	s := newTestServer(t)
	s.History = new(memory)
	base := at(t, s)
	closed := func() bool {
		return strings.Contains(get(t, http.DefaultClient, base+"/services/codex").body, `class="latest closed" id="track-head-http-sandbox"`)
	}
	standing := &s.Source.(*source).status.Services[1]
	if !closed() {
		t.Error("the service is down, and the sandbox looks like a failure")
	}
	standing.Also = []diagnose.Finding{{Cause: causes.Sandbox}}
	if closed() {
		t.Error("the sandbox should be open, and does not look like a failure")
	}
}

func TestStoreFailureIsShown(t *testing.T) {
	s := newTestServer(t)
	s.History = &memory{fault: "store: database or disk is full; free space on its disk"}
	base := at(t, s)
	for _, path := range []string{"/", "/incidents", "/incidents/20261123-codex-1"} {
		if got := get(t, http.DefaultClient, base+path); !strings.Contains(got.body, "History is not being saved; probing continues. Store: database or disk is full; free space on its disk.") {
			t.Errorf("%s does not say so", path)
		}
	}
}

func TestRecordPage(t *testing.T) {
	s := newTestServer(t)
	s.History = new(memory)
	base := at(t, s)
	for path, want := range map[string]struct {
		status                   int
		contentType, disposition string
		body                     string
	}{
		"/incidents":                                {200, "text/html; charset=utf-8", "", "Monday, 23 November 2026"},
		"/incidents?service=codex&from=50":          {200, "text/html; charset=utf-8", "", "Newer"},
		"/incidents/20261123-codex-1":               {200, "text/html; charset=utf-8", "", "<h2>Timeline</h2>"},
		"/incidents/20261123-codex-1/record.md":     {200, "text/markdown; charset=utf-8", "attachment; filename=netwatchd-20261123-codex-1.md", "# Incident `20261123-codex-1`"},
		"/incidents/20261123-codex-1/record.json":   {200, "application/json", "attachment; filename=netwatchd-20261123-codex-1.json", `"id": "20261123-codex-1"`},
		"/incidents/20261123-codex-1/record.tar.gz": {404, "text/plain; charset=utf-8", "", "not found"},
		"/incidents/absent":                         {404, "text/html; charset=utf-8", "", "There is no incident"},
		"/incidents/absent/record.md":               {404, "text/html; charset=utf-8", "", "There is no incident"},
	} {
		got := get(t, http.DefaultClient, base+path)
		if got.status != want.status || got.header.Get("Content-Type") != want.contentType || got.header.Get("Content-Disposition") != want.disposition || !strings.Contains(got.body, want.body) {
			t.Errorf("%s: got %d %s %s\n%s\nwant %+v", path, got.status, got.header.Get("Content-Type"), got.header.Get("Content-Disposition"), got.body, want)
		}
	}
}

func TestBadge(t *testing.T) {
	base := at(t, newTestServer(t))
	for path, want := range map[string]struct {
		status int
		body   string
	}{
		"/badge/codex.svg":                 {200, ">upstream</text>"},
		"/badge/shop.svg":                  {200, ">healthy</text>"},
		"/badge/absent.svg":                {404, ">not watched</text>"},
		"/badge/%3Cscript%3E%22%27%26.svg": {404, "&lt;script&gt;&#34;&#39;&amp;"},
	} {
		got := get(t, http.DefaultClient, base+path)
		if got.status != want.status || got.header.Get("Content-Type") != "image/svg+xml" || got.header.Get("Cache-Control") != "no-cache" || !strings.Contains(got.body, want.body) {
			t.Errorf("%s: got %d %v\n%s", path, got.status, got.header, got.body)
		}
	}
	if got := get(t, http.DefaultClient, base+"/badge/codex.png"); got.status != 404 || strings.Contains(got.body, "<svg") {
		t.Errorf("as a PNG: %d", got.status)
	}
}

// One fault of this host is told once, with the services that it stops.
func TestHostFaultOfSeveralServices(t *testing.T) {
	s := newTestServer(t)
	status := &watch.Status{At: time.Now()}
	for _, service := range []string{"claude", "codex", "wiki"} {
		c := causes.HostOffline
		if service == "wiki" {
			c = causes.Healthy
		}
		status.Services = append(status.Services, watch.ServiceStatus{
			Verdict: diagnose.Verdict{Service: service, Cause: c, Title: service + ": " + c.About().Title}})
	}
	s.Source, s.History = &source{status: status}, new(memory)
	base := at(t, s)
	const sentence = "wiki works; claude and codex do not: this host is offline."
	page := get(t, http.DefaultClient, base+"/").body
	for _, want := range []string{sentence, "The same fault of this host stops codex.", "same fault as claude, "} {
		if strings.Count(page, want) != 1 {
			t.Errorf("%q is on the page %d times, want once", want, strings.Count(page, want))
		}
	}
	if page := get(t, http.DefaultClient, base+"/services/wiki").body; strings.Contains(page, sentence) || strings.Contains(page, "The same fault") {
		t.Error("the page of one service sums up all")
	}
	status.Services = status.Services[:1]
	if page := get(t, http.DefaultClient, base+"/").body; strings.Contains(page, `class="summary"`) {
		t.Error("a single service is summed up")
	}
}

// TestUsageOnThePage: what an agent's runs have used is on the page of its service, and nothing before the first run.
func TestUsageOnThePage(t *testing.T) {
	s := newTestServer(t)
	base := at(t, s)
	standing := &s.Source.(*source).status.Services[1]
	page := func() string { return get(t, http.DefaultClient, base+"/services/codex").body }
	standing.Usage = &spending.Sum{}
	if strings.Contains(page(), `id="usage"`) {
		t.Error("usage is shown before the first run")
	}
	standing.Usage = &spending.Sum{Runs: 2, Requests: 3, Tokens: &probe.TokensSpent{Input: 900, Output: 100}, CostUSD: new(0.0042)}
	standing.BudgetTokens = new(int64(0))
	if got := page(); !strings.Contains(got, "runs used 3 requests, 1000 tokens, $0.0042 in 24 hours · 0 tokens left today") {
		t.Errorf("got\n%s", got)
	}
}

func TestLocalTime(t *testing.T) {
	for text, want := range map[string]string{
		"2026-11-23T21:00:00+09:00": "2026-11-23 21:00:00 +09:00", "2026-11-23T12:00:00Z": "2026-11-23 12:00:00 +00:00",
		"noon": "noon",
	} {
		if got := localTime(text); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

// A stream that a round could open, and that is dropped when it is held, is not shown as OK beside a verdict that says
// so.
func TestLatestOfAStreamIsWhatTheVerdictCounts(t *testing.T) {
	stream := func(class probe.Class) probe.Result {
		return attempt("codex", "stream", probe.KindStream, probe.FromHost, probe.Streaming, class, "")
	}
	s := newTestServer(t)
	opened := append(results()[:1], stream(probe.OK))
	s.Results = func() []probe.Result { return opened }
	for counted, want := range map[probe.Class]probe.Class{probe.StreamIdleCut: probe.StreamIdleCut, probe.OK: probe.OK} {
		shown, _ := s.tracks(diagnosed("codex", []probe.Result{opened[0], stream(counted)}), "")
		if len(shown) != 2 || shown[0].Class != probe.OK || shown[1].Class != want {
			t.Errorf("a stream of class %v: shown are %v", counted, shown)
		}
	}
}
