package clientrules_test

import (
	"testing"

	"netwatchd/internal/clientrules"
)

func TestClients(t *testing.T) {
	for client, want := range map[clientrules.Client]string{
		clientrules.Codex(): "codex musl",
		clientrules.Curl():  "curl glibc",
	} {
		if got := client.Name + " " + client.Resolver.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	var r clientrules.Resolver
	const want = `unknown resolver "bionic": use one of glibc, musl, go`
	if err := r.UnmarshalText([]byte("bionic")); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
