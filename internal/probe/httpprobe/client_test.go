package httpprobe

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netwatchd/internal/clientrules"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/connect"
	"netwatchd/internal/probe/probetest"
)

// withoutVariables removes every variable that chooses a proxy or certificates, until the end of the test.
func withoutVariables(t *testing.T) {
	t.Helper()
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy",
		"all_proxy", "no_proxy", "REQUEST_METHOD", "SSL_CERT_FILE", "SSL_CERT_DIR", "CODEX_CA_CERTIFICATE"} {
		if value, set := os.LookupEnv(name); set {
			os.Unsetenv(name)
			t.Cleanup(func() { os.Setenv(name, value) })
		}
	}
}

// Requests go as the service's client would send them, through real proxies.
func TestProxyOfTheClient(t *testing.T) {
	withoutVariables(t)
	server := probetest.Serving(t, nil, probetest.Answering(200, ""))
	start := func() string {
		return probetest.Serving(t, nil, (&testProxy{to: server.String()}).ServeHTTP).String()
	}
	one, other := start(), start()
	for _, tt := range []struct {
		name   string
		client clientrules.Client
		env    []string // of the process
		own    []string // of the client's own file
		proxy  string
		from   string
		warns  []string
	}{
		{"codex takes the upper case, also to this host", clientrules.Codex(),
			[]string{"HTTP_PROXY=http://" + one, "http_proxy=http://" + other}, nil, one, "HTTP_PROXY",
			[]string{clientrules.SpellingsDiffer, clientrules.LoopbackProxied}},
		{"curl takes the lower case", clientrules.Curl(), []string{"HTTP_PROXY=http://" + one, "http_proxy=http://" + other},
			nil, other, "http_proxy", []string{clientrules.LoopbackProxied}},
		{"Go does not use a proxy for this host", clientrules.Client{}, []string{"HTTP_PROXY=http://" + one}, nil, "", "", nil},
		{"a file of the client replaces the environment", clientrules.Codex(), []string{"HTTP_PROXY=http://" + one},
			[]string{"HTTP_PROXY=http://me:secret@" + other}, other, "HTTP_PROXY in ~/.codex/.env",
			[]string{clientrules.LoopbackProxied}},
		{"an empty variable turns the other spelling off", clientrules.Codex(),
			[]string{"HTTP_PROXY=", "http_proxy=http://" + one}, nil, "", "", []string{clientrules.SpellingsDiffer}},
		{"codex ignores what is no URL", clientrules.Codex(), []string{"HTTP_PROXY=" + strings.Repeat("not a url ", 6400)}, nil,
			"", "", []string{clientrules.NotAProxyURL}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, entry := range tt.env {
				name, value, _ := strings.Cut(entry, "=")
				t.Setenv(name, value)
			}
			p := &Request{URL: probetest.MustURL(t, "http://"+server.String()+"/"), Options: connect.Options{
				Rules: tt.client, Env: tt.own, EnvFile: "~/.codex/.env"}}
			r := probetest.Attempt(t, p, 5*time.Second)
			probetest.WantEnd(t, r, probe.OK, probe.Response, "")
			if want := strings.TrimSuffix("http://"+tt.proxy, "http://"); tt.proxy != "" && r.Proxy != "http://"+tt.proxy ||
				tt.proxy == "" && r.Proxy != want || r.ProxyFrom != tt.from {
				t.Errorf("proxy = %q from %q, want %q from %q", r.Proxy, r.ProxyFrom, tt.proxy, tt.from)
			}
			if !slices.Equal(r.Warnings, tt.warns) || len(r.Notes) != len(tt.warns) {
				t.Errorf("warnings = %q, notes = %q, want %q", r.Warnings, r.Notes, tt.warns)
			}
			if told, err := p.Remarks(p.URL); err != nil || !slices.Equal(told, r.Notes) {
				t.Errorf("without an attempt: %q, %v, want %q", told, err, r.Notes)
			}
			if text := strings.Join(r.Notes, " "); strings.Contains(text, "secret") || len(text) > 1000 {
				t.Errorf("notes hold a secret, or %d bytes: %.300s", len(text), text)
			}
		})
	}
}

func TestAProxyThatIsNoURL(t *testing.T) {
	withoutVariables(t)
	t.Setenv("https_proxy", "http://me:hunter#2@proxy.test:3128")
	p := &Request{URL: probetest.MustURL(t, "https://service.test/"), Options: connect.Options{Rules: clientrules.Curl()}}
	r := probetest.Attempt(t, p, 5*time.Second)
	probetest.WantEnd(t, r, probe.ProxyFailed, probe.NoPhase, "https_proxy is not the URL of a proxy")
	told, err := p.Remarks(p.URL)
	if err == nil || !slices.Equal(told, r.Notes) {
		t.Errorf("without an attempt: %q, %v, want %q and an error", told, err, r.Notes)
	}
	if strings.Contains(r.Why+strings.Join(r.Notes, " ")+err.Error(), "hunter") {
		t.Errorf("why = %q, notes = %q, error %v", r.Why, r.Notes, err)
	}
}

// The WebSocket of codex uses HTTP_PROXY for a wss URL, its requests do not.
func TestProxyOfTheWebSocket(t *testing.T) {
	withoutVariables(t)
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	s := &Stream{URL: probetest.MustURL(t, "wss://service.test/"), Options: connect.Options{Rules: clientrules.Codex()}}
	r := probetest.Attempt(t, s, 5*time.Second)
	probetest.WantEnd(t, r, probe.ProxyRefused, probe.Connect, "127.0.0.1:1")
	p := &Request{URL: probetest.MustURL(t, "https://service.test/"), Options: s.Options}
	p.Nameservers = probetest.Naming(t)
	if r := probetest.Attempt(t, p, 5*time.Second); r.Proxy != "" {
		t.Errorf("the request went through %s", r.Proxy)
	}
}

func TestRefusalOfAProxy(t *testing.T) {
	withoutVariables(t)
	for _, tt := range []struct {
		name, user string
		offers     []string
		why        string
		warns      []string
		headers    []string
	}{
		{"all schemes are named", "", []string{"Negotiate", "NTLM"}, "got 407 (Negotiate, NTLM): it accepts no password",
			[]string{probe.WarnProxyNoPassword}, []string{"Proxy-Authenticate: Negotiate, NTLM"}},
		{"all schemes of one line", "", []string{`Digest realm="a, b", nonce="x", Basic realm="corp"`},
			": put user:password@ into the proxy's URL", nil, []string{"Proxy-Authenticate: Digest, Basic"}},
		{"no password is accepted, and one was sent", "me:pw@", []string{"Negotiate"}, "was sent and refused, because the proxy accepts no password",
			[]string{probe.WarnProxyNoPassword, probe.WarnProxyCredentials}, []string{"Proxy-Authenticate: Negotiate"}},
		{"credentials are refused", "me:pw@", []string{`Basic realm="corp"`}, `(Basic realm="corp"): the user:password@ of the proxy's URL was sent and refused`,
			[]string{probe.WarnProxyCredentials}, []string{"Proxy-Authenticate: Basic"}},
		{"no scheme at all", "", nil, "got 407 (no scheme): put user:password@", nil, nil},
	} {
		for _, scheme := range []string{"http", "https"} {
			t.Run(tt.name+"/"+scheme, func(t *testing.T) {
				address := probetest.Serving(t, nil, func(w http.ResponseWriter, r *http.Request) {
					for _, offer := range tt.offers {
						w.Header().Add("Proxy-Authenticate", offer)
					}
					w.WriteHeader(http.StatusProxyAuthRequired)
				}).String()
				p := &Request{URL: probetest.MustURL(t, scheme+"://service.test/")}
				p.Proxy = "http://" + tt.user + address
				r := probetest.Attempt(t, p, 5*time.Second)
				if r.Class != probe.ProxyAuthRequired || !strings.Contains(r.Why, tt.why) {
					t.Errorf("got %v %q, want %q in it", r.Class, r.Why, tt.why)
				}
				if !slices.Equal(r.Warnings, tt.warns) || !slices.Equal(r.Headers, tt.headers) {
					t.Errorf("warnings = %q, headers = %q, want %q, %q", r.Warnings, r.Headers, tt.warns, tt.headers)
				}
			})
		}
	}
}

// What the client alone trusts is no failure, but a remark. A file that it cannot use is one too, and harms nothing
// else.
func TestTrustOfTheClient(t *testing.T) {
	withoutVariables(t)
	ca, foreign := probetest.NewAuthority(t, "Test Root"), probetest.NewAuthority(t, "Another Root")
	cert := ca.Issue(t, nil)
	server := probetest.Serving(t, &cert, probetest.Answering(200, ""))
	text, err := os.ReadFile(ca.File)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	broken := "-----BEGIN CERTIFICATE-----\nMIIBaaaa\n-----END CERTIFICATE-----\n"
	trusted := strings.ReplaceAll(string(text), " CERTIFICATE-", " TRUSTED CERTIFICATE-")
	for _, tt := range []struct {
		name string
		env  []string
		ok   bool
		warn string
		note string
	}{
		{"CODEX_CA_CERTIFICATE", []string{"CODEX_CA_CERTIFICATE=" + ca.File}, true, clientrules.TrustedByAgentOnly,
			`codex trusts the certificate's issuer "CN=Test Root" by CODEX_CA_CERTIFICATE (` + ca.File + ")"},
		{"it comes before SSL_CERT_FILE", []string{"CODEX_CA_CERTIFICATE=" + ca.File, "SSL_CERT_FILE=" + foreign.File}, true,
			clientrules.TrustedByAgentOnly, "by CODEX_CA_CERTIFICATE"},
		{"SSL_CERT_FILE", []string{"SSL_CERT_FILE=" + ca.File}, true, clientrules.TrustedByAgentOnly, "by SSL_CERT_FILE (" + ca.File},
		{"a trusted certificate", []string{"CODEX_CA_CERTIFICATE=" + write("trusted.pem", trusted)}, true,
			clientrules.TrustedByAgentOnly, "by CODEX_CA_CERTIFICATE"},
		{"not read by codex", []string{"NODE_EXTRA_CA_CERTS=" + ca.File}, false, "", ""},
		{"another authority", []string{"CODEX_CA_CERTIFICATE=" + foreign.File}, false, "", ""},
		{"a directory", []string{"CODEX_CA_CERTIFICATE=" + dir}, false, clientrules.UnusableBundle,
			"CODEX_CA_CERTIFICATE names " + dir + ", which is a directory, so codex ignores it"},
		{"a named pipe", []string{"CODEX_CA_CERTIFICATE=" + pipe}, false, clientrules.UnusableBundle,
			"is a named pipe, and codex waits for it for ever"},
		{"missing", []string{"SSL_CERT_FILE=" + dir + "/none"}, false, clientrules.UnusableBundle, "does not exist"},
		{"empty", []string{"CODEX_CA_CERTIFICATE=" + write("empty.pem", "")}, false, clientrules.UnusableBundle, "holds no certificate"},
		{"half a certificate", []string{"CODEX_CA_CERTIFICATE=" + write("half.pem", string(text)+string(text[:len(text)/2]))}, false,
			clientrules.UnusableBundle, "is damaged or cut off: 1 of its 2 certificates can be read"},
		{"a damaged certificate", []string{"CODEX_CA_CERTIFICATE=" + write("damaged.pem", broken+string(text))}, false,
			clientrules.UnusableBundle, "1 of its 2 certificates can be read"},
		{"a device that never ends", []string{"CODEX_CA_CERTIFICATE=/dev/zero"}, false, clientrules.UnusableBundle, "is not a regular file"},
		{"a value of 64 KB", []string{"CODEX_CA_CERTIFICATE=/" + strings.Repeat("x", 64<<10)}, false, clientrules.UnusableBundle,
			"cannot be opened (file name too long), so codex ignores it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, entry := range tt.env {
				name, value, _ := strings.Cut(entry, "=")
				t.Setenv(name, value)
			}
			p := new(Request)
			p.URL, p.Options = at(t, "https", server, "/")
			p.Rules = clientrules.Codex()
			r := probetest.Attempt(t, p, 5*time.Second)
			if want := map[bool]probe.Class{true: probe.OK, false: probe.TLSAuthorityInvalid}[tt.ok]; r.Class != want {
				t.Errorf("got %v %q, want %v", r.Class, r.Why, want)
			}
			if tt.warn == "" && len(r.Warnings) > 0 || tt.warn != "" && !slices.Contains(r.Warnings, tt.warn) {
				t.Errorf("warnings = %q, want %q", r.Warnings, tt.warn)
			}
			told, err := p.Remarks(p.URL)
			if isFatal := strings.Contains(tt.note, "for ever"); (err != nil) != isFatal ||
				tt.warn == clientrules.UnusableBundle && !slices.Equal(told, r.Notes) {
				t.Errorf("without an attempt: %q, %v, want %q", told, err, r.Notes)
			}
			if notes := strings.Join(r.Notes, "; "); !strings.Contains(notes, tt.note) || len(notes) > 1000 {
				t.Errorf("notes = %.1000q, want %q in it", notes, tt.note)
			}
		})
	}
}
