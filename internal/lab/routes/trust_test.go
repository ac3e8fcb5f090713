package routes

import (
	"crypto/tls"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"netwatchd/internal/lab/parts"
)

// A trustStore is a directory with what the names in testdata/trust.tsv stand for, and two servers' certificates.
type trustStore struct {
	dir   string
	paths *strings.Replacer // the names
	certs map[string]tls.Certificate
}

// newTrustStore also makes authority S one of this host's, and Y, which signs nothing.
func newTrustStore(t *testing.T) *trustStore {
	t.Helper()
	s := &trustStore{dir: t.TempDir(), certs: map[string]tls.Certificate{}}
	ca := map[string]string{}
	for _, name := range []string{"X", "S", "Y"} {
		authority := parts.NewAuthority(t, "Authority "+name)
		authority.Write(s.path(name))
		text, err := os.ReadFile(s.path(name))
		if err != nil {
			t.Fatal(err)
		}
		ca[name] = string(text)
		authority.Issue(s.path("leaf-"+name), parts.Valid, "svc.test")
		if s.certs[name], err = tls.LoadX509KeyPair(s.path("leaf-"+name+".pem"), s.path("leaf-"+name+".key")); err != nil {
			t.Fatal(err)
		}
	}
	broken := "-----BEGIN CERTIFICATE-----\nMIIBaaaa\n-----END CERTIFICATE-----\n"
	for name, text := range map[string]string{
		"XHALF": ca["X"] + ca["Y"][:len(ca["Y"])/2], "X+BROKEN": ca["X"] + broken, "BROKEN+X": broken + ca["X"],
		"XTRUSTED": strings.ReplaceAll(ca["X"], " CERTIFICATE-", " TRUSTED CERTIFICATE-"), "EMPTY": "", "GARBAGE": "hello\n",
		"XUNHASHED/x.pem": ca["X"], "EMPTYDIR/x": "", "DIR/x": "",
		"store/ca-certificates.crt": ca["S"] + ca["Y"],
	} {
		if err := os.MkdirAll(filepath.Dir(s.path(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.path(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for dir, name := range map[string]string{"XDIR": "X", "YDIR": "Y", "store": "S"} {
		s.addHashed(t, dir, name)
	}
	if err := syscall.Mkfifo(s.path("FIFO"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount(s.path("store"), "/etc/ssl/certs", "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount("/etc/ssl/certs", 0) })
	var pairs []string
	for _, name := range []string{"XDIR", "XUNHASHED", "YDIR", "EMPTYDIR", "XHALF", "X+BROKEN", "BROKEN+X", "XTRUSTED", "EMPTY",
		"GARBAGE", "FIFO", "NONE", "DIR", "X", "Y", "S"} {
		pairs = append(pairs, "="+name, "="+s.path(name), ":"+name, ":"+s.path(name)) // the longer name first
	}
	s.paths = strings.NewReplacer(pairs...)
	return s
}

func (s *trustStore) path(name string) string { return filepath.Join(s.dir, name) }

// addHashed links an authority into a directory, as c_rehash(1) does.
func (s *trustStore) addHashed(t *testing.T, dir, name string) {
	t.Helper()
	out, err := exec.Command(parts.Program(t, "openssl", "openssl"), "x509", "-hash", "-noout", "-in", s.path(name)).Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(s.path(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(s.path(name), filepath.Join(s.path(dir), strings.TrimSpace(string(out))+".0")); err != nil {
		t.Fatal(err)
	}
}

// oftenTrusted are the rows that are asked of every program in every run of the tests.
var oftenTrusted = []string{
	"", "SSL_CERT_FILE=X", "SSL_CERT_FILE=Y", "SSL_CERT_FILE=NONE", "SSL_CERT_FILE=XHALF", "SSL_CERT_DIR=XDIR",
	"CODEX_CA_CERTIFICATE=X", "CODEX_CA_CERTIFICATE=DIR", "CODEX_CA_CERTIFICATE=X|SSL_CERT_FILE=Y", "NODE_EXTRA_CA_CERTS=X",
	"NODE_TLS_REJECT_UNAUTHORIZED=0",
}

// Real programs trust what testdata of internal/clientrules says, with which the rules are compared.
func TestTrust(t *testing.T) {
	parts.Need(t)
	store := newTrustStore(t)
	n := startNetwork(t, store.certs["X"])
	all := rows(t, "trust.tsv")
	for _, p := range programs(t) {
		column := map[string]string{"reqwest-0.11": "codex-0.104", "reqwest": "codex", "undici": "node",
			"gemini": "node"}[p.column]
		if column == "" {
			column = p.column
		}
		if _, known := all[0][column]; !known {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			asked := 0
			for _, row := range all {
				env := row["environment"]
				if row[column] == "" || p.place == nil && !p.isAskedFor(env, oftenTrusted) ||
					p.place != nil && !slices.Contains(p.placed, env) {
					continue
				}
				asked++
				n.certificate = store.certs[row["server"]]
				got := "no"
				isTarget := func(s sight) bool { return s.host == "svc.test:28443" }
				seen, _ := p.run(t, n, "https://svc.test:28443", strings.Split(store.paths.Replace(env), "|"), isTarget)
				if slices.ContainsFunc(seen, func(s sight) bool { return isTarget(s) && !s.distrusts }) {
					got = "yes"
				}
				if got != row[column] {
					t.Errorf("a certificate by %s, %q: trusted: %s, want %s", row["server"], env, got, row[column])
				}
			}
			if asked < len(oftenTrusted) && (p.place == nil || asked < 2*len(p.placed)) {
				t.Errorf("asked for %d rows only", asked)
			}
		})
	}
}

// netwatchd itself judges as each agent would, and says which variable and file decides.
func TestVerdicts(t *testing.T) {
	parts.Need(t)
	store := newTrustStore(t)
	n := startNetwork(t, store.certs["X"])
	serveNames(t)
	for _, test := range []struct{ service, server, env, cause, says, also string }{
		{"codex", "S", "A=", "healthy", "reachable", ""},
		{"codex", "X", "A=", "interception", "is issued by", ""},
		{"codex", "X", "CODEX_CA_CERTIFICATE=X", "healthy", "reachable", "trusts the certificate's issuer"},
		{"codex", "X", "NODE_EXTRA_CA_CERTS=X", "interception", "CODEX_CA_CERTIFICATE", ""},
		{"codex", "X", "SSL_CERT_FILE=X", "healthy", "reachable", "by SSL_CERT_FILE"},
		{"codex", "S", "SSL_CERT_FILE=X", "agent", "SSL_CERT_FILE (" + store.path("X") + ")", ""},
		{"codex", "S", "CODEX_CA_CERTIFICATE=X|SSL_CERT_FILE=Y", "agent", "SSL_CERT_FILE (" + store.path("Y") + ")", ""},
		{"codex", "S", "SSL_CERT_FILE=NONE", "healthy", "reachable", "does not exist (no such file or directory), so codex ignores it"},
		{"codex", "S", "CODEX_CA_CERTIFICATE=DIR", "healthy", "reachable", "which is a directory, so codex ignores it"},
		{"codex", "X", "CODEX_CA_CERTIFICATE=XHALF", "interception", "is damaged or cut off", ""},
		{"codex", "S", "CODEX_CA_CERTIFICATE=FIFO", "agent", "is a named pipe, and codex waits for it for ever", ""},
		{"claude", "S", "A=", "healthy", "reachable", ""},
		{"claude", "X", "A=", "interception", "NODE_EXTRA_CA_CERTS", ""},
		{"claude", "X", "CODEX_CA_CERTIFICATE=X", "interception", "NODE_EXTRA_CA_CERTS", ""},
		{"claude", "X", "NODE_EXTRA_CA_CERTS=X", "healthy", "reachable", "by NODE_EXTRA_CA_CERTS (" + store.path("X") + ")"},
		{"claude", "X", "NODE_EXTRA_CA_CERTS=XHALF", "healthy", "reachable", "is damaged or cut off"},
		{"claude", "S", "CLAUDE_CODE_CERT_STORE=bundled", "agent", "claude trusts only the CA certificates of its own built-in list", ""},
		{"claude", "X", "NODE_TLS_REJECT_UNAUTHORIZED=0", "healthy", "reachable", "claude accepts every certificate"},
		{"gemini", "S", "A=", "agent", "set NODE_EXTRA_CA_CERTS to that file", ""},
		{"gemini", "S", "NODE_EXTRA_CA_CERTS=S", "healthy", "reachable", ""},
		{"gemini", "S", "NODE_EXTRA_CA_CERTS=Y", "agent", "NODE_EXTRA_CA_CERTS (" + store.path("Y") + ") and its own built-in list", ""},
		{"gemini", "X", "NODE_EXTRA_CA_CERTS=X", "healthy", "reachable", "by NODE_EXTRA_CA_CERTS (" + store.path("X") + ")"},
		{"gemini", "X", "SSL_CERT_FILE=X", "interception", "node does not read it", ""},
		{"gemini", "S", "NODE_EXTRA_CA_CERTS=NONE", "agent", "does not exist", ""},
		{"opencode", "S", "A=", "healthy", "reachable", ""},
		{"opencode", "X", "NODE_EXTRA_CA_CERTS=X", "healthy", "reachable", "opencode trusts the certificate's issuer"},
		{"opencode", "S", "SSL_CERT_DIR=XDIR", "agent", "SSL_CERT_DIR (" + store.path("XDIR") + ")", ""},
		{"opencode", "X", "NODE_EXTRA_CA_CERTS=XHALF", "interception", "so opencode ignores it", ""},
	} {
		n.certificate = store.certs[test.server]
		config := store.path("config.yaml")
		write(t, config, strings.ReplaceAll(trustConfig, "SERVICE", test.service))
		command := parts.Netwatchd{Dir: store.dir, Env: strings.Split(store.paths.Replace(test.env), "|")}
		exit := command.Run(t, "check", "--json", "--config.file="+config)
		var answer struct {
			Services []struct {
				Cause, Title, Note, Advice string
				Also                       []struct{ Title string }
			}
		}
		if err := json.Unmarshal([]byte(exit.Stdout), &answer); err != nil || len(answer.Services) != 1 {
			t.Fatalf("%s: %v\n%s\n%s", test.env, err, exit.Stdout, exit.Stderr)
		}
		v := answer.Services[0]
		var also strings.Builder
		for _, f := range v.Also {
			also.WriteString(f.Title + "\n")
		}
		if said := v.Title + "\n" + v.Note + "\n" + v.Advice; v.Cause != test.cause || !strings.Contains(said, test.says) ||
			!strings.Contains(also.String(), test.also) || test.also == "" && also.String() != "" {
			t.Errorf("%s, by %s, %s:\ngot  %s: %s\nalso %s\nwant %s: %q, also %q", test.service, test.server, test.env, v.Cause, said, also.String(),
				test.cause, test.says, test.also)
		}
	}
}

const trustConfig = `
storage: {path: store-of-netwatchd}
status_file: status.json
defaults: {interval: 30s, timeout: 5s}
resolvers: {system: true, direct: []}
controls:
  - {name: one, url: "http://a.test:28080/", expect: {status: [404]}}
  - {name: two, url: "http://www.svc.test:28080/", expect: {status: [404]}}
services:
  - name: SERVICE
    probes:
      - {name: head, kind: http, target: "https://svc.test:28443/backend-api/codex/responses", method: HEAD,
         expect: {status: [405], headers: {Allow: POST}}}
`
