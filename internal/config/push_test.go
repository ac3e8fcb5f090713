package config

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// exampleWithReceivers is the example with its commented-out receivers enabled.
func exampleWithReceivers(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	before, push, found := strings.Cut(string(text), "\npush:\n")
	if !found {
		t.Fatal("no push in the example")
	}
	push = regexp.MustCompile(`(?m)^  #(  .*)$`).ReplaceAllString(push, "  $1")
	push = regexp.MustCompile(`(remote_write|otlp): \[\]`).ReplaceAllString(push, "$1:")
	return before + "\npush:\n" + push
}

func withPassword(t *testing.T, text string) string {
	t.Helper()
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(text, "/etc/netwatchd/push.password", password)
}

// The receivers in the example have the default values, except for keys that have no default.
func TestTheReceiversOfTheExample(t *testing.T) {
	c := mustLoad(t, write(t, withPassword(t, exampleWithReceivers(t))))
	want := defaultReceiver()
	want.Name, want.URL = "central", "https://metrics.example.com/api/v1/write"
	want.Labels = []Label{{"instance", "desk"}, {"job", "netwatchd"}}
	want.Credentials = c.Push.RemoteWrite[0].Credentials
	if diff := cmp.Diff([]Receiver{want}, c.Push.RemoteWrite); diff != "" {
		t.Errorf("remote_write (-want +got):\n%s", diff)
	}
	if secret, err := want.Credentials.Secret(); want.Credentials.Username != "desk" || secret != "hunter2" {
		t.Errorf("credentials %+v with the secret %q, %v", want.Credentials, secret, err)
	}
	want = defaultReceiver()
	want.Name, want.URL = "collector", "http://127.0.0.1:4318/v1/metrics"
	if diff := cmp.Diff([]Receiver{want}, c.Push.OTLP); diff != "" {
		t.Errorf("otlp (-want +got):\n%s", diff)
	}
}

const receivers = `
push:
  remote_write:
    - {name: a, url: "https://a.example/w?x=1", interval: 1m, timeout: 2s, protocol: "1.0", labels: {instance: "", Site: Ulm, team: "1"},
       headers: {X-Scope-OrgID: "7", X-Api-Key: {env: PUSH_TOKEN}, X-Other-Key: {file: /etc/netwatchd/push.password}}, basic_auth: {username: u, password_file: /etc/netwatchd/push.password}, queue: {size: 3GiB}}
    - {name: b, url: "http://b.example/w", bearer_token_env: PUSH_TOKEN, queue: {size: 1500KiB}}
  otlp:
    - {name: c, url: "http://c.example/v1/metrics", bearer_token_file: /etc/netwatchd/push.password}
`

func TestReceiversShown(t *testing.T) {
	t.Setenv("PUSH_TOKEN", "hunter3")
	c := mustLoad(t, write(t, withPassword(t, receivers)))
	var b bytes.Buffer
	if err := c.Show(&b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, mustLoad(t, write(t, b.String())), same); diff != "" {
		t.Errorf("(-shown +loaded):\n%s\n%s", diff, &b)
	}
	if strings.Contains(b.String(), "hunter") {
		t.Errorf("a secret is shown:\n%s", &b)
	}
	if diff := cmp.Diff([]Label{{"Site", "Ulm"}, {"job", "netwatchd"}, {"team", "1"}}, c.Push.RemoteWrite[0].Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if secret, err := c.Push.RemoteWrite[1].Credentials.Secret(); secret != "hunter3" {
		t.Errorf("the secret in a variable is %q, %v", secret, err)
	}
}

// A rotated secret is read again; a missing one is an error, not an empty secret.
func TestSecretsAreReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	c := Credentials{File: file}
	for _, secret := range []string{"one", "two"} {
		if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Secret(); got != secret {
			t.Errorf("got %q, %v, want %q", got, err, secret)
		}
	}
	if err := os.WriteFile(file, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Secret(); err == nil {
		t.Errorf("an empty file holds the secret %q", got)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Secret(); err == nil {
		t.Errorf("a file that is not there holds the secret %q", got)
	}
}

// A configuration loads although its secrets cannot be read; Secrets then reports each of them.
func TestSecretsThatCannotBeRead(t *testing.T) {
	c := mustLoad(t, write(t, receivers))
	err := c.Secrets()
	for _, want := range []string{
		`push: "a": cannot read /etc/netwatchd/push.password: no such file: check the path`,
		`push: "a": headers.X-Api-Key: environment variable PUSH_TOKEN is not set: set it for the netwatchd process`,
		`push: "a": headers.X-Other-Key: cannot read /etc/netwatchd/push.password: no such file: check the path`,
		`push: "b": environment variable PUSH_TOKEN is not set: set it for the netwatchd process`,
		`push: "c": cannot read /etc/netwatchd/push.password: no such file: check the path`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %s", err, want)
		}
	}
	c = mustLoad(t, write(t, withPassword(t, receivers)))
	t.Setenv("PUSH_TOKEN", "hunter3")
	if err := c.Secrets(); err != nil {
		t.Errorf("%v, although all are there", err)
	}
}
