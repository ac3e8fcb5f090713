package blackbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"netwatchd/internal/lab/stack"
)

// A service of one's own: on this host, behind a wrong scheme, in a network without internet.
func TestOwnService(t *testing.T) {
	const (
		here  = "http://127.0.0.1:8080/" // nothing listens there
		there = "http://" + stack.ServiceAddress + ":8080/"
		tls   = "https://203.0.113.21:80/" // a control's port: plain HTTP

		// ownControl answers 404, which is an answer of an application, while the usual controls and public resolvers do not exist.
		ownControl   = `{name: gateway, url: "http://203.0.113.21/", expect: {status: any}}`
		onlyGateway  = "resolvers: {direct: []}\ncontrols: [" + ownControl + "]\n"
		noControls   = "controls: []\nresolvers: {direct: []}\n"
		fromInternet = "resolvers: {direct: [\"192.0.2.53:53\"]}\n" + // RFC 5737: nobody answers there
			`controls: [{name: a, url: "http://192.0.2.21/"}, {name: b, url: "http://192.0.2.22/"}]` + "\n"
	)
	s := stack.Start(t)
	for name, tt := range map[string]struct {
		common, target, service string // top-level YAML; the probe's target; more keys of the service
		cause, class            string
		title, advice           string
	}{
		"refused on this host": {onlyGateway, here, "", "upstream", "tcp.refused",
			"refuses connections", "Nothing listens at 127.0.0.1:8080."},
		"refused on this host, no control": {noControls, here, "", "inconclusive", "tcp.refused",
			"refuses connections", "Nothing listens at 127.0.0.1:8080."},
		"a port of plain HTTP is asked for TLS": {onlyGateway, tls, "", "upstream", "tls.protocol.error",
			"the service answers without TLS", "write http:// in the target"},
		"no internet, a common control": {onlyGateway, there, "", "upstream", "tcp.refused",
			"refuses connections", "Nothing listens at " + stack.ServiceAddress + ":8080."},
		"no internet, a control of the service": {fromInternet, there,
			"controls: [" + ownControl + "]\n    resolvers: {system: false, direct: []}", "upstream", "tcp.refused",
			"refuses connections", "Nothing listens at " + stack.ServiceAddress + ":8080."},
		"no internet, the usual controls": {fromInternet, there, "", "inconclusive", "tcp.refused", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			config := filepath.Join(s.Dir, "own.yaml")
			text := fmt.Sprintf("%sdefaults: {interval: 2s, timeout: 1s}\nservices:\n  - name: billing\n    owner: us\n"+
				"    probes: [{name: health, kind: http, target: %q}]\n    %s\n", tt.common, tt.target, tt.service)
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			exit := s.Run("check", "--config.file="+config, "--json")
			got := decode(t, exit)
			if got.Services[0].Cause != tt.cause || got.decisive() != tt.class {
				t.Errorf("got %s, %s, want %s, %s", got.Services[0].Cause, got.decisive(), tt.cause, tt.class)
			}
			if v := got.Services[0]; !strings.Contains(v.Title, tt.title) || !strings.Contains(v.Advice, tt.advice) {
				t.Errorf("got %q: %q\nwant %q: %q", v.Title, v.Advice, tt.title, tt.advice)
			}
			if t.Failed() {
				t.Logf("stdout: %s\nstderr: %s", exit.Stdout, exit.Stderr)
			}
		})
	}
}
