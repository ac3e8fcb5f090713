package config

import (
	"netwatchd/internal/strictyaml"
)

// Load reads the configuration at path, puts the overrides over it and checks all of it. Without a path the overrides may
// name one; otherwise the usual places are tried, and if there is no file in any of them the configuration is the built-in
// one. Whatever is wrong is in the [*strictyaml.Error] it returns, all of it.
func Load(path string, overrides *Overrides) (*Config, error) {
	if path == "" {
		path = overrides.File()
	}
	return load(path, overrides, hostPlaces())
}

func load(path string, overrides *Overrides, at places) (*Config, error) {
	if path == "" {
		path = at.find()
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

// sizeLimit is several times what ten thousand probes with an expectation each take (3 MB). A parsed file takes up to a
// hundred times its size in memory.
const sizeLimit = 8 << 20

// read reads the file at path into c and returns what is wrong with it.
func read(c *Config, path string) []strictyaml.Fault {
	text, err := readBounded(path, sizeLimit)
	if err != nil {
		return []strictyaml.Fault{{File: path, Message: err.Error()}}
	}
	d := &decoder{file: path, checked: make(map[string]error)}
	return strictyaml.Decode(path, text, func(root *strictyaml.Node) { d.decode(c, root) })
}
