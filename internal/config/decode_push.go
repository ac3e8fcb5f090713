package config

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"netwatchd/internal/strictyaml"
)

// defaultReceiver has the default values, explained in config.example.yaml.
func defaultReceiver() Receiver {
	host, _ := os.Hostname() // without a host name the label is left out
	return Receiver{
		Interval: 30 * time.Second, Timeout: 10 * time.Second, Protocol: AnyProtocol, Queue: 64 << 20,
		Labels: []Label{{"instance", host}, {"job", "netwatchd"}},
	}
}

// minPushInterval: more often there is nothing new to send.
const minPushInterval = time.Second

func (d *decoder) push(n *strictyaml.Node, into *Push) {
	f := n.Object("remote_write", "otlp")
	taken := make(map[string]int) // lines of the names in both lists: queues are named by receiver alone
	if at, ok := f.Has("remote_write"); ok {
		into.RemoteWrite = d.receivers(at, taken, "protocol")
	}
	if at, ok := f.Has("otlp"); ok {
		into.OTLP = d.receivers(at, taken)
	}
}

func (d *decoder) receivers(n *strictyaml.Node, taken map[string]int, extraKeys ...string) []Receiver {
	var all []Receiver
	lines := make(map[string]int)
	n.Named(func(item *strictyaml.Node) string {
		r := d.receiver(item, extraKeys)
		if line, dup := taken[r.Name]; dup && r.Name != "" {
			item.Errorf("duplicate name, first on line %d: choose another (it names the queue directory)", line)
		}
		all, lines[r.Name] = append(all, r), item.Line()
		return r.Name
	})
	maps.Copy(taken, lines)
	return all
}

func (d *decoder) receiver(n *strictyaml.Node, extraKeys []string) Receiver {
	known := append([]string{"name", "url", "interval", "timeout", "labels", "headers", "basic_auth", "bearer_token_file",
		"bearer_token_env", "tls", "queue"}, extraKeys...)
	r := defaultReceiver()
	f := n.NamedObject(&r.Name, checkName, known...)
	if u := decodeURL(n, f, "url", "https", "http"); u != nil {
		r.URL = u.String()
	}
	f.Duration("interval", &r.Interval, minPushInterval)
	f.Duration("timeout", &r.Timeout, minInterval)
	f.Text("protocol", &r.Protocol, strictyaml.OneOf(AnyProtocol, RemoteWrite2, RemoteWrite1))
	if at, ok := f.Has("labels"); ok {
		r.Labels = decodeLabels(at, r.Labels)
	}
	if at, ok := f.Has("headers"); ok {
		d.receiverHeaders(at, &r)
	}
	d.credentials(n, f, &r.Credentials)
	if at, ok := f.Has("tls"); ok {
		d.path(at.Object("ca_file"), "ca_file", &r.CAFile, checkCAFile)
	}
	if at, ok := f.Has("queue"); ok {
		at.Object("size").Size("size", &r.Queue, minQueue)
	}
	return r
}

var labelShape = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// decodeLabels reads a mapping of names to values over the defaults. An empty value removes a label.
func decodeLabels(n *strictyaml.Node, defaults []Label) []Label {
	all := make(map[string]string)
	for _, l := range defaults {
		all[l.Name] = l.Value
	}
	for name, at := range n.Mapping("names to values") {
		if !labelShape.MatchString(name) || strings.HasPrefix(name, "__") {
			at.Errorf("is not a valid label name: use letters, digits and _, not starting with a digit or __")
		}
		value := all[name]
		strictyaml.Fields{name: at}.Text(name, &value, nil)
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

// receiverHeaders reads headers, except for those that have a key of their own and those that the protocol sets. The
// value of a header is text, or the file or environment variable that holds it.
func (d *decoder) receiverHeaders(n *strictyaml.Node, r *Receiver) {
	headers := n.Mapping("names to values")
	for name, at := range headers {
		switch lower := strings.ToLower(name); {
		case lower == "authorization":
			at.Errorf("must not hold a secret: use basic_auth, bearer_token_file or bearer_token_env")
		case lower == "host", lower == "user-agent",
			strings.HasPrefix(lower, "content-"), strings.HasPrefix(lower, "x-prometheus-remote-"):
			at.Errorf("is set by the protocol: remove it")
		}
		if at.IsMapping() {
			h := KeyHeader{Name: name}
			if d.secret(at.Object("file", "env"), "file", "env", &h.Credentials) != 1 {
				at.Errorf("needs either a file or an environment variable: write {file: /path} or {env: NAME}")
			}
			r.KeyHeaders = append(r.KeyHeaders, h)
			delete(headers, name)
			checkHeaderName(name, at)
		}
	}
	slices.SortFunc(r.KeyHeaders, func(a, b KeyHeader) int { return strings.Compare(a.Name, b.Name) })
	r.Headers = headersOf(headers)
}

func (d *decoder) credentials(n *strictyaml.Node, f strictyaml.Fields, c *Credentials) {
	given := 0
	if at, ok := f.Has("basic_auth"); ok {
		b := at.Object("username", "password_file", "password_env")
		b.Text("username", &c.Username, checkNotEmpty)
		if _, ok := b["username"]; !ok {
			at.Errorf("has no username: add one")
		}
		given += d.secret(b, "password_file", "password_env", c)
		if given == 0 {
			at.Errorf("has no password: set password_file to a file or password_env to an environment variable")
		}
	}
	given += d.secret(f, "bearer_token_file", "bearer_token_env", c)
	if given > 1 {
		n.Errorf("has more than one secret: keep one of password_file, password_env, bearer_token_file, bearer_token_env")
	}
}

// secret reads where a secret is stored, and returns how many places are set. The secret itself is not read: the user
// who checks the configuration may not be allowed to read it.
func (d *decoder) secret(f strictyaml.Fields, file, variable string, c *Credentials) (given int) {
	d.path(f, file, &c.File, func(string) error { return nil })
	f.Text(variable, &c.Variable, nil)
	for _, key := range []string{file, variable} {
		if at, ok := f.Has(key); ok && at.Value() != "" {
			given++
		}
	}
	return given
}

// minQueue holds about an hour of metrics of a small configuration.
const minQueue = 1 << 20
