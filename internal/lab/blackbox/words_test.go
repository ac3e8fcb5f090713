package blackbox

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"netwatchd/internal/lab/stack"
)

// speak answers every HTTP request on a local port with the same bytes, and returns its address.
func speak(t *testing.T, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
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
			go func() {
				defer c.Close()
				_, _ = c.Read(make([]byte, 64<<10))
				_, _ = io.WriteString(c, answer)
			}()
		}
	}()
	return l.Addr().String()
}

// prints is a probe whose command prints text and fails.
func prints(t *testing.T, s *stack.Stack, name, text string) string {
	t.Helper()
	path := filepath.Join(s.Dir, name+".txt")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("      - {name: %s, kind: exec, command: [sh, -c, \"cat %s >&2; exit 1\"]}", name, path)
}

// everywhere is all that a user may see, by where it is, once there is an incident of service.
func everywhere(t *testing.T, s *stack.Stack, d *stack.Daemon, service, config string) map[string]string {
	t.Helper()
	var id string
	d.Await(patience, func() error {
		for _, e := range incidents(t, s) {
			if e.Service == service {
				id = e.ID
				return nil
			}
		}
		return fmt.Errorf("no incident of %s", service)
	})
	if exit := s.Run("incidents", "note", id, strings.ReplaceAll(hostile, "\x00", ""), config); exit.Code != 0 {
		t.Errorf("note: %s", exit.Stderr)
	}
	d.Await(patience, func() error { // looked at a second after it began
		if !strings.Contains(string(get(t, "/api/v1/incidents/"+id)), `"kernel"`) {
			return errors.New("the record has no snapshot")
		}
		return nil
	})
	all := make(map[string]string)
	for _, path := range []string{"/", "/services/" + service, "/incidents", "/incidents/" + id, "/incidents/" + id + "/record.md", "/api/v1/status",
		"/api/v1/results", "/api/v1/incidents", "/api/v1/incidents/" + id, "/api/v1/incidents/" + id + "?format=markdown", "/metrics"} {
		all[path] = string(get(t, path))
	}
	for _, args := range [][]string{{"status"}, {"status", "-v"}, {"status", "--json"}, {"check", "-v"}, {"check", "--json"}, {"incidents"}, {"incidents", "--json"},
		{"explain", id}, {"explain", id, "--json"}, {"config", "show"}} {
		exit := s.Run(append(args, config)...)
		all[strings.Join(args, " ")] = exit.Stdout + exit.Stderr
	}
	bundle := s.Run("explain", id, "--bundle=-", config)
	zipped, err := gzip.NewReader(strings.NewReader(bundle.Stdout))
	if err != nil {
		t.Fatal(err)
	}
	for archive := tar.NewReader(zipped); ; {
		head, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(archive)
		all["bundle: "+head.Name] = string(text)
	}
	all["the log"] = d.Said()
	for _, name := range []string{"status.json", "storage/netwatchd.db", "storage/netwatchd.db-wal"} {
		if text, err := os.ReadFile(filepath.Join(s.Dir, name)); err == nil {
			all[name] = string(text)
		}
	}
	return all
}

// planted is in every secret of TestSecrets.
const planted = "Pl4nt3d"

// Secrets of the environment, of the agent's configuration and sign-in, of URLs and proxies, in whatever a server or a
// command says of them, are nowhere: not in the record, not on the page, not in the store.
func TestSecrets(t *testing.T) {
	s := stack.Start(t)
	odd := planted + ` is "odd" / of it`
	jwt := "eyJhbGciOiJSUzI1NiJ9.eyJ" + planted + "MTIzNDU2.c2ln" + planted
	auth := fmt.Sprintf(`{"OPENAI_API_KEY":"sk-%[1]sKey0000","tokens":{"id_token":"%[2]s","access_token":"%[2]s","refresh_token":"rt_%[1]sRefresh0"}}`, planted, jwt)
	s.Env = []string{"OPENAI_API_KEY=sk-" + planted + "Env00000", "DEPLOY_PASSWORD=" + odd, "CODEX_ACCESS_TOKEN=" + planted + "Access00",
		"CODEX_HOME=" + filepath.Join(s.Dir, ".codex"), "ALL_PROXY=socks5://me:" + planted + "Proxy00@127.0.0.1:9"}
	for name, text := range map[string]string{
		"auth.json": auth,
		"config.toml": fmt.Sprintf(`experimental_bearer_token = "%[1]sBearer00"
[mcp_servers.x]
command = "x"
args = ["--api-key", "%[1]sArg00000"]
env = { INNOCENT = "%[1]sInnocent" }
[model_providers.y]
base_url = "https://me:%[1]sUrl00000@h/v1?api_key=%[1]sQuery000"
http_headers = { X = "%[1]sHeader00" }
`, planted),
	} {
		path := filepath.Join(s.Dir, ".codex", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	fake := filepath.Join(s.Dir, "codex")
	if err := os.WriteFile(fake, []byte("#!/bin/sh\ncase $1 in --version) echo codex-cli 0.169.0;; features) exit 1;; *) cat $HOME/.codex/auth.json >&2; exit 1;; esac\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	quoted, _ := json.Marshal(map[string]string{"said": odd})
	encoded := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	address := speak(t, "HTTP/1.1 500 Oops\r\nX-Request-Id: sk-"+planted+"Id000000\r\nSet-Cookie: s="+planted+"Cookie00\r\nConnection: close\r\n\r\n"+
		`{"error":"token=`+planted+`Body0000", "sent":"`+encoded("Authorization: Bearer "+planted+"Sent0000")+`"}`)
	config := []string{
		"  - name: leaky", "    probes:",
		fmt.Sprintf(`      - {name: url, kind: http, target: "http://%s/?api_key=%sTarget00", method: GET, expect: {status: [200]}, proxy: none}`, address, planted),
		fmt.Sprintf(`      - {name: agent, kind: exec, preset: codex, interval: 1h, timeout: 20s, codex: {path: %s}}`, fake),
	}
	for n, text := range []string{auth, encoded(auth), url.QueryEscape(auth), "password is " + odd, encoded(odd), url.PathEscape(odd), string(quoted),
		"proxy " + s.Env[len(s.Env)-1], "CODEX_ACCESS_TOKEN=" + planted + "Access00", "Authorization: Basic " + encoded("me:"+planted+"Basic000")} {
		config = append(config, prints(t, s, fmt.Sprint("script", n), text))
	}
	args := "--config.file=" + s.Config(config...)
	d := s.Daemon(args)
	d.AwaitReady()
	secrets := []string{planted, encoded(auth), encoded(odd), url.QueryEscape(odd), url.PathEscape(odd), encoded("me:" + planted + "Basic000"),
		encoded("Authorization: Bearer " + planted + "Sent0000")}
	for place, text := range everywhere(t, s, d, "leaky", args) {
		if place == "config show" { // which shows what is written there
			continue
		}
		for _, secret := range secrets {
			if at := strings.Index(text, secret); at >= 0 {
				t.Errorf("%s: %q", place, text[max(at-150, 0):min(at+150, len(text))])
			}
		}
	}
}

// hostile tries to be markup, to move the cursor, to name the window, to turn the direction of writing, and is no
// UTF-8.
const hostile = "<script>alert(1)</script><img src=x onerror=alert(1)> \x1b[2J\x1b]0;title\x07 \u202eright \u2066 \xff\xfe \x00 \x9b31m | `code` [x](javascript:y)"

// Whatever a server or a command sends: a page gets no markup from it, a terminal no escape sequences, and JSON stays
// valid.
func TestHostile(t *testing.T) {
	s := stack.Start(t)
	header := strings.NewReplacer("\x00", "", "\n", "").Replace(hostile)
	odd := speak(t, "HTTP/1.1 200 "+header+"\r\nX-Request-Id: "+header+"\r\nAllow: "+header+"\r\nLocation: javascript:alert(1)\r\nConnection: close\r\n\r\n"+hostile)
	long := speak(t, "HTTP/1.1 200 OK\r\nX-Request-Id: "+strings.Repeat(header, (1<<20)/len(header))+"\r\nConnection: close\r\n\r\n")
	args := "--config.file=" + s.Config("  - name: evil", "    probes:",
		fmt.Sprintf(`      - {name: odd, kind: http, target: "http://%s/", method: GET, expect: {status: [405]}}`, odd),
		fmt.Sprintf(`      - {name: long, kind: http, target: "http://%s/", method: GET, expect: {status: [405]}}`, long),
		prints(t, s, "script", hostile+strings.Repeat(hostile, 1000)))
	d := s.Daemon(args)
	d.AwaitReady()
	for place, text := range everywhere(t, s, d, "evil", args) {
		if strings.HasPrefix(place, "storage/") {
			continue
		}
		if !utf8.ValidString(text) {
			t.Errorf("%s: no UTF-8", place)
		}
		for _, r := range text {
			if unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Cf, r) {
				at := strings.IndexRune(text, r)
				t.Errorf("%s: %q is in it: %q", place, r, text[max(at-80, 0):min(at+80, len(text))])
				break
			}
		}
		switch {
		case strings.Contains(place, "json") || strings.HasPrefix(place, "/api/") && !strings.Contains(place, "markdown"):
			if !json.Valid([]byte(text)) {
				t.Errorf("%s: no JSON", place)
			}
		case strings.HasPrefix(place, "/") && http.DetectContentType([]byte(text)) == "text/html; charset=utf-8":
			for _, markup := range []string{"<script>alert", "<img src=x", `href="javascript:`} {
				if strings.Contains(text, markup) {
					t.Errorf("%s: %s became markup", place, markup)
				}
			}
		}
		if len(text) > 1<<20 {
			t.Errorf("%s: %d bytes", place, len(text))
		}
	}
	// A client can be as hostile.
	if status := ask(t, "X-Request-Id: "+strings.Repeat("x", 1<<20)); !bytes.HasPrefix(status, []byte("HTTP/1.1 431")) {
		t.Errorf("a megabyte of header is answered %.40q", status)
	}
}

// ask requests from the daemon with a header, and returns the beginning of the answer.
func ask(t *testing.T, header string) []byte {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(stack.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go io.WriteString(c, "GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n"+header+"\r\n\r\n")
	answer := make([]byte, 100)
	n, err := c.Read(answer)
	if err != nil {
		t.Fatal(err)
	}
	return answer[:n]
}
