package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/net/http/httpguts"
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

// defaultReceiver is sent what a scrape would fetch, as often as the ladder is looked at. The size of its queue is explained in
// config.example.yaml.
func defaultReceiver() Receiver {
	host, _ := os.Hostname() // without one there is no such label
	return Receiver{
		Interval: 30 * time.Second, Timeout: 10 * time.Second, Protocol: AnyProtocol, Queue: 64 << 20,
		Labels: []Label{{"instance", host}, {"job", "netwatchd"}},
	}
}

// pushShortest keeps a receiver from being asked more often than the scheduler tells anything new.
const pushShortest = time.Second

func (p *place) push(into *Push) {
	f := p.object("remote_write", "otlp")
	taken := make(map[string]int) // one list after the other: a name is unique in both
	if at, ok := f.has("remote_write"); ok {
		into.RemoteWrite = at.receivers(taken, "protocol")
	}
	if at, ok := f.has("otlp"); ok {
		into.OTLP = at.receivers(taken)
	}
}

func (p *place) receivers(taken map[string]int, more ...string) []Receiver {
	var all []Receiver
	p.named(func(item *place) string {
		r := item.receiver(more)
		if line, twice := taken[r.Name]; twice {
			item.fault("has a name that is taken on line %d: give it another, its queue is kept under it", line)
		}
		all = append(all, r)
		return r.Name
	})
	for i, r := range all {
		taken[r.Name] = p.node.Content[i].Line
	}
	return all
}

func (p *place) receiver(more []string) Receiver {
	known := append([]string{"name", "url", "interval", "timeout", "labels", "headers", "basic_auth", "bearer_token_file",
		"bearer_token_env", "tls", "queue"}, more...)
	f := p.mapping(known...)
	r := defaultReceiver()
	r.Name = p.itsName(f, checkName)
	p.refuse(f, known, plain)
	p.url(f, "url", &r.URL, "https", "http")
	f.duration("interval", &r.Interval, pushShortest)
	f.duration("timeout", &r.Timeout, shortest)
	f.text("protocol", &r.Protocol, oneOf(AnyProtocol, RemoteWrite2, RemoteWrite1))
	if at, ok := f.has("labels"); ok {
		r.Labels = at.labels(r.Labels)
	}
	if at, ok := f.has("headers"); ok {
		r.Headers = at.receiverHeaders()
	}
	p.credentials(f, &r.Credentials)
	if at, ok := f.has("tls"); ok {
		at.object("ca_file").path("ca_file", &r.CAFile, checkCAFile)
	}
	if at, ok := f.has("queue"); ok {
		at.object("size").size("size", &r.Queue, queueLeast)
	}
	return r
}

var labelShape = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// labels reads a mapping of names to values over the usual ones; one without a value is left out.
func (p *place) labels(usual []Label) []Label {
	all := make(map[string]string)
	for _, l := range usual {
		all[l.Name] = l.Value
	}
	for name, at := range p.mapping("names to values") {
		if !labelShape.MatchString(name) || strings.HasPrefix(name, "__") {
			at.fault("is not a label's name: use letters, digits and _, and no two of those at its beginning")
		}
		value := all[name]
		fields{name: at}.text(name, &value, nil)
		all[name] = value
	}
	var labels []Label
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if all[name] != "" {
			labels = append(labels, Label{name, all[name]})
		}
	}
	return labels
}

// receiverHeaders are headers, but for those that are not the user's to set.
func (p *place) receiverHeaders() []Header {
	for name, at := range p.mapping("names to values") {
		switch lower := strings.ToLower(name); {
		case lower == "authorization":
			at.fault("is no place for a secret: use basic_auth, bearer_token_file or bearer_token_env")
		case lower == "host" || lower == "user-agent" || strings.HasPrefix(lower, "content-") || strings.HasPrefix(lower, "x-prometheus-remote-"):
			at.fault("is part of the protocol: remove it")
		}
	}
	return p.headers()
}

func (p *place) credentials(f fields, c *Credentials) {
	given := 0
	if at, ok := f.has("basic_auth"); ok {
		b := at.object("username", "password_file", "password_env")
		b.text("username", &c.Username, checkNotEmpty)
		if _, there := b["username"]; !there {
			at.fault("has no username: give it one")
		}
		given += b.secret("password_file", "password_env", c)
		if given == 0 {
			at.fault("has no password: name the file that holds it in password_file, or the variable in password_env")
		}
	}
	given += f.secret("bearer_token_file", "bearer_token_env", c)
	if given > 1 {
		p.fault("has more than one secret: keep one of basic_auth, bearer_token_file and bearer_token_env, and one place for it")
	}
}

// secret reads where a secret is, and returns how many places were named. It is not read here: who may check the configuration
// need not be who may read the secret.
func (f fields) secret(file, variable string, c *Credentials) (given int) {
	f.path(file, &c.File, func(string) error { return nil })
	f.text(variable, &c.Variable, nil)
	for _, key := range []string{file, variable} {
		if at, ok := f.has(key); ok && at.node.Value != "" {
			given++
		}
	}
	return given
}

// Secrets reports every secret that cannot be read, as an [*Error]. Whoever pushes asks before; nobody else needs them.
func (c *Config) Secrets() error {
	var faults []Fault
	for _, r := range slices.Concat(c.Push.RemoteWrite, c.Push.OTLP) {
		if _, err := r.Credentials.Secret(); err != nil {
			faults = append(faults, Fault{File: c.Path, Path: "push: " + quote(r.Name), Message: "its secret " + err.Error()})
		}
	}
	if len(faults) > 0 {
		return &Error{faults}
	}
	return nil
}

// queueLeast holds an hour of what a small configuration has to say.
const queueLeast = 1 << 20

var sizeShape = regexp.MustCompile(`^([0-9]+)([KMG]iB)$`)

var sizeUnits = []string{"KiB", "MiB", "GiB"}

// size reads key into n, a number of bytes of at least least.
func (f fields) size(key string, n *int64, least int64) {
	if p, ok := f.has(key); ok && p.node.Kind == yaml.ScalarNode && p.node.ShortTag() == "!!int" {
		p.fault("%s has no unit: write %[1]sMiB", clip(p.node.Value))
		return
	}
	f.text(key, new(string), func(s string) error {
		read, err := parseSize(s)
		switch {
		case err != nil:
			return err
		case read < least:
			return fmt.Errorf("%s is too small: write at least %s", s, formatSize(least))
		}
		*n = read
		return nil
	})
}

func parseSize(s string) (int64, error) {
	m := sizeShape.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("%s is not a size: write a whole number with KiB, MiB or GiB, like 64MiB", quote(s))
	}
	n, err := strconv.ParseInt(m[1], 10, 32)
	if err != nil {
		return 0, errors.New("is too large: write a size like 64MiB")
	}
	return n << (10 * (slices.Index(sizeUnits, m[2]) + 1)), nil
}

func formatSize(n int64) string {
	i := 0
	for n >>= 10; n%1024 == 0 && i+1 < len(sizeUnits); i++ {
		n >>= 10
	}
	return strconv.FormatInt(n, 10) + sizeUnits[i]
}

func (r Receiver) shown(remoteWrite bool) shown {
	labels, headers := shown{}, make(shown, 0, len(r.Headers))
	for _, l := range defaultReceiver().Labels { // one that was taken away must not come back
		if !slices.ContainsFunc(r.Labels, func(own Label) bool { return own.Name == l.Name }) {
			labels = append(labels, entry{l.Name, ""})
		}
	}
	for _, l := range r.Labels {
		labels = append(labels, entry{l.Name, l.Value})
	}
	for _, h := range r.Headers {
		headers = append(headers, entry{h.Name, h.Value})
	}
	c := r.Credentials
	basic := shown{{"username", c.Username}}.when(c.File != "", "password_file", c.File).when(c.Variable != "", "password_env", c.Variable)
	return shown{{"name", r.Name}, {"url", r.URL}, {"interval", formatDuration(r.Interval)}, {"timeout", formatDuration(r.Timeout)}}.
		when(remoteWrite, "protocol", r.Protocol).
		when(true, "labels", labels).
		when(true, "headers", headers).
		when(c.Username != "", "basic_auth", basic).
		when(c.Username == "" && c.File != "", "bearer_token_file", c.File).
		when(c.Username == "" && c.Variable != "", "bearer_token_env", c.Variable).
		when(true, "tls", shown{{"ca_file", r.CAFile}}).
		when(true, "queue", shown{{"size", formatSize(r.Queue)}})
}

func (p Push) shown() shown {
	return shown{
		{"remote_write", written(p.RemoteWrite, func(r Receiver) shown { return r.shown(true) })},
		{"otlp", written(p.OTLP, func(r Receiver) shown { return r.shown(false) })},
	}
}
