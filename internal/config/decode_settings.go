package config

import "netwatchd/internal/strictyaml"

// settings are what flags and the environment may override.
func (d *decoder) settings(c *Config, f strictyaml.Fields) {
	f.Text("status_file", &c.StatusFile, nil)
	if p, ok := f.Has("web"); ok {
		w := p.Object("listen", "config_file", "profiling")
		w.Texts("listen", &c.Web.Listen, checkListen)
		if p, ok := w.Has("listen"); ok && len(c.Web.Listen) == 0 {
			p.Errorf("is empty: write an address, like 127.0.0.1:19405")
		}
		d.path(w, "config_file", &c.Web.ConfigFile, checkWebConfig)
		w.Boolean("profiling", &c.Web.Profiling)
	}
	if p, ok := f.Has("storage"); ok {
		s := p.Object("path", "keep")
		s.Text("path", &c.Storage.Path, checkNotEmpty)
		s.Duration("keep", &c.Storage.Keep, keepLeast)
	}
	if p, ok := f.Has("log"); ok {
		l := p.Object("level", "format")
		l.Text("level", &c.Log.Level, checkLevel)
		l.Text("format", &c.Log.Format, checkFormat)
	}
	c.Storage.Path, c.StatusFile = resolved(c.Storage.Path, d.file), resolved(c.StatusFile, d.file)
}

func decodeDefaults(p *strictyaml.Node, into *Defaults) {
	f := p.Object("interval", "timeout")
	interval, timeout := f.Duration("interval", &into.Interval, shortest), f.Duration("timeout", &into.Timeout, shortest)
	if interval && timeout {
		under(p, f, into.Timeout, into.Interval)
	}
	if into.Timeout >= into.Interval { // said once; not again by every probe
		*into = builtinDefaults
	}
}
