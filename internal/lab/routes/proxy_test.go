package routes

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/responses"
)

const tables = "../../clientrules/testdata"

// rows reads a table of testdata. Each row is by column.
func rows(t *testing.T, name string) (all []map[string]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(tables, name))
	if err != nil {
		t.Fatal(err)
	}
	var header []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if header == nil {
			header = fields
			continue
		}
		row := map[string]string{}
		for i, name := range header {
			row[name] = fields[i]
		}
		all = append(all, row)
	}
	return all
}

const p, q = "http://127.0.0.1:3901", "http://127.0.0.1:3902"

var spelled = strings.NewReplacer("HOST:PORT", "127.0.0.1:3901", "=P", "="+p, "= P ", "= "+p+" ", "=Q", "="+q)

// often are the rows that are asked of every program in every run of the tests: what people trip over.
var often = []string{
	"HTTP_PROXY=P|http_proxy=Q", "HTTP_PROXY=|http_proxy=Q", "HTTP_PROXY=P|NO_PROXY=.svc.test",
	"HTTP_PROXY=P|NO_PROXY=svc.test:28080", "HTTP_PROXY=P|NO_PROXY=SVC.TEST", "HTTP_PROXY=P|NO_PROXY=a.test svc.test",
	"HTTP_PROXY=P", "HTTP_PROXY=P|NO_PROXY=127.0.0.0/8", "ALL_PROXY=P", "HTTP_PROXY=not a url",
	"HTTPS_PROXY=P|https_proxy=Q", "HTTPS_PROXY=P|NO_PROXY=svc.test:28443",
}

// Real programs choose the proxies that testdata of internal/clientrules says, with which the rules are compared.
func TestProxies(t *testing.T) {
	ca, certificate, err := responses.Authority("svc.test", "www.svc.test")
	if err != nil {
		t.Fatal(err)
	}
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bundle, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	n := startNetwork(t, certificate)
	all := rows(t, "proxy.tsv")
	for _, p := range programs(t) {
		if p.place != nil {
			continue // TestTrust tries it
		}
		t.Run(p.name, func(t *testing.T) {
			asked := 0
			for _, row := range all {
				want, env := row[p.column], row["environment"]
				if want == "" || strings.HasPrefix(row["url"], "wss:") || p.name != "curl" && !p.isAskedFor(env, often) {
					continue
				}
				asked++
				if got := n.route(t, p, row["url"], spelled.Replace(env), bundle); got != want {
					t.Errorf("%s with %q: got %s, want %s", row["url"], env, got, want)
				}
			}
			if asked < len(often) {
				t.Errorf("asked for %d rows only", asked)
			}
		})
	}
}

// route returns where the program's request went: "P", "Q", "direct", or "fails".
func (n *network) route(t *testing.T, p program, url, env, bundle string) string {
	_, host, _ := strings.Cut(url, "://")
	isTarget := func(s sight) bool { return s.host == host }
	variables := append(strings.Split(env, "|"), "SSL_CERT_FILE="+bundle, "NODE_EXTRA_CA_CERTS="+bundle)
	seen, _ := p.run(t, n, url, variables, isTarget)
	if i := slices.IndexFunc(seen, isTarget); i >= 0 {
		return seen[i].at
	}
	return "fails"
}

// Credentials of the proxy's URL are sent with plain requests and with CONNECT, and behind a dead proxy no program
// connects directly. netwatchd does the same, and reports the dead proxy.
func TestCredentialsAndDeadProxies(t *testing.T) {
	parts.Need(t)
	store := newTrustStore(t)
	n := startNetwork(t, store.certs["X"])
	serveNames(t)
	netwatchd := program{name: "netwatchd", command: func(t *testing.T, url string) (argv, env []string) {
		return []string{filepath.Join(parts.Dir(), "netwatchd"), "probe", "http", url + "/v1/responses"},
			[]string{"HOME=" + t.TempDir()}
	}}
	const closed = "http://127.0.0.1:3909"
	for _, client := range []program{codex(t, "0.104.0"), codex(t, "0.169.0"), curl(t), netwatchd} {
		for _, url := range []string{"http://svc.test:28080", "https://svc.test:28443"} {
			proxied := func(proxy string) (seen []sight) {
				env := []string{"http_proxy=" + proxy, "HTTP_PROXY=" + proxy, "HTTPS_PROXY=" + proxy, "SSL_CERT_FILE=" + store.path("X")}
				if client.name == "curl" {
					env = append(env, "CURL_CA_BUNDLE="+store.path("X"))
				}
				seen, _ = client.run(t, n, url, env, func(s sight) bool { return s.login != "" })
				return seen
			}
			// me:pw, as RFC 7617 encodes it
			isSignedIn := func(s sight) bool { return s.at == "P" && s.login == "Basic bWU6cHc=" }
			if seen := proxied("http://me:pw@127.0.0.1:3901"); !slices.ContainsFunc(seen, isSignedIn) {
				t.Errorf("%s, %s: no request with the proxy's credentials: %+v", client.name, url, seen)
			}
			if seen := proxied(closed); len(seen) > 0 {
				t.Errorf("%s, %s: requests although the proxy is dead: %+v", client.name, url, seen)
			}
		}
	}
	config := store.path("config.yaml")
	write(t, config, strings.ReplaceAll(trustConfig, "SERVICE", "codex"))
	command := parts.Netwatchd{Dir: store.dir, Env: []string{"HTTPS_PROXY=" + closed}}
	exit := command.Run(t, "check", "--json", "--config.file="+config)
	if !strings.Contains(exit.Stdout, `"proxy.refused"`) || !strings.Contains(exit.Stdout, closed+" (HTTPS_PROXY) refuses connections") {
		t.Errorf("check behind a dead proxy exits %d: %s%s", exit.Code, exit.Stdout, exit.Stderr)
	}
}

// The WebSocket of codex's own provider has rules of its own.
func TestProxiesOfTheWebSocket(t *testing.T) {
	ca, certificate, err := responses.Authority("chatgpt.com")
	if err != nil {
		t.Fatal(err)
	}
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bundle, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	n := startNetwork(t, certificate)
	program := codex(t, "0.169.0")
	often := []string{"HTTP_PROXY=P", "HTTPS_PROXY=P|NO_PROXY=chatgpt.com:443", "HTTPS_PROXY=P|https_proxy=Q"}
	asked := 0
	for _, row := range rows(t, "proxy.tsv") {
		env, want := row["environment"], row["reqwest"]
		if !strings.HasPrefix(row["url"], "wss:") || !*every && !slices.Contains(often, env) {
			continue
		}
		asked++
		variables := append(strings.Split(spelled.Replace(env), "|"), "SSL_CERT_FILE="+bundle)
		isStream := func(s sight) bool { return strings.HasSuffix(s.path, "/responses") }
		seen, _ := program.run(t, n, "", variables, isStream)
		got := "fails"
		if i := slices.IndexFunc(seen, func(s sight) bool { return isStream(s) && s.upgrade }); i >= 0 {
			got = seen[i].at
		}
		if got != want {
			t.Errorf("%s: got %s, want %s: %+v", env, got, want, seen)
		}
	}
	if asked < len(often) {
		t.Errorf("asked for %d rows only", asked)
	}
}
