package config

import (
	"netwatchd/internal/netvalue"
	"netwatchd/internal/strictyaml"
)

// settings reads the sections that flags and the environment may override.
func (d *decoder) settings(c *Config, f strictyaml.Fields) {
	f.Text("status_file", &c.StatusFile, nil)
	if n, ok := f.Has("web"); ok {
		w := n.Object("listen", "hosts", "config_file", "token_file", "profiling")
		w.Texts("listen", &c.Web.Listen, netvalue.CheckListen)
		if n, ok := w.Has("listen"); ok && len(c.Web.Listen) == 0 {
			n.Errorf("is empty: add an address, like 127.0.0.1:19405")
		}
		w.Texts("hosts", &c.Web.Hosts, netvalue.CheckHostname)
		d.path(w, "config_file", &c.Web.ConfigFile, checkWebConfig)
		d.path(w, "token_file", &c.Web.TokenFile, anything)
		w.Boolean("profiling", &c.Web.Profiling)
	}
	if n, ok := f.Has("storage"); ok {
		s := n.Object("path", "keep")
		s.Text("path", &c.Storage.Path, checkNotEmpty)
		s.Duration("keep", &c.Storage.Keep, minKeep)
	}
	if n, ok := f.Has("log"); ok {
		l := n.Object("level", "format")
		l.Text("level", &c.Log.Level, checkLevel)
		l.Text("format", &c.Log.Format, checkFormat)
	}
	if n, ok := f.Has("metrics"); ok {
		m := n.Object("classic_histograms", "redundant_series")
		m.Text("classic_histograms", &c.Metrics.ClassicHistograms, strictyaml.OneOf("auto", "always", "never"))
		m.Text("redundant_series", &c.Metrics.RedundantSeries, strictyaml.OneOf("auto", "always", "never"))
	}
	c.Storage.Path, c.StatusFile = resolved(c.Storage.Path, d.file), resolved(c.StatusFile, d.file)
}

func decodeDefaults(n *strictyaml.Node, into *Defaults) {
	f := n.Object("interval", "timeout")
	interval := f.Duration("interval", &into.Interval, minInterval)
	timeout := f.Duration("timeout", &into.Timeout, minInterval)
	if interval && timeout {
		checkTimeout(n, f, into.Timeout, into.Interval)
	}
	if into.Timeout >= into.Interval { // report it once, not again for every probe
		*into = builtinDefaults
	}
}
