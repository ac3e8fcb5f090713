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

func (d *decoder) push(p *strictyaml.Node, into *Push) {
	f := p.Object("remote_write", "otlp")
	taken := make(map[string]int) // one list after the other: a name is unique in both
	if at, ok := f.Has("remote_write"); ok {
		into.RemoteWrite = d.receivers(at, taken, "protocol")
	}
	if at, ok := f.Has("otlp"); ok {
		into.OTLP = d.receivers(at, taken)
	}
}

func (d *decoder) receivers(p *strictyaml.Node, taken map[string]int, more ...string) []Receiver {
	var all []Receiver
	lines := make(map[string]int)
	p.Named(func(item *strictyaml.Node) string {
		r := d.receiver(item, more)
		if line, twice := taken[r.Name]; twice {
			item.Errorf("has a name that is taken on line %d: give it another, its queue is kept under it", line)
		}
		all, lines[r.Name] = append(all, r), item.Line()
		return r.Name
	})
	maps.Copy(taken, lines)
	return all
}

func (d *decoder) receiver(p *strictyaml.Node, more []string) Receiver {
	known := append([]string{"name", "url", "interval", "timeout", "labels", "headers", "basic_auth", "bearer_token_file",
		"bearer_token_env", "tls", "queue"}, more...)
	f := p.Mapping(known...)
	r := defaultReceiver()
	r.Name = p.ReadName(f, checkName)
	p.RejectUnknown(f, known, nil)
	decodeURL(p, f, "url", &r.URL, "https", "http")
	f.Duration("interval", &r.Interval, pushShortest)
	f.Duration("timeout", &r.Timeout, shortest)
	f.Text("protocol", &r.Protocol, strictyaml.OneOf(AnyProtocol, RemoteWrite2, RemoteWrite1))
	if at, ok := f.Has("labels"); ok {
		r.Labels = decodeLabels(at, r.Labels)
	}
	if at, ok := f.Has("headers"); ok {
		r.Headers = decodeReceiverHeaders(at)
	}
	d.credentials(p, f, &r.Credentials)
	if at, ok := f.Has("tls"); ok {
		d.path(at.Object("ca_file"), "ca_file", &r.CAFile, checkCAFile)
	}
	if at, ok := f.Has("queue"); ok {
		at.Object("size").Size("size", &r.Queue, queueLeast)
	}
	return r
}

var labelShape = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// decodeLabels reads a mapping of names to values over the usual ones; one without a value is left out.
func decodeLabels(p *strictyaml.Node, usual []Label) []Label {
	all := make(map[string]string)
	for _, l := range usual {
		all[l.Name] = l.Value
	}
	for name, at := range p.Mapping("names to values") {
		if !labelShape.MatchString(name) || strings.HasPrefix(name, "__") {
			at.Errorf("is not a label's name: use letters, digits and _, and no two of those at its beginning")
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

// decodeReceiverHeaders are headers, but for those that are not the user's to set.
func decodeReceiverHeaders(p *strictyaml.Node) []Header {
	for name, at := range p.Mapping("names to values") {
		switch lower := strings.ToLower(name); {
		case lower == "authorization":
			at.Errorf("is no place for a secret: use basic_auth, bearer_token_file or bearer_token_env")
		case lower == "host" || lower == "user-agent" || strings.HasPrefix(lower, "content-") || strings.HasPrefix(lower, "x-prometheus-remote-"):
			at.Errorf("is part of the protocol: remove it")
		}
	}
	return decodeHeaders(p)
}

func (d *decoder) credentials(p *strictyaml.Node, f strictyaml.Fields, c *Credentials) {
	given := 0
	if at, ok := f.Has("basic_auth"); ok {
		b := at.Object("username", "password_file", "password_env")
		b.Text("username", &c.Username, checkNotEmpty)
		if _, there := b["username"]; !there {
			at.Errorf("has no username: give it one")
		}
		given += d.secret(b, "password_file", "password_env", c)
		if given == 0 {
			at.Errorf("has no password: name the file that holds it in password_file, or the variable in password_env")
		}
	}
	given += d.secret(f, "bearer_token_file", "bearer_token_env", c)
	if given > 1 {
		p.Errorf("has more than one secret: keep one of basic_auth, bearer_token_file and bearer_token_env, and one place for it")
	}
}

// secret reads where a secret is, and returns how many places were named. It is not read here: who may check the configuration
// need not be who may read the secret.
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

// queueLeast holds an hour of what a small configuration has to say.
const queueLeast = 1 << 20
