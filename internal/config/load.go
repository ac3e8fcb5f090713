package config

import (
	"netwatchd/internal/hostpaths"
	"netwatchd/internal/strictyaml"
)

// Load reads the configuration file at path, applies the overrides and checks the result. Without a path it uses the
// file named by the overrides, then the first existing default file, then the built-in configuration. All faults are
// in the [*strictyaml.Error] it returns.
func Load(path string, overrides *Overrides) (*Config, error) {
	if path == "" {
		path = overrides.File()
	}
	return load(path, overrides, hostpaths.Of())
}

func load(path string, overrides *Overrides, at hostpaths.Paths) (*Config, error) {
	if path == "" {
		path = at.Find()
	}
	c := builtin(at)
	c.Path = path
	var faults []strictyaml.Fault
	if path != "" {
		faults = read(c, path)
	}
	faults = append(faults, overrides.apply(c)...)
	if len(faults) > 0 {
		return nil, &strictyaml.Error{Faults: faults}
	}
	return c, nil
}

// sizeLimit is several times the size of ten thousand probes with an expectation each (3 MB). Parsing takes up to a
// hundred times a file's size in memory.
const sizeLimit = 8 << 20

// read reads the file at path into c and returns its faults.
func read(c *Config, path string) []strictyaml.Fault {
	text, err := readBounded(path, sizeLimit)
	if err != nil {
		return []strictyaml.Fault{{File: path, Message: err.Error()}}
	}
	d := &decoder{file: path, checked: make(map[string]error)}
	return strictyaml.Decode(path, text, func(root *strictyaml.Node) { d.decode(c, root) })
}
