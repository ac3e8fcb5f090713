package main

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	names := []string{"the service answers 503", "the service answers 503 to the agent's requests",
		"the resolver does not answer", "the proxy is down"}
	for name, want := range map[string]string{
		"the service answers 503":       "",
		"the srvice answrs 503":         "SCENE='the service answers 503'",
		"503":                           "SCENE='the service answers 503'\n  make lab SCENE='the service answers 503 to the agent'\\''s requests'",
		"The Resolver":                  "did you mean:\n  make lab SCENE='the resolver does not answer'\nmake lab LIST=1 lists all 4 scenes",
		"the gateway of the other side": "no scene is called \"the gateway of the other side\"\nmake lab LIST=1",
	} {
		var b strings.Builder
		if ok := check(&b, name, names); ok != (want == "") || !strings.Contains(b.String(), want) {
			t.Errorf("%s: %v\n%s\nwant %s", name, ok, b.String(), want)
		}
	}
}
