package plan

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"netwatchd/internal/probe"
)

// A service with controls and nameservers of its own is judged by those alone, and others are not judged by them.
func TestOwnControlsAndNameservers(t *testing.T) {
	dir := t.TempDir()
	for name, server := range map[string]string{"host": "192.0.2.1", "corp": "192.0.2.53"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("nameserver "+server+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := planned(t, `
resolvers: {files: [`+dir+`/host], direct: ["192.0.2.8:53"]}
controls: [{name: web, url: "http://web.example/"}, {name: news, url: "http://news.example/"}]
services:
  - name: billing
    controls: [web, {name: intranet, url: "http://intranet.example/", addresses: [192.0.2.9]}]
    resolvers: {files: [`+dir+`/corp], direct: []}
    probes: [{name: health, kind: http, target: "http://billing.example/"}]
  - name: shop
    probes: [{name: health, kind: http, target: "http://shop.example/"}]
`)
	e := p.Environment()
	for i, want := range [][]string{{"intranet", "intranet@192.0.2.9", "web"}, {"news", "web"}} {
		s := p.Services[i]
		var controls, queried []string
		for _, probe := range slices.Concat(e.Probes, s.NameserverProbes(e.Nameservers, nil)) {
			if s.Leaves != nil && slices.Contains(e.Probes, probe) && s.Leaves(resultOf(probe)) {
				continue
			}
			switch {
			case probe.Service == "controls":
				controls = append(controls, probe.Name)
			case probe.Service == "resolvers":
				queried = append(queried, probe.Name)
			}
		}
		slices.Sort(controls)
		slices.Sort(queried)
		if !slices.Equal(controls, want) {
			t.Errorf("%s is compared with %q, want %q", s.Name, controls, want)
		}
		wantQueries := [][]string{
			{"192.0.2.53/billing", "192.0.2.53/canary/billing", "192.0.2.53/control/billing"},
			{"192.0.2.1/canary", "192.0.2.1/control", "192.0.2.1/shop", "192.0.2.8/control", "192.0.2.8/shop"},
		}[i]
		if !slices.Equal(queried, wantQueries) {
			t.Errorf("%s: queries %q, want %q", s.Name, queried, wantQueries)
		}
	}
}

func resultOf(p *probe.Probe) probe.Result { return probe.Result{Spec: p.Spec} }

// The expected answer of a control may be any answer of an application: a gateway's page asks for a sign-in.
func TestAControlMayGiveAnyAnswer(t *testing.T) {
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer gateway.Close()
	p := planned(t, `
controls:
  - {name: gateway, url: "`+gateway.URL+`", expect: {status: any}}
  - {name: strict, url: "`+gateway.URL+`"}
services: [{name: billing, probes: [{name: health, kind: http, target: "http://billing.example/"}]}]
`)
	for name, want := range map[string]probe.Class{"gateway": probe.OK, "strict": probe.HTTPUnauthorized} {
		probes := p.Environment().Probes
		control := probes[slices.IndexFunc(probes, func(p *probe.Probe) bool { return p.Name == name })]
		if r, _ := probe.Do(t.Context(), control); r.Class != want {
			t.Errorf("%s: got %v (%s), want %v", name, r.Class, r.Why, want)
		}
	}
}

// Where every service has controls of its own, the built-in ones are not probed: without internet they only fail.
func TestUnusedControlsAreNotProbed(t *testing.T) {
	p := planned(t, `
services:
  - name: billing
    controls: [{name: gateway, url: "http://192.0.2.1/"}]
    probes: [{name: health, kind: http, target: "http://192.0.2.7/"}]
`)
	for _, probe := range p.Environment().Probes {
		if probe.Service == "controls" && probe.Name != "gateway" {
			t.Errorf("%s is probed", probe.Name)
		}
	}
}
