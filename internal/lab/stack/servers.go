package stack

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/miekg/dns"
)

// A Zone is what a nameserver says about the service's name. Every other name beyond the controls' does not exist.
type Zone string

const (
	Right     Zone = "static"          // its addresses
	Missing   Zone = "always_nxdomain" // there is no such name
	BlockList Zone = "always_null"     // 0.0.0.0 and ::
	Silent    Zone = "always_deny"     // nothing
	Refusing  Zone = "always_refuse"
)

var unboundConf = template.Must(template.New("").Parse(`
server:
  interface: {{.Address}}
  access-control: 0.0.0.0/0 allow
  directory: "{{.Dir}}"
  username: ""
  chroot: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  module-config: "iterator"
  local-zone: "." static
  local-zone: "chatgpt.com." {{.Zone}}
{{- if eq .Zone "static"}}
  local-data: "chatgpt.com. A {{.IPv4}}"
  local-data: "chatgpt.com. AAAA {{.IPv6}}"
{{- end}}
{{- range .Controls}}
  local-data: "{{.}}"
{{- end}}
remote-control:
  control-enable: no
`))

var nginxConf = template.Must(template.New("").Parse(`
daemon off;
user root root; # the only user there is in a namespace of one
master_process off; # one process: what is killed is gone
pid {{.Dir}}/nginx.pid;
error_log stderr warn;
events {}
http {
  access_log off;
  client_body_temp_path {{.Dir}}; proxy_temp_path {{.Dir}}; fastcgi_temp_path {{.Dir}}; uwsgi_temp_path {{.Dir}};
  scgi_temp_path {{.Dir}};
{{- range .Controls}}
  server { listen {{.Listen}}:80; location = {{.Path}} { return {{.Answer}}; } }
{{- end}}
{{- if .Open}}
  server {
    listen {{.IPv4}}:443 ssl http2; listen [{{.IPv6}}]:443 ssl http2;
    ssl_certificate {{.Dir}}/service.pem; ssl_certificate_key {{.Dir}}/service.key;
    location = /backend-api/codex/responses {
{{- range .Headers}}
      add_header {{.}} always;
{{- end}}
      return {{.Status}};
    }
  }
{{- end}}
}
`))

// A control is an endpoint whose answer is known: name and address, path, and what nginx returns.
type control struct{ name, address, path, answer, expect string }

var controls = []control{
	{"alpha.example", "203.0.113.21", "/generate_204", "204", "{status: [204]}"},
	{"beta.example", "203.0.113.22", "/success.txt", `200 "success\n"`, `{status: [200], body: "^success"}`},
	{"gamma.example", "203.0.113.23", "/generate_204", "204", "{status: [204]}"},
}

// A server is a process beyond the link.
type server struct {
	t    testing.TB
	path string
	args []string
	cmd  *exec.Cmd
	said bytes.Buffer
}

func (s *server) start() {
	s.t.Helper()
	command := beyond(append([]string{s.path}, s.args...)...)
	s.cmd = exec.Command(command[0], command[1:]...)
	s.said.Reset()
	s.cmd.Stdout, s.cmd.Stderr = &s.said, &s.said
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("starting %s: %v", s.path, err)
	}
}

// stop kills the server; its ports are closed when it returns.
func (s *server) stop() {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Kill()
	s.cmd.Wait()
	s.cmd = nil
}

// await asks until the server answers.
func (s *server) await(answers func() error) {
	s.t.Helper()
	if err := Eventually(5*time.Second, answers); err != nil {
		s.stop()
		s.t.Fatalf("%s does not answer: %v\n%s", filepath.Base(s.path), err, &s.said)
	}
}

func (s *Stack) nameserver(address, name string) *nameserver {
	n := &nameserver{server: server{t: s.t, path: s.programs["unbound"]}, address: address, dir: s.Dir}
	n.conf = filepath.Join(s.Dir, name+".conf")
	n.args = []string{"-d", "-c", n.conf}
	return n
}

type nameserver struct {
	server
	address, dir, conf string
}

// serve starts the nameserver, or starts it again, with what it is to say about the service's name.
func (n *nameserver) serve(zone Zone) {
	n.t.Helper()
	n.stop()
	var data []string
	for _, c := range controls {
		data = append(data, c.name+". A "+c.address)
	}
	write(n.t, n.conf, unboundConf, map[string]any{"Address": n.address, "Dir": n.dir, "Zone": string(zone),
		"IPv4": ServiceAddress, "IPv6": serviceIPv6, "Controls": data})
	n.start()
	client := dns.Client{Timeout: 100 * time.Millisecond} // unbound drops what arrives while it starts
	n.await(func() error {
		question := new(dns.Msg).SetQuestion(controls[0].name+".", dns.TypeA)
		_, _, err := client.Exchange(question, net.JoinHostPort(n.address, "53"))
		return err
	})
}

// serveWeb starts nginx, or starts it again, with what the stack now says.
func (s *Stack) serveWeb() {
	s.t.Helper()
	s.web.stop()
	type site struct{ Listen, Path, Answer string }
	var sites []site
	for _, c := range controls {
		sites = append(sites, site{c.address, c.path, c.answer})
	}
	write(s.t, filepath.Join(s.Dir, "nginx.conf"), nginxConf, map[string]any{"Dir": s.Dir, "Controls": sites, "Open": s.open,
		"IPv4": ServiceAddress, "IPv6": serviceIPv6, "Status": s.status, "Headers": s.headers})
	s.web.start()
	s.web.await(func() error {
		// nginx binds every address before it accepts on any.
		var dialer net.Dialer
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(controls[0].address, "80"))
		if err == nil {
			conn.Close()
		}
		return err
	})
}

func write(t testing.TB, path string, tmpl *template.Template, data any) {
	t.Helper()
	var text bytes.Buffer
	if err := tmpl.Execute(&text, data); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Eventually asks again and again until is says nil or the time is over; then it returns what was said last.
func Eventually(within time.Duration, is func() error) error {
	deadline := time.Now().Add(within)
	for {
		err := is()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %v: %w", within, err)
		}
		time.Sleep(5 * time.Millisecond) // a pause between questions, not what is waited for
	}
}
