package config

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"netwatchd/internal/strictyaml"
	"netwatchd/internal/webtoken"
)

// Push lists the receivers that metrics are sent to because they cannot scrape this host.
type Push struct {
	RemoteWrite []Receiver
	OTLP        []Receiver
}

// A Receiver is sent the metrics.
type Receiver struct {
	Name        string // unique among all receivers; names its queue and labels its own metrics
	URL         string // as text: the client libraries parse it themselves
	Interval    time.Duration
	Timeout     time.Duration // of one attempt
	Protocol    string        // remote write: AnyProtocol, RemoteWrite2 or RemoteWrite1
	Labels      []Label       // added to every series without a label of that name; sorted by name
	Headers     []Header
	KeyHeaders  []KeyHeader // headers that hold a secret
	Credentials Credentials
	CAFile      string // PEM; empty: the system's
	Queue       int64  // limit of the queue in bytes
}

// A KeyHeader is a header whose value is a secret.
type KeyHeader struct {
	Name string
	Credentials
}

// A Label is added to a series.
type Label struct{ Name, Value string }

const (
	AnyProtocol  = "auto" // 2.0 if the receiver supports it, else 1.0
	RemoteWrite2 = "2.0"
	RemoteWrite1 = "1.0"
)

// Credentials is where to read a secret. The zero value means that none is needed.
type Credentials struct {
	Username string // for basic authentication; empty: the secret is a bearer token
	File     string
	Variable string
}

// Secret reads the secret again on each call, because it may be rotated. It is empty for the zero Credentials.
func (c Credentials) Secret() (string, error) {
	switch {
	case c.Variable != "":
		if secret := os.Getenv(c.Variable); secret != "" {
			return secret, nil
		}
		return "", fmt.Errorf("environment variable %s is not set: set it for the netwatchd process", c.Variable)
	case c.File != "":
		b, err := readBounded(c.File, 64<<10) // long enough for any token
		if err != nil {
			return "", fmt.Errorf("cannot read %s: %w", c.File, err)
		}
		if secret := strings.TrimSpace(string(b)); secret != "" && httpguts.ValidHeaderFieldValue(secret) {
			return secret, nil
		}
		return "", fmt.Errorf("%s does not contain a secret: write it on one line", c.File)
	}
	return "", nil
}

// Secrets reports every secret that cannot be read, as an [*strictyaml.Error]. Loading does not: only the daemon needs
// them.
func (c *Config) Secrets() error {
	var faults []strictyaml.Fault
	if c.Web.TokenFile != "" {
		if _, err := webtoken.Read(c.Web.TokenFile); err != nil {
			faults = append(faults, strictyaml.Fault{File: c.Path, Path: "web.token_file", Message: err.Error()})
		}
	}
	for _, r := range slices.Concat(c.Push.RemoteWrite, c.Push.OTLP) {
		path := "push: " + strictyaml.Quote(r.Name)
		if _, err := r.Credentials.Secret(); err != nil {
			faults = append(faults, strictyaml.Fault{File: c.Path, Path: path, Message: err.Error()})
		}
		for _, h := range r.KeyHeaders {
			if _, err := h.Secret(); err != nil {
				faults = append(faults, strictyaml.Fault{File: c.Path, Path: path + ": headers." + h.Name, Message: err.Error()})
			}
		}
	}
	if len(faults) > 0 {
		return &strictyaml.Error{Faults: faults}
	}
	return nil
}
