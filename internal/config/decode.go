package config

import (
	"net/url"
	"time"

	"netwatchd/internal/netvalue"
	"netwatchd/internal/strictyaml"
)

const (
	// minInterval: below it a probe measures this host's scheduler rather than the network.
	minInterval = 10 * time.Millisecond
	// minKeep: an incident at night must still be explainable in the morning.
	minKeep = strictyaml.Day
)

// A decoder reads the sections of one file.
type decoder struct {
	file     string
	defaults Defaults
	// What services inherit or name.
	controlled []Control
	global     Resolvers
	ownOnes    map[string]string // URLs of the controls of single services, by name: a name is one series in the metrics
	checked    map[string]error  // result of each file check, by key and path: a file named by many probes is checked once
}

// decode reads the document into c, which holds the defaults.
func (d *decoder) decode(c *Config, root *strictyaml.Node) {
	f := root.Object("web", "storage", "status_file", "log", "metrics", "defaults", "resolvers", "controls", "services",
		"push", "agents")
	d.settings(c, f)
	if n, ok := f.Has("defaults"); ok {
		decodeDefaults(n, &c.Defaults)
	}
	d.defaults = c.Defaults
	if n, ok := f.Has("resolvers"); ok {
		d.resolvers(n, &c.Resolvers)
	}
	if n, ok := f.Has("controls"); ok {
		c.Controls = d.controls(n)
	}
	d.controlled, d.global, d.ownOnes = c.Controls, c.Resolvers, make(map[string]string)
	if n, ok := f.Has("services"); ok {
		c.Services, c.Assumed = d.services(n), false
	}
	if n, ok := f.Has("push"); ok {
		d.push(n, &c.Push)
	}
	if n, ok := f.Has("agents"); ok {
		n.Object("sessions").Boolean("sessions", &c.Agents.Sessions)
	}
}

// path reads the name of a file, resolves it, and checks the file once.
func (d *decoder) path(f strictyaml.Fields, key string, into *string, check func(string) error) {
	f.Text(key, into, func(s string) error {
		if s == "" {
			return nil
		}
		at := resolved(s, d.file)
		err, known := d.checked[key+at]
		if !known {
			err = check(at)
			d.checked[key+at] = err
		}
		return err
	})
	if _, ok := f[key]; ok && *into != "" {
		*into = resolved(*into, d.file)
	}
}

// checkTimeout rejects a timeout that would let an attempt run into the next one.
func checkTimeout(n *strictyaml.Node, f strictyaml.Fields, timeout, interval time.Duration) {
	if timeout < interval {
		return
	}
	if at, ok := f.Has("timeout"); ok {
		at.Errorf("%s must be shorter than the interval (%s): lower the timeout or raise the interval",
			strictyaml.FormatDuration(timeout), strictyaml.FormatDuration(interval))
	} else if at, ok := f.Has("interval"); ok {
		at.Errorf("%s must be longer than the timeout (%s by default): set a shorter timeout or raise the interval",
			strictyaml.FormatDuration(interval), strictyaml.FormatDuration(timeout))
	} else {
		n.Errorf("the default timeout (%s) must be shorter than the default interval (%s): set both",
			strictyaml.FormatDuration(timeout), strictyaml.FormatDuration(interval))
	}
}

// decodeURL reads the URL at key, which must be present. It returns nil if there is no valid one.
func decodeURL(n *strictyaml.Node, f strictyaml.Fields, key string, schemes ...string) (u *url.URL) {
	if _, ok := f[key]; !ok {
		if f != nil {
			n.Errorf("has no %s: add a URL, like %s://example.com/", key, schemes[0])
		}
		return nil
	}
	f.Text(key, new(string), func(s string) (err error) {
		u, err = netvalue.ParseURL(s, schemes...)
		return err
	})
	return u
}

func checkExecutable(f strictyaml.Fields, key string, command []string) {
	if len(command) > 0 && command[0] == "" {
		f[key].Errorf("starts with an empty string: put the program first")
	}
}
