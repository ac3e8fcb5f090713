package sandbox

import (
	"context"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/connect"
	"netwatchd/internal/probe/dnsprobe"
	"netwatchd/internal/probe/execprobe"
	"netwatchd/internal/probe/httpprobe"
	"netwatchd/internal/probe/probetest"
	"netwatchd/internal/redact"
)

func newBatch(command ...string) *Batch {
	return &Batch{
		Service: "codex", Timeout: 10 * time.Second, Dir: "/", Program: "/netwatchd",
		Wrap: func(context.Context) ([]string, error) { return command, nil },
		Probes: []*probe.Probe{
			{Spec: probe.Spec{Service: "codex", Name: probe.CheckSandbox, Kind: probe.KindHost, Role: probe.OfHost}},
			{Spec: probe.Spec{Service: "codex", Name: "dns", Kind: probe.KindDNS, Target: "chatgpt.com"}, Prober: &dnsprobe.Lookup{Name: "chatgpt.com"}},
		},
	}
}

const resultsFromInside = `[{"probe":"x","class":"local.denied","why":"","phase":"","phases":{},"signals":["socket_inet_eperm"]},` +
	`{"probe":"y","class":"local.denied","why":"denied","phase":"resolve","phases":{"resolve":0.001}}]`

func TestTwin(t *testing.T) {
	t.Parallel()
	// A wrapper may print before and after, and exit with any status: only the results from inside count.
	batch := newBatch("sh", "-c", "echo warning: hello; echo '"+resultsFromInside+"'; echo bye; exit 3")
	results, ok := batch.Run(t.Context(), 0)
	if !ok || len(results) != 2 {
		t.Fatalf("got %v %v, want two results", results, ok)
	}
	look, dns := results[0], results[1]
	if look.Name != probe.CheckSandbox || look.Role != probe.OfHost || look.Vantage != probe.FromSandbox || len(look.Signals) != 1 {
		t.Errorf("the look: got %+v", look)
	}
	if dns.Name != "dns" || dns.Target != "chatgpt.com" || dns.Vantage != probe.FromSandbox || dns.Class != probe.LocalDenied || dns.Phase != probe.Resolve {
		t.Errorf("the lookup: got %+v", dns)
	}
}

// A sandbox that cannot be started must never look like one that says no.
func TestTwinThatCannotBeStarted(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		Process []string
		class   probe.Class
		why     string
	}{
		"no such wrapper":        {[]string{"netwatchd-test-none", "--"}, probe.ExecNotFound, "not on the PATH"},
		"not executable":         {[]string{"/etc/hostname"}, probe.ExecStartFailed, "may this user run it"},
		"refuses":                {probetest.Sh("echo bwrap: No permissions to create new namespace >&2; exit 1"), probe.ExecStartFailed, "exited with code 1: bwrap: No permissions"},
		"refuses in codex's way": {probetest.Sh("echo WARNING: x >&2; echo Error: unclosed array >&2; echo '  0: <unknown>' >&2; exit 1"), probe.ExecStartFailed, "Error: unclosed array"},
		"home in /tmp": {probetest.Sh("echo WARNING: Refusing to create helper binaries under temporary dir >&2; " +
			"echo bwrap: execvp codex-linux-sandbox: No such file or directory >&2; exit 1"), probe.ExecStartFailed, "move CODEX_HOME elsewhere"},
		"permission denied":    {probetest.Sh("echo operation not permitted >&2; exit 1"), probe.ExecStartFailed, "operation not permitted"},
		"does not find us":     {probetest.Sh("echo netwatchd: not found >&2; exit 127"), probe.ExecNotFound, "netwatchd: not found"},
		"says nothing":         {probetest.Sh("exit 0"), probe.ExecUnexpectedOutput, "printed no probe results"},
		"says something else":  {probetest.Sh("echo hello"), probe.ExecUnexpectedOutput, "hello"},
		"says too little":      {probetest.Sh(`echo '[{"class":"ok"}]'`), probe.ExecUnexpectedOutput, "its output is not netwatchd's"},
		"says nothing we know": {probetest.Sh(`echo '[{"class":"ok"},{"class":"splendid"}]'`), probe.ExecUnexpectedOutput, "its output is not netwatchd's"},
		"hangs":                {probetest.Sh("sleep 100"), probe.ExecTimedOut, "did not finish in time"},
		"is killed":            {probetest.Sh("kill -9 $$"), probe.ExecKilled, "SIGKILL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			batch := newBatch(test.Process...)
			if test.class == probe.ExecTimedOut {
				batch.Timeout = 300 * time.Millisecond
			}
			results, ok := batch.Run(t.Context(), 0)
			if !ok || len(results) != 1 {
				t.Fatalf("got %v %v, want one result, for the lookup", results, ok)
			}
			r := results[0]
			if r.Class != test.class || !strings.Contains(r.Why, test.why) || r.Name != "dns" || r.Vantage != probe.FromSandbox || r.Kind != probe.KindDNS {
				t.Errorf("got %v %q of %s %v, want %v with %q", r.Class, r.Why, r.Name, r.Vantage, test.class, test.why)
			}
		})
	}
}

func TestTwinCutShortIsNoNews(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	batch := newBatch("sh", "-c", "sleep 100")
	wrap := batch.Wrap
	batch.Wrap = func(ctx context.Context) ([]string, error) { cancel(); return wrap(ctx) }
	if results, ok := batch.Run(ctx, 0); ok {
		t.Errorf("a run that was cancelled has results: %v", results)
	}
}

// Other users can read arguments in the process list: a proxy's password or a key in a URL is passed on standard input.
func TestSecretsAreNotInTheArguments(t *testing.T) {
	t.Parallel()
	batch := newBatch("sh", "-c", `case "$*" in *secret*) exit 1;; esac; grep -q secret && echo '`+resultsFromInside+`'`, "sh")
	for url, proxy := range map[string]string{
		"https://chatgpt.com/":                "http://user:secret@10.0.0.1:3128",
		"https://chatgpt.com/?api_key=secret": "none",
	} {
		target := probetest.MustURL(t, url)
		batch.Probes[1] = &probe.Probe{
			Spec:   probe.Spec{Service: "codex", Name: "head", Kind: probe.KindHTTP, Target: redact.String(url)},
			Prober: &httpprobe.Request{URL: target, Options: connect.Options{Proxy: proxy}},
		}
		if results, ok := batch.Run(t.Context(), 0); !ok || len(results) != 2 {
			t.Errorf("%s by %s: got %v %v: the secret was in the arguments, or not passed at all", url, proxy, results, ok)
		}
	}
}

func TestProbesAreHandedOn(t *testing.T) {
	t.Parallel()
	target, _ := url.Parse("https://chatgpt.com/backend-api/codex/responses?a=1&b=2&key=abcdefgh")
	servers := []netip.AddrPort{netip.MustParseAddrPort("[2001:db8::53]:5300")}
	probes := []*probe.Probe{
		{Spec: probe.Spec{Service: "codex", Name: "sandbox", Kind: probe.KindHost, Role: probe.OfHost}},
		{Spec: probe.Spec{Service: "codex", Name: "dns", Kind: probe.KindDNS, Target: "chatgpt.com", Timeout: 1500 * time.Millisecond},
			Prober: &dnsprobe.Lookup{Name: "chatgpt.com", Types: []string{"A", "TXT"}, Nameservers: servers, Expect: dnsprobe.Expect{Answers: []string{"192.0.2.1"}}}},
		{Spec: probe.Spec{Service: "codex", Name: "head", Kind: probe.KindHTTP, Target: redact.String(target.String()), Timeout: time.Second},
			Prober: &httpprobe.Request{URL: target, Method: "HEAD", Status: []int{405}, Headers: []httpprobe.HeaderToken{{Name: "Allow", Value: "POST"}},
				Body: regexp.MustCompile("^<a>&$"), Options: connect.Options{CAFile: "/ca.pem", Issuer: "WE1", ServerName: "x", Family: "ipv6",
					Nameservers: servers, Proxy: "none", Address: netip.MustParseAddr("192.0.2.1")}}},
	}
	text, err := marshalProbes(probes)
	if err != nil {
		t.Fatal(err)
	}
	look := proberFunc(nil)
	got, err := UnmarshalProbes(text, look)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for i, want := range probes {
		if diff := cmp.Diff(want.Spec, got[i].Spec); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want.Name, diff)
		}
		if want.Prober == nil {
			continue
		}
		if diff := cmp.Diff(want.Prober, got[i].Prober, comparers); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want.Name, diff)
		}
	}
	if _, err := marshalProbes([]*probe.Probe{{Spec: probe.Spec{Name: "exec", Kind: probe.KindExec}, Prober: execprobe.Run{}}}); err == nil {
		t.Error("a run of the agent was handed on")
	}
	for _, bad := range []string{"", "{}", `[{"kind":"http"}]`, `[{"kind":"stream"}]`, `[{"kind":"http","http":{}}]`,
		`[{"kind":"http","http":{"url":":","Method":"GET"}}]`} {
		if _, err := UnmarshalProbes([]byte(bad), look); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

var comparers = cmp.Options{
	cmp.Comparer(func(a, b *regexp.Regexp) bool { return a == b || a != nil && b != nil && a.String() == b.String() }),
	cmp.Comparer(func(a, b *url.URL) bool { return a.String() == b.String() }),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmp.Comparer(func(a, b func() time.Time) bool { return a == nil && b == nil }),
	cmpopts.IgnoreUnexported(dnsprobe.Lookup{}), // what its attempts have in common is made anew
}

func TestComplaint(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"WARNING: proceeding\nError: no such profile\n   0: <unknown>\n", "Error: no such profile"},
		{"\nthread 'main' (63) panicked at linux-sandbox/src/linux_run_main.rs:138:9:\n" +
			"error applying legacy Linux sandbox restrictions: Sandbox(LandlockRestrict)\n" +
			"note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n",
			"error applying legacy Linux sandbox restrictions: Sandbox(LandlockRestrict)"},
		{"first\nbwrap: Failed to make / slave: Operation not permitted\n", "bwrap: Failed to make / slave: Operation not permitted"},
	} {
		if got := decisiveLine(tt.text); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
