package world

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"text/template"
	"time"

	"netwatchd/internal/lab/parts"
)

// A site is what the nginx servers beyond the gateway do.
type site struct {
	Open    bool // the service's port
	Answer  string
	Headers []string
	Type    string          // of the answer's body; empty: text/html
	Upgrade string          // nginx's own answer to a WebSocket request; empty: it is passed on
	Idle    time.Duration   // after which nginx closes a stream
	Down    map[string]bool // controls, by name
	Portal  string
	Behind  time.Duration // how far all clocks are behind
}

// usual is a healthy network: the mock answers for the service.
var usual = site{Open: true, Idle: 30 * time.Second, Portal: "200 \"<html><title>Welcome to our wireless network</title></html>\""}

const nginxHead = `
daemon off;
user root root; # the only user of the namespace
master_process off; # one process, so that a kill is complete
env FAKETIME; # nginx would drop it, and libfaketime reads it every ten seconds
error_log stderr warn;
events {}
http {
  access_log off;
  default_type text/html;
  client_body_temp_path {{.Dir}}; proxy_temp_path {{.Dir}}; fastcgi_temp_path {{.Dir}}; uwsgi_temp_path {{.Dir}};
  scgi_temp_path {{.Dir}};
`

// The controls and the captive portal.
var controlsConf = template.Must(template.New("").Parse("pid {{.Dir}}/controls.pid;" + nginxHead + `
{{- range .Controls}}{{if not (index $.Site.Down .Name)}}
  server {
{{- if eq .Name "gamma.example"}}
    listen {{.IPv4}}:443 ssl http2; listen [{{.IPv6}}]:443 ssl http2;
    ssl_certificate {{$.Dir}}/control.pem; ssl_certificate_key {{$.Dir}}/control.key;
{{- else}}
    listen {{.IPv4}}:80; listen [{{.IPv6}}]:80;
{{- end}}
    location = /generate_204 { return 204; }
    location = /success.txt { return 200 "success\n"; }
  }
{{- end}}{{end}}
  server {
    listen 0.0.0.0:8080; listen [::]:8080; listen {{.PortalAddress}}:80;
    listen 0.0.0.0:8443 ssl; listen [::]:8443 ssl; listen {{.PortalAddress}}:443 ssl;
    ssl_certificate {{.Dir}}/portal.pem; ssl_certificate_key {{.Dir}}/portal.key;
    location / { return {{.Site.Portal}}; }
  }
}
`))

// The service, and a port that shows when nginx is ready.
var serviceConf = template.Must(template.New("").Parse("pid {{.Dir}}/service.pid;" + nginxHead + `
  map $http_upgrade $connection_or_upgrade { default upgrade; "" close; }
  proxy_http_version 1.1;
  proxy_set_header Host $host;
  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection $connection_or_upgrade;
  proxy_buffering off;
  proxy_read_timeout {{.Site.Idle.Milliseconds}}ms;
  server { listen {{.IPv4}}:81; }
{{- if .Site.Open}}
  server {
    listen {{.IPv4}}:443 ssl http2; listen [{{.IPv6}}]:443 ssl http2;
    ssl_certificate {{.Dir}}/service.pem; ssl_certificate_key {{.Dir}}/service.key;
    location = {{.Path}} {
{{- range .Site.Headers}}
      add_header {{.}} always;
{{- end}}
{{- if .Site.Upgrade}}
      if ($http_upgrade) { return {{.Site.Upgrade}}; }
{{- end}}
{{- if .Site.Type}}
      default_type {{.Site.Type}};
{{- end}}
{{- if .Site.Answer}}
      return {{.Site.Answer}};
{{- else}}
      proxy_pass http://unix:{{.Dir}}/mock.sock;
{{- end}}
    }
    location / { proxy_pass http://unix:{{.Dir}}/mock.sock; }
  }
{{- end}}
}
`))

// serve starts all servers beyond the gateway.
func (w *World) serve() {
	w.t.Helper()
	w.authority.Write(w.file("ca.pem"))
	w.authority.Issue(w.file("service"), parts.Valid, ServiceName)
	w.authority.Issue(w.file("control"), parts.Valid, Controls[2].Name)
	w.stranger.Issue(w.file("portal"), parts.BySelf, "portal.example")
	w.answerBehind()
	w.serveNames()
	w.sites, w.service = w.nginx("controls"), w.nginx("service")
	w.serveControls()
	w.serveService()
}

func (w *World) nginx(name string) *parts.Server {
	w.t.Helper()
	server := &parts.Server{In: w.Beyond, Path: parts.Program(w.t, "nginx", "nginx-light"),
		Args: []string{"-p", w.Dir, "-c", w.file(name + ".conf"), "-e", "stderr"}}
	w.t.Cleanup(server.Stop)
	return server
}

func (w *World) file(name string) string { return filepath.Join(w.Dir, name) }

func (w *World) serveControls() {
	w.t.Helper()
	w.serveWeb(w.sites, "controls.conf", controlsConf, PortalAddress+":80")
}

func (w *World) serveService() {
	w.t.Helper()
	w.serveWeb(w.service, "service.conf", serviceConf, ServiceIPv4+":81")
}

// serveWeb starts or restarts an nginx with the current configuration. nginx binds all addresses before it accepts on
// any, so the address that is always configured shows when all are ready.
func (w *World) serveWeb(server *parts.Server, conf string, tmpl *template.Template, readyAt string) {
	w.t.Helper()
	server.Stop()
	server.Via = w.behind()
	parts.Write(w.t, w.file(conf), tmpl, map[string]any{"Dir": w.Dir, "Controls": Controls, "Site": w.site,
		"IPv4": ServiceIPv4, "IPv6": ServiceIPv6, "Path": ServicePath, "PortalAddress": PortalAddress})
	server.Start(w.t)
	server.Await(w.t, func() error {
		return w.Beyond.Do(func() error {
			conn, err := net.DialTimeout("tcp", readyAt, time.Second)
			if err == nil {
				conn.Close()
			}
			return err
		})
	})
}

// change changes the site and restarts its servers with serve; both are undone when the test ends.
func (w *World) change(serve func(), change func(*site)) {
	w.t.Helper()
	before := w.site
	w.t.Cleanup(func() { w.site = before; serve() })
	change(&w.site)
	serve()
}

// A slowness is how long the service behind nginx takes to answer, how many requests it got, and every how many it fails.
type slowness struct {
	atomic.Int64
	asked     atomic.Int64
	failEvery atomic.Int64 // zero: none
}

// answerBehind starts the mock where the service's nginx forwards requests to.
func (w *World) answerBehind() {
	w.t.Helper()
	os.Remove(w.file("mock.sock"))
	listener, err := net.Listen("unix", w.file("mock.sock"))
	w.must(err)
	server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked := w.delay.asked.Add(1)
		if n := w.delay.failEvery.Load(); n > 0 && asked%n == 0 {
			rw.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		select {
		case <-time.After(time.Duration(w.delay.Load())):
			w.answer(rw, r)
		case <-r.Context().Done():
		}
	})}
	go server.Serve(listener)
	w.t.Cleanup(func() { server.Close() })
}

// ServiceAnswers changes the service's answer to any request: a status, perhaps with a body, and headers as in "Allow:
// POST".
func (w *World) ServiceAnswers(status int, headers ...string) {
	w.t.Helper()
	w.change(w.serveService, func(s *site) {
		s.Answer = fmt.Sprint(status)
		for _, header := range headers {
			name, value, _ := strings.Cut(header, ": ")
			s.Headers = append(s.Headers[:len(s.Headers):len(s.Headers)], fmt.Sprintf("%s %q", name, value))
		}
	})
}

// ServiceAnswersJSON changes the service's answer to any request: a status and a body.
func (w *World) ServiceAnswersJSON(status int, body string) {
	w.t.Helper()
	w.change(w.serveService, func(s *site) {
		s.Answer, s.Type = fmt.Sprintf("%d '%s'", status, body), "application/json"
	})
}

// DelayService delays the service's answers.
func (w *World) DelayService(d time.Duration) {
	w.delay.Store(int64(d))
	w.t.Cleanup(func() { w.delay.Store(0) })
}

// FailEvery makes the service fail every nth request, whatever it is for: one of n servers behind a load balancer is broken.
func (w *World) FailEvery(n int64) {
	w.delay.failEvery.Store(n)
	w.t.Cleanup(func() { w.delay.failEvery.Store(0) })
}

// AwaitRequest waits for the next request to the service.
func (w *World) AwaitRequest() {
	w.t.Helper()
	before := w.delay.asked.Load()
	w.must(parts.Eventually(time.Minute, func() error {
		if w.delay.asked.Load() == before {
			return errors.New("the service got no request")
		}
		return nil
	}))
}

// CloseService closes the service's port.
func (w *World) CloseService() {
	w.t.Helper()
	w.change(w.serveService, func(s *site) { s.Open = false })
}

// CloseControls closes the ports of the first n controls.
func (w *World) CloseControls(n int) {
	w.t.Helper()
	w.change(w.serveControls, func(s *site) {
		s.Down = make(map[string]bool)
		for _, control := range Controls[:n] {
			s.Down[control.Name] = true
		}
	})
}

// ServiceCertificate changes the service's certificate.
func (w *World) ServiceCertificate(kind parts.Certificate) {
	w.t.Helper()
	w.show("service", w.serveService, kind, ServiceName)
}

// Inspect imitates TLS inspection: certificates of another authority, for the service, and for the controls too if all
// is set.
func (w *World) Inspect(all bool) {
	w.t.Helper()
	if all {
		w.show("control", w.serveControls, parts.ByAnotherAuthority, Controls[2].Name)
	}
	w.show("service", w.serveService, parts.ByAnotherAuthority, ServiceName)
}

func (w *World) show(stem string, serve func(), kind parts.Certificate, name string) {
	w.t.Helper()
	signer := w.authority
	if kind == parts.ByAnotherAuthority {
		signer = w.stranger
	}
	w.t.Cleanup(func() { w.authority.Issue(w.file(stem), parts.Valid, name); serve() })
	signer.Issue(w.file(stem), kind, name)
	serve()
}

// Portal makes the gateway answer every web request itself: "200", "302 http://portal.example/".
func (w *World) Portal(answer string) {
	w.t.Helper()
	w.change(w.serveControls, func(s *site) { s.Portal = answer })
	w.nat("tcp dport 80 redirect to :8080", "tcp dport 443 redirect to :8443")
}

// PortalForTLS makes the gateway answer all TLS connections itself.
func (w *World) PortalForTLS() {
	w.t.Helper()
	w.nat("tcp dport 443 redirect to :8443")
}
