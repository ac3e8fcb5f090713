package parts

import (
	"net"
	"path/filepath"
	"testing"
	"text/template"
	"time"

	"github.com/miekg/dns"
)

// A Zone is how a nameserver answers for the service's name. Names that it is not given do not exist.
type Zone string

const (
	Correct   Zone = "static"          // its addresses
	Missing   Zone = "always_nxdomain" // NXDOMAIN
	BlockList Zone = "always_null"     // 0.0.0.0 and ::
	Silent    Zone = "always_deny"     // no answer
	Refusing  Zone = "always_refuse"   // REFUSED
)

var unboundConf = template.Must(template.New("").Parse(`
server:
{{- range .Addresses}}
  interface: {{.}}
{{- end}}
  access-control: 0.0.0.0/0 allow
  access-control: ::/0 allow
  directory: "{{.Dir}}"
  username: ""
  chroot: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  module-config: "iterator"
  local-zone: "." static
  local-zone: "{{.Name}}." {{.Zone}}
{{- if eq .Zone "static"}}
{{- range .Answers}}
  local-data: "{{$.Name}}. {{.}}"
{{- end}}
{{- end}}
{{- range .Data}}
  local-data: "{{.}}"
{{- end}}
remote-control:
  control-enable: no
`))

// Records are a nameserver's data: the service's name with its addresses, as in "A 203.0.113.10", and further full
// records.
type Records struct {
	Name    string
	Answers []string
	Data    []string
}

// A Nameserver is an unbound.
type Nameserver struct {
	Server
	addresses []string
	dir, conf string
	records   Records
}

// NewNameserver returns a nameserver at addresses of a namespace; Serve starts it.
func NewNameserver(t testing.TB, in *Namespace, dir, name string, records Records, addresses ...string) *Nameserver {
	t.Helper()
	n := &Nameserver{addresses: addresses, dir: dir, conf: filepath.Join(dir, name+".conf"), records: records}
	n.Server = Server{In: in, Path: Program(t, "unbound", "unbound"), Args: []string{"-d", "-c", n.conf}}
	return n
}

// Serve starts or restarts the nameserver with this answer for the service's name. ask queries the nameserver at an
// address, from where it is reachable, to find out when it is ready.
func (n *Nameserver) Serve(t testing.TB, zone Zone, ask func(address string) error) {
	t.Helper()
	n.Stop()
	Write(t, n.conf, unboundConf, map[string]any{"Addresses": n.addresses, "Dir": n.dir, "Zone": string(zone),
		"Name": n.records.Name, "Answers": n.records.Answers, "Data": n.records.Data})
	n.Start(t)
	n.Await(t, func() error { return ask(n.addresses[0]) })
}

// AskName queries the nameserver at address for name, with short timeouts: unbound drops queries while it starts.
func AskName(address, name string) error {
	client := dns.Client{Timeout: 100 * time.Millisecond}
	_, _, err := client.Exchange(new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA), net.JoinHostPort(address, "53"))
	return err
}
