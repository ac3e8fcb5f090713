package stack

import (
	"context"
	"net"
	"path/filepath"
	"text/template"
	"time"

	"netwatchd/internal/lab/parts"
)

// A Zone is how a nameserver answers for the service's name.
type Zone = parts.Zone

const (
	Correct   = parts.Correct
	Missing   = parts.Missing
	BlockList = parts.BlockList
	Silent    = parts.Silent
	Refusing  = parts.Refusing
)

// A Certificate is the service's certificate.
type Certificate = parts.Certificate

const (
	Valid              = parts.Valid
	Expired            = parts.Expired
	NotYetValid        = parts.NotYetValid
	OfAnotherName      = parts.OfAnotherName
	ByAnotherAuthority = parts.ByAnotherAuthority
)

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

func (s *Stack) nameserver(address, name string) *parts.Nameserver {
	s.t.Helper()
	records := parts.Records{Name: "chatgpt.com", Answers: []string{"A " + ServiceAddress, "AAAA " + serviceIPv6}}
	for _, c := range controls {
		records.Data = append(records.Data, c.name+". A "+c.address)
	}
	return parts.NewNameserver(s.t, far, s.Dir, name, records, address)
}

// serve starts or restarts n with this answer for the service's name.
func (s *Stack) serve(n *parts.Nameserver, zone Zone) {
	s.t.Helper()
	n.Serve(s.t, zone, func(address string) error { return parts.AskName(address, controls[0].name) })
}

// serveWeb starts or restarts nginx with the stack's current configuration.
func (s *Stack) serveWeb() {
	s.t.Helper()
	s.web.Stop()
	type site struct{ Listen, Path, Answer string }
	var sites []site
	for _, c := range controls {
		sites = append(sites, site{c.address, c.path, c.answer})
	}
	parts.Write(
		s.t,
		filepath.Join(s.Dir, "nginx.conf"),
		nginxConf,
		map[string]any{"Dir": s.Dir, "Controls": sites, "Open": s.open,
			"IPv4": ServiceAddress, "IPv6": serviceIPv6, "Status": s.status, "Headers": s.headers},
	)
	s.web.Start(s.t)
	s.web.Await(s.t, func() error {
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
