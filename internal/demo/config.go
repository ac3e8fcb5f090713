package demo

import (
	"bytes"
	"path/filepath"
	"text/template"

	"netwatchd/internal/demo/internet"
)

// statusFile is the daemon's status file, in the demo's directory.
const statusFile = "status.json"

// Every name in it is looked up at the demo's own nameservers, and the controls are reached by address: no lookup
// leaves this host. Intervals are short so that a verdict takes a few seconds. The timeouts, which must be shorter, are
// still fifty times what an attempt on loopback takes (30 ms; 70 ms in the sandbox).
var configTemplate = template.Must(template.New("").Parse(`# The configuration of netwatchd demo.
web: {listen: ["127.0.0.1:0"]}
storage: {path: {{printf "%q" .Storage}}}
status_file: {{printf "%q" .StatusFile}}
log: {level: info, format: json}
defaults: {interval: 2s, timeout: 1500ms}
resolvers: {system: false, files: [], direct: ["{{.Public}}"]}
controls:
{{- range $i, $address := .Controls}}
  - {name: control-{{$i}}, url: "http://{{$address}}/generate_204", expect: {status: [204]}}
{{- end}}
services:
  - name: demo
    owner: vendor
    status_page: "http://{{index .Controls 0}}"
    client: go
    probes:
      - {name: dns, kind: dns, target: {{.Host}}, types: [A], nameservers: ["{{.Resolver}}"]}
      - {name: head, kind: http, target: "https://{{.Service}}/responses", method: HEAD, proxy: none,
         expect: {status: [405], headers: {Allow: POST}}, tls: {ca_file: {{printf "%q" .CAFile}}, issuer: {{.Issuer}}},
         nameservers: ["{{.Resolver}}"]}
      - {name: stream, kind: stream, target: "wss://{{.Service}}/responses", proxy: none,
         hold: 500ms, interval: 2500ms, timeout: 2s, tls: {ca_file: {{printf "%q" .CAFile}}, issuer: {{.Issuer}}},
         nameservers: ["{{.Resolver}}"]}
    sandbox: {command: [{{printf "%q" .Program}}, demo, sandbox, {{printf "%q" .ClosedFile}}], want: open, interval: 6s,
      timeout: 5s}
`))

// configuration returns the daemon's configuration.
func configuration(n *internet.Internet, program, dir string) []byte {
	var text bytes.Buffer
	err := configTemplate.Execute(&text, map[string]any{
		"Storage": filepath.Join(dir, "storage"), "StatusFile": filepath.Join(dir, statusFile),
		"CAFile":     filepath.Join(dir, internet.AuthorityFile),
		"ClosedFile": filepath.Join(dir, closedFile), "Program": program, "Host": internet.Host, "Issuer": internet.Issuer,
		"Resolver": n.Resolver, "Public": n.Public, "Controls": n.Controls, "Service": n.Service,
	})
	if err != nil {
		panic(err) // the template is constant
	}
	return text.Bytes()
}
