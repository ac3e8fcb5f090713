package clientrules_test

import (
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"netwatchd/internal/clientrules"
)

// table reads a file of testdata: its header, and its rows.
func table(t *testing.T, path string) (header []string, rows [][]string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		row := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if header == nil {
			header = row
			continue
		}
		if len(row) != len(header) {
			t.Fatalf("%s: %q has %d columns, want %d", path, line, len(row), len(header))
		}
		rows = append(rows, row)
	}
	return header, rows
}

// environment returns what is written as name=value|name=value.
func environment(text string) clientrules.Environment {
	return func(name string) (string, bool) {
		for entry := range strings.SplitSeq(text, "|") {
			if value, ok := strings.CutPrefix(entry, name+"="); ok {
				return value, true
			}
		}
		return "", false
	}
}

const p, q = "http://127.0.0.1:3901", "http://127.0.0.1:3902"

// spelled replaces the short names of proxies in testdata.
var spelled = strings.NewReplacer("HOST:PORT", "127.0.0.1:3901", "=P", "="+p, "= P ", "= "+p+" ", "=Q", "="+q)

// The rules choose what the real programs were seen to choose.
func TestChoose(t *testing.T) {
	if checked := compareChoices(t, "testdata/proxy.tsv"); checked < 300 {
		t.Errorf("only %d choices were compared", checked)
	}
	if checked := compareChoices(t, "testdata/copilot.tsv"); checked < 10 {
		t.Errorf("only %d choices of copilot were compared", checked)
	}
}

func compareChoices(t *testing.T, path string) (checked int) {
	t.Helper()
	header, rows := table(t, path)
	for _, row := range rows {
		u, err := url.Parse(row[0])
		if err != nil {
			t.Fatal(err)
		}
		for i, name := range header[2:] {
			want := row[i+2]
			var rules clientrules.Proxying
			if err := rules.UnmarshalText([]byte(name)); err != nil {
				t.Fatal(err)
			}
			if want == "" {
				continue
			}
			checked++
			c := rules.Choose(environment(spelled.Replace(row[1])), u)
			if got := seen(c); got != want {
				t.Errorf("%s: %s with %s: got %s %+v, want %s", name, row[0], row[1], got, c, want)
			}
		}
	}
	return checked
}

// seen says where a request goes by this choice, in the words of testdata.
func seen(c clientrules.ProxyChoice) string {
	switch {
	case c.Broken != "":
		return "fails"
	case c.Proxy == nil:
		return "direct"
	case c.Proxy.Host == "127.0.0.1:3901" && c.Proxy.Scheme == "http":
		return "P"
	case c.Proxy.Host == "127.0.0.1:3902" && c.Proxy.Scheme == "http":
		return "Q"
	}
	return "fails" // nothing listens there, or it is no HTTP proxy
}

func TestProxyRemarks(t *testing.T) {
	long := strings.Repeat("a.test,", 64<<10/7)
	for _, test := range []struct {
		client   clientrules.Client
		url, env string
		want     []string
	}{
		{clientrules.Codex(), "https://chatgpt.com/", "HTTPS_PROXY=" + p, nil},
		{clientrules.Codex(), "https://chatgpt.com/", "HTTPS_PROXY=" + p + "|https_proxy=" + p, nil},
		{clientrules.Codex(), "https://chatgpt.com/", "HTTPS_PROXY=http://u:pw@a:1|https_proxy=http://u:pw@b:2",
			[]string{"HTTPS_PROXY and https_proxy differ: codex uses HTTPS_PROXY (http://a:1), other programs use https_proxy (http://b:2)"}},
		{clientrules.Codex(), "https://chatgpt.com/", "HTTPS_PROXY=|https_proxy=" + p,
			[]string{"HTTPS_PROXY and https_proxy differ: codex uses HTTPS_PROXY (empty), other programs use https_proxy (" + p + ")"}},
		{clientrules.Curl(), "https://chatgpt.com/", "HTTPS_PROXY=http://a:1|https_proxy=http://b:2",
			[]string{"https_proxy and HTTPS_PROXY differ: curl uses https_proxy (http://b:2), other programs use HTTPS_PROXY (http://a:1)"}},
		// Which of the two is used makes no difference for this name.
		{clientrules.Codex(), "https://chatgpt.com/", "HTTPS_PROXY=" + p + "|NO_PROXY=a.test|no_proxy=b.test", nil},
		{clientrules.Codex(), "https://chatgpt.com/", "HTTPS_PROXY=" + p + "|https_proxy=" + q + "|NO_PROXY=chatgpt.com", nil},
		{clientrules.Codex(), "https://chatgpt.com/", "HTTPS_PROXY=" + p + "|NO_PROXY=" + long + "|no_proxy=chatgpt.com",
			[]string{"NO_PROXY and no_proxy differ: codex uses NO_PROXY (" + long[:60] + "…), other programs use no_proxy (chatgpt.com)"}},
		{clientrules.Codex(), "https://chatgpt.com/", "HTTPS_PROXY=not a url",
			[]string{"HTTPS_PROXY is not the URL of a proxy, so codex ignores it and connects without a proxy"}},
		{clientrules.Codex(), "https://chatgpt.com/", "HTTPS_PROXY=not a url|ALL_PROXY=" + q,
			[]string{"HTTPS_PROXY is not the URL of a proxy, so codex ignores it and connects through " + q}},
		{clientrules.Codex(), "https://chatgpt.com/", "HTTPS_PROXY=http://me:p#ss@proxy:3128",
			[]string{"HTTPS_PROXY is not the URL of a proxy, so every request of codex fails"}},
		{clientrules.Codex(), "https://chatgpt.com/", "HTTPS_PROXY=" + strings.Repeat("x y ", 16<<10),
			[]string{"HTTPS_PROXY is not the URL of a proxy, so codex ignores it and connects without a proxy"}},
		{clientrules.Codex(), "http://127.0.0.1:4000/v1", "HTTP_PROXY=http://u:pw@a:1",
			[]string{"codex sends requests to 127.0.0.1:4000 on this host through the proxy http://a:1, because NO_PROXY does not exempt it"}},
		{clientrules.Codex(), "http://localhost:4000/v1", "HTTP_PROXY=" + p + "|NO_PROXY=localhost,127.0.0.1", nil},
		{clientrules.Client{Name: "go"}, "http://127.0.0.1:4000/v1", "HTTP_PROXY=" + p, nil},
	} {
		u, err := url.Parse(test.url)
		if err != nil {
			t.Fatal(err)
		}
		env := environment(test.env)
		var got []string
		for _, r := range test.client.ProxyRemarks(env, u, test.client.Proxying.Choose(env, u)) {
			got = append(got, r.Text)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s with %.80s:\ngot  %q\nwant %q", test.url, test.env, got, test.want)
		}
	}
}

// Nothing in a variable may be quoted that could be a password, and nothing may panic.
func FuzzProxyRemarks(f *testing.F) {
	f.Add("http://u:hunter2@a:1", "hunter2@b", "a,b")
	f.Add("://", "%", "[::1]:9")
	f.Fuzz(func(t *testing.T, one, other, exempt string) {
		env := func(name string) (string, bool) {
			switch name {
			case "HTTPS_PROXY":
				return one, true
			case "https_proxy":
				return other, true
			case "NO_PROXY":
				return exempt, true
			}
			return "", false
		}
		for _, rules := range []clientrules.Proxying{clientrules.CurlProxying, clientrules.ReqwestProxying,
			clientrules.OldReqwestProxying, clientrules.UndiciProxying, clientrules.ClaudeProxying,
			clientrules.BunProxying, clientrules.GeminiProxying} {
			c := clientrules.Client{Name: "x", Proxying: rules}
			for _, u := range []*url.URL{{Scheme: "https", Host: "a"}, {Scheme: "wss", Host: "127.0.0.1:4"}, {Scheme: "http", Host: "[::1]"}} {
				for _, r := range c.ProxyRemarks(env, u, rules.Choose(env, u)) {
					if len(r.Text) > 600 {
						t.Errorf("a remark of %d bytes", len(r.Text))
					}
				}
			}
		}
	})
}
