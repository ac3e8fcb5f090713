package config

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"netwatchd/internal/strictyaml"
)

// Push says who is sent the metrics, because they cannot be fetched.
type Push struct {
	RemoteWrite []Receiver
	OTLP        []Receiver
}

// A Receiver takes metrics.
type Receiver struct {
	Name        string // unique among all receivers: of its metrics and its queue
	URL         string
	Interval    time.Duration
	Timeout     time.Duration // of one attempt
	Protocol    string        // remote write: AnyProtocol, RemoteWrite2 or RemoteWrite1
	Labels      []Label       // of every series that has none of that name, in the order of their names
	Headers     []Header
	Credentials Credentials
	CAFile      string // PEM; empty: the system's
	Queue       int64  // how many bytes may wait
}

// A Label of a series.
type Label struct{ Name, Value string }

const (
	AnyProtocol  = "auto" // 2.0 if the receiver speaks it
	RemoteWrite2 = "2.0"
	RemoteWrite1 = "1.0"
)

// Credentials say where the secret is. The zero value says that none is needed.
type Credentials struct {
	Username string // for basic authentication; empty: the secret is a bearer token
	File     string
	Variable string
}

// Secret reads the secret as it is now; it may be rotated. Without a place to read it from there is none.
func (c Credentials) Secret() (string, error) {
	switch {
	case c.Variable != "":
		if secret := os.Getenv(c.Variable); secret != "" {
			return secret, nil
		}
		return "", fmt.Errorf("is not in the variable %s: set it where netwatchd is started", c.Variable)
	case c.File != "":
		b, err := readBounded(c.File, 64<<10) // a token; anything longer is another file
		if err != nil {
			return "", fmt.Errorf("cannot be used: %s: %w", c.File, err)
		}
		if secret := strings.TrimSpace(string(b)); secret != "" && httpguts.ValidHeaderFieldValue(secret) {
			return secret, nil
		}
		return "", fmt.Errorf("cannot be used: %s does not hold a secret: write one line into it", c.File)
	}
	return "", nil
}

// Secrets reports every secret that cannot be read, as an [*strictyaml.Error]. Whoever pushes asks before; nobody else needs them.
func (c *Config) Secrets() error {
	var faults []strictyaml.Fault
	for _, r := range slices.Concat(c.Push.RemoteWrite, c.Push.OTLP) {
		if _, err := r.Credentials.Secret(); err != nil {
			faults = append(faults, strictyaml.Fault{File: c.Path, Path: "push: " + strictyaml.Quote(r.Name), Message: "its secret " + err.Error()})
		}
	}
	if len(faults) > 0 {
		return &strictyaml.Error{Faults: faults}
	}
	return nil
}
