package routes

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/responses"
	"netwatchd/internal/presets"
)

// The namespaces have only a loopback interface and an own /etc/hosts, so that every name is here.
func TestMain(m *testing.M) { parts.Main(m, furnish) }

// every asks for each row of testdata, which takes ten minutes; otherwise only some are asked of the slow programs.
var every = flag.Bool("every", false, "ask every program for every row")

const hostsFile = `127.0.0.1 localhost svc.test www.svc.test a.test chatgpt.com api.openai.com api.anthropic.com
`

func furnish(dir string) error {
	var here *parts.Namespace
	if err := here.Run("", "ip", "link", "set", "lo", "up"); err != nil {
		return err
	}
	hosts := filepath.Join(dir, "hosts")
	if err := os.WriteFile(hosts, []byte(hostsFile), 0o644); err != nil {
		return err
	}
	if err := syscall.Mount(hosts, "/etc/hosts", "", syscall.MS_BIND, ""); err != nil {
		return err
	}
	resolv := filepath.Join(dir, "resolv.conf")
	if err := os.WriteFile(resolv, []byte("nameserver 127.0.0.1\n"), 0o644); err != nil {
		return err
	}
	return syscall.Mount(resolv, "/etc/resolv.conf", "", syscall.MS_BIND, "")
}

// serveNames is the nameserver: the names of hostsFile are here, others do not exist.
func serveNames(t *testing.T) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		for buffer := make([]byte, 1500); ; {
			size, peer, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			if answer, err := answerName(buffer[:size]); err == nil {
				conn.WriteTo(answer, peer)
			}
		}
	}()
}

func answerName(query []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil || len(m.Questions) != 1 {
		return nil, errors.New("not a query")
	}
	q := m.Questions[0]
	m.Header = dnsmessage.Header{ID: m.ID, Response: true, RecursionDesired: true, RecursionAvailable: true}
	m.Additionals = nil
	switch known := slices.Contains(strings.Fields(hostsFile), strings.TrimSuffix(strings.ToLower(q.Name.String()), ".")); {
	case !known:
		m.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA:
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60},
			Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
		}}
	}
	return m.Pack()
}

// A network is the service and two proxies, all on the loopback address. It records who got the requests.
type network struct {
	mock        responses.Server
	certificate tls.Certificate

	mu   sync.Mutex
	seen []sight
}

// A sight is one request, or a TLS handshake that the client gave up.
type sight struct {
	at        string // "direct", "P", "Q"
	host      string
	path      string
	login     string // Proxy-Authorization
	upgrade   bool
	distrusts bool
}

func (n *network) record(s sight) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen = append(n.seen, s)
}

func (n *network) sights() []sight {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.seen)
}

func (n *network) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen = nil
}

// serve serves on an address until the end of the test.
func (n *network) serve(t *testing.T, address string, handle func(net.Conn)) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go handle(c)
		}
	}()
}

func startNetwork(t *testing.T, certificate tls.Certificate) *network {
	t.Helper()
	parts.Need(t)
	n := &network{certificate: certificate}
	n.serve(t, "127.0.0.1:28080", func(c net.Conn) { n.http(c, "direct") })
	for _, port := range []string{"28443", "443"} {
		n.serve(t, "127.0.0.1:"+port, func(c net.Conn) { n.secure(c, "direct", "svc.test:"+port) })
	}
	n.serve(t, "127.0.0.1:3901", func(c net.Conn) { n.http(c, "P") })
	n.serve(t, "127.0.0.1:3902", func(c net.Conn) { n.http(c, "Q") })
	return n
}

// http serves the requests of a connection, which may be a proxy's.
func (n *network) http(c net.Conn, at string) {
	defer c.Close()
	reader := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		if r.Method == http.MethodConnect {
			n.record(sight{at: at, host: r.Host, path: "CONNECT", login: r.Header.Get("Proxy-Authorization")})
			io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			if strings.HasSuffix(r.Host, ":80") || strings.HasSuffix(r.Host, ":28080") {
				n.http(c, at)
			} else {
				n.secure(c, at, r.Host)
			}
			return
		}
		n.answer(c, r, at)
	}
}

func (n *network) answer(c net.Conn, r *http.Request, at string) {
	n.record(sight{at: at, host: r.Host, path: r.URL.Path, login: r.Header.Get("Proxy-Authorization"),
		upgrade: r.Header.Get("Upgrade") != ""})
	w := &recorder{header: http.Header{}}
	n.mock.ServeHTTP(w, r)
	response := &http.Response{StatusCode: max(w.status, 200), ProtoMajor: 1, ProtoMinor: 1, Header: w.header,
		Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r}
	response.Write(c)
}

func (n *network) secure(c net.Conn, at, host string) {
	defer c.Close()
	s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{n.certificate}, NextProtos: []string{"http/1.1"}})
	err := s.Handshake()
	if err == nil {
		// A TLS 1.3 client rejects a certificate after the server's handshake is over.
		reader := bufio.NewReader(s)
		_, err = reader.Peek(1)
		if err == nil {
			for {
				r, err := http.ReadRequest(reader)
				if err != nil {
					return
				}
				n.answer(s, r, at)
			}
		}
	}
	if strings.Contains(err.Error(), "certificate") || strings.Contains(err.Error(), "unknown") {
		n.record(sight{at: at, host: host, path: err.Error(), distrusts: true})
	}
}

type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(s int)           { r.status = s }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
func (r *recorder) Flush()                      {}

// A program is a real client. Its rules have a column in testdata of internal/clientrules.
type program struct {
	name    string
	column  string
	command func(t *testing.T, url string) (argv, env []string)
	// place writes the variables of a row into a file of the program's, below its home; nil: they are in the environment.
	// Placed are the rows about certificates that are tried so.
	place  func(t *testing.T, home string, env []string)
	placed []string
	failed string // in its output, if its request failed and it would try again for ever; empty: it ends
	rarely bool   // -every does not ask it for every row: it takes many seconds to start
}

// isAskedFor reports whether this run of the tests asks the program for a row. Often are those of every run.
func (p program) isAskedFor(environment string, often []string) bool {
	return slices.Contains(often, environment) || *every && !p.rarely
}

// A run takes a few seconds, on a busy machine half a minute. A program that opens a named pipe waits for ever.
const (
	programLimit = 3 * time.Minute
	pipeLimit    = 15 * time.Second
)

func limitWith(env []string) time.Duration {
	if slices.ContainsFunc(env, func(v string) bool { return strings.HasSuffix(v, "/FIFO") }) {
		return pipeLimit
	}
	return programLimit
}

// run starts the program and returns what was seen as soon as enough says so, or at its end.
func (p program) run(t *testing.T, n *network, url string, env []string, enough func(sight) bool) (seen []sight, output string) {
	t.Helper()
	n.forget()
	argv, own := p.command(t, url)
	limit := limitWith(env)
	if p.place != nil {
		p.place(t, homeIn(own), env)
		env = nil
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = t.TempDir()
	cmd.Env = slices.Concat([]string{"PATH=" + os.Getenv("PATH"), "TERM=dumb"}, own, env)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var said parts.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	for {
		select {
		case <-ended:
			return n.sights(), said.String()
		case <-time.After(20 * time.Millisecond):
			hasFailed := p.failed != "" && strings.Contains(said.String(), p.failed)
			if hasFailed || slices.ContainsFunc(n.sights(), enough) {
				cancel()
				<-ended
				return n.sights(), said.String()
			}
		}
	}
}

// codexHome is a CODEX_HOME outside $TMPDIR with one provider.
func codexHome(t *testing.T, url string) string {
	t.Helper()
	home, err := os.MkdirTemp("/var/tmp", "netwatchd-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	if url == "" { // codex's own provider
		if err := responses.SignIn(home); err != nil {
			t.Fatal(err)
		}
		return home
	}
	text := fmt.Sprintf("model_provider = \"lab\"\n[model_providers.lab]\nname = \"lab\"\nbase_url = %q\n"+
		"wire_api = \"responses\"\nenv_key = \"LAB_KEY\"\nrequest_max_retries = 0\nstream_max_retries = 0\n"+
		"[features]\nunbounded_connection_retries = false\n", url+"/v1")
	if err := os.WriteFile(filepath.Join(home, "config.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return home
}

func codex(t *testing.T, version string) program {
	path, err := presets.Named("codex").Find(findCodex(t, version))
	if err != nil {
		t.Fatal(err)
	}
	return program{
		name: "codex " + version, column: "reqwest-0.11",
		command: func(t *testing.T, url string) (argv, env []string) {
			home := codexHome(t, url)
			return []string{path, "exec", "--json", "--skip-git-repo-check", "-s", "read-only", "Say OK"},
				[]string{"CODEX_HOME=" + home, "HOME=" + home, "LAB_KEY=sk-test"}
		},
	}
}

func findCodex(t *testing.T, version string) string {
	for _, dir := range filepath.SplitList(os.Getenv("NETWATCHD_TEST_CODEX_DIRS")) {
		if filepath.Base(dir) == version {
			return filepath.Join(dir, "node_modules/.bin/codex")
		}
	}
	return parts.Codex(t, version)
}

func curl(t *testing.T) program {
	path, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("needs curl: apt-get install curl")
	}
	return program{name: "curl", column: "curl", command: func(_ *testing.T, url string) (argv, env []string) {
		return []string{path, "-sS", "-m", "10", url + "/v1/responses"}, nil
	}}
}

// claude is the program that NETWATCHD_TEST_CLAUDE names.
func claude(path string) program {
	return program{name: "claude", column: "claude", command: func(t *testing.T, url string) (argv, env []string) {
		return []string{path, "-p", "Reply OK", "--output-format", "json"}, []string{"HOME=" + t.TempDir(),
			"ANTHROPIC_BASE_URL=" + url, "ANTHROPIC_API_KEY=sk-ant-dummy", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1",
			"DISABLE_AUTOUPDATER=1", "CLAUDE_CODE_MAX_RETRIES=0"}
	}}
}

// claudeBySettings is claude with the variables in its settings file.
func claudeBySettings(path string) program {
	p := claude(path)
	p.name += " by settings.json"
	// SSL_CERT_FILE and SSL_CERT_DIR do not count there.
	p.placed = []string{"NODE_EXTRA_CA_CERTS=X", "NODE_TLS_REJECT_UNAUTHORIZED=0", "CLAUDE_CODE_CERT_STORE=bundled"}
	p.place = func(t *testing.T, home string, env []string) {
		text, err := json.Marshal(map[string]any{"env": variables(env)})
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(home, ".claude", "settings.json"), string(text))
	}
	return p
}

// geminiByDotenv is gemini with the variables in its .env.
func geminiByDotenv(path string) program {
	p := gemini(path)
	p.name += " by .env"
	p.placed = []string{"NODE_TLS_REJECT_UNAUTHORIZED=0"} // node reads NODE_EXTRA_CA_CERTS before gemini reads its file
	p.place = func(t *testing.T, home string, env []string) {
		write(t, filepath.Join(home, ".gemini", ".env"), strings.Join(env, "\n")+"\n")
	}
	return p
}

func variables(env []string) map[string]string {
	all := map[string]string{}
	for _, entry := range env {
		if name, value, found := strings.Cut(entry, "="); found {
			all[name] = value
		}
	}
	return all
}

// homeIn returns the value of HOME in an environment.
func homeIn(env []string) string { return variables(env)["HOME"] }

// undici is node with the package in the directory that NETWATCHD_TEST_UNDICI names.
func undici(t *testing.T, dir string) program {
	script := filepath.Join(t.TempDir(), "get.cjs")
	text := fmt.Sprintf(`const {EnvHttpProxyAgent, fetch} = require(%q);
fetch(process.argv[2] + "/v1/responses", {dispatcher: new EnvHttpProxyAgent()}).then(r => r.text(), e => console.log(e))`,
		filepath.Join(dir, "node_modules/undici"))
	write(t, script, text)
	return program{name: "undici", column: "undici", command: func(_ *testing.T, url string) (argv, env []string) {
		return []string{"node", script, url}, nil
	}}
}

// gemini is the program that NETWATCHD_TEST_GEMINI names.
func gemini(path string) program {
	return program{name: "gemini", column: "gemini", command: func(t *testing.T, url string) (argv, env []string) {
		home := t.TempDir()
		write(t, filepath.Join(home, ".gemini", "settings.json"), `{"security":{"auth":{"selectedType":"gemini-api-key"}},
			"general":{"maxAttempts":1,"retryFetchErrors":false,"enableAutoUpdate":false},
			"privacy":{"usageStatisticsEnabled":false}}`)
		return []string{path, "-p", "Say OK", "--output-format", "json", "--skip-trust", "-m", "gemini-2.5-flash"},
			[]string{"HOME=" + home, "TMPDIR=" + home, "GOOGLE_GEMINI_BASE_URL=" + url, "GEMINI_API_KEY=dummy"}
	}}
}

// opencode is the program that NETWATCHD_TEST_OPENCODE names.
func opencode(path string) program {
	p := program{name: "opencode", column: "bun", failed: "error.error=", rarely: true}
	p.command = func(t *testing.T, url string) (argv, env []string) {
		home := t.TempDir()
		write(t, filepath.Join(home, ".config", "opencode", "opencode.json"), fmt.Sprintf(`{"model":"lab/m",
			"small_model":"lab/m","provider":{"lab":{"npm":"@ai-sdk/openai-compatible","options":{"baseURL":%q,"apiKey":"x"},
				"models":{"m":{"name":"m"}}}},
			"agent":{"probe":{"mode":"primary","steps":1,"prompt":"Be brief.","tools":{"*":false}}}}`, url+"/v1"))
		return []string{path, "run", "--format", "json", "--title", "probe", "--agent", "probe", "--pure", "--print-logs",
				"--log-level", "INFO", "Say OK"},
			[]string{"HOME=" + home, "OPENCODE_DISABLE_MODELS_FETCH=1", "OPENCODE_DISABLE_AUTOUPDATE=1",
				"OPENCODE_DISABLE_LSP_DOWNLOAD=1"}
	}
	return p
}

// bun is opencode's runtime alone: its fetch, which opencode uses. It takes a hundredth of the time.
func bun(t *testing.T, opencode string) program {
	script := filepath.Join(t.TempDir(), "get.js")
	write(t, script, `await fetch(process.argv[2] + "/v1/responses").catch(console.log)`)
	return program{name: "bun", column: "bun", command: func(t *testing.T, url string) (argv, env []string) {
		return []string{opencode, script, url}, []string{"HOME=" + t.TempDir(), "BUN_BE_BUN=1"}
	}}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// programs are those that are asked: both versions of codex and curl, and what the environment names.
func programs(t *testing.T) []program {
	t.Helper()
	all := []program{codex(t, "0.104.0"), codex(t, "0.169.0"), curl(t)}
	all[1].column = "reqwest"
	if path := os.Getenv("NETWATCHD_TEST_CLAUDE"); path != "" {
		all = append(all, claude(path), claudeBySettings(path))
	}
	if dir := os.Getenv("NETWATCHD_TEST_UNDICI"); dir != "" {
		all = append(all, undici(t, dir))
	}
	if path := os.Getenv("NETWATCHD_TEST_GEMINI"); path != "" {
		all = append(all, gemini(path), geminiByDotenv(path))
	}
	if path := os.Getenv("NETWATCHD_TEST_OPENCODE"); path != "" {
		all = append(all, bun(t, path), opencode(path))
	}
	for _, dir := range filepath.SplitList(os.Getenv("NETWATCHD_TEST_CODEX_DIRS")) {
		newer := codex(t, filepath.Base(dir))
		newer.column = "reqwest"
		all = append(all, newer)
	}
	return all
}
