package config

import (
	"net/url"
	"time"

	"netwatchd/internal/strictyaml"
)

const (
	// shortest is where a probe starts to measure this host's scheduler instead of the network.
	shortest = 10 * time.Millisecond
	// keepLeast lets an incident of last night still be explained in the morning.
	keepLeast = strictyaml.Day
)

// A decoder reads one file's sections.
type decoder struct {
	file     string
	defaults Defaults
	checked  map[string]error // files named in the configuration, checked once however often they are named
}

// decode reads the document into c, over the defaults that stand there.
func (d *decoder) decode(c *Config, root *strictyaml.Node) {
	f := root.Object("web", "storage", "status_file", "log", "defaults", "resolvers", "controls", "services", "push")
	d.settings(c, f)
	if p, ok := f.Has("defaults"); ok {
		decodeDefaults(p, &c.Defaults)
	}
	d.defaults = c.Defaults
	if p, ok := f.Has("resolvers"); ok {
		d.resolvers(p, &c.Resolvers)
	}
	if p, ok := f.Has("controls"); ok {
		c.Controls = d.controls(p)
	}
	if p, ok := f.Has("services"); ok {
		c.Services, c.Assumed = d.services(p), false
	}
	if p, ok := f.Has("push"); ok {
		d.push(p, &c.Push)
	}
}

// path reads the name of a file, makes it independent of the working directory, and checks what is in it, once.
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

// under complains about a timeout that would let an attempt run into the next one.
func under(p *strictyaml.Node, f strictyaml.Fields, timeout, interval time.Duration) {
	if timeout < interval {
		return
	}
	if at, ok := f.Has("timeout"); ok {
		at.Errorf("%s must be under the interval, %s: shorten it, or lengthen the interval",
			strictyaml.FormatDuration(timeout), strictyaml.FormatDuration(interval))
	} else if at, ok := f.Has("interval"); ok {
		at.Errorf("%s must be over the timeout, %s by default: set a shorter timeout, or lengthen the interval",
			strictyaml.FormatDuration(interval), strictyaml.FormatDuration(timeout))
	} else {
		p.Errorf("the default timeout, %s, must be under the default interval, %s: set both",
			strictyaml.FormatDuration(timeout), strictyaml.FormatDuration(interval))
	}
}

// decodeURL reads the URL at key, which must be there; into, if there is one, gets it as it was written.
func decodeURL(p *strictyaml.Node, f strictyaml.Fields, key string, into *string, schemes ...string) (u *url.URL) {
	if _, there := f[key]; !there {
		if f != nil {
			p.Errorf("has no %s: give it a URL, like %s://example.com/", key, schemes[0])
		}
		return nil
	}
	if into == nil {
		into = new(string)
	}
	f.Text(key, into, func(s string) (err error) {
		u, err = parseURL(s, schemes...)
		return err
	})
	return u
}

func checkExecutable(f strictyaml.Fields, key string, command []string) {
	if len(command) > 0 && command[0] == "" {
		f[key].Errorf("starts with an empty text: write the program first")
	}
}
