package connect

import (
	"crypto/x509"
	"errors"

	"netwatchd/internal/clientrules"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/authorities"
)

// ownRoots returns the authorities of CAFile and ExtraCA; the zero pool if neither is set.
func (r *Options) ownRoots() (pool authorities.Pool, err error) {
	var read authorities.Reader
	set := authorities.Set{GoSystem: r.CAFile == ""}
	for _, file := range []string{r.CAFile, r.ExtraCA} {
		if file == "" {
			continue
		}
		f, err := read.File(file)
		if err != nil {
			return pool, probe.Failf(probe.Internal,
				"reading the CA file: %s %w: correct tls.ca_file or make it readable", file, err)
		}
		if len(f.All) == 0 {
			return pool, probe.Failf(probe.Internal, "%s holds no certificate: a CA file must be PEM", file)
		}
		set.Others = append(set.Others, f.All...)
	}
	if set.Others == nil {
		return pool, nil
	}
	if pool, err = read.Pool(set); err != nil {
		return pool, probe.Failf(probe.Internal, "reading the system's CA certificates: %w", err)
	}
	return pool, nil
}

// hostRoots returns what this host trusts without any variable.
func hostRoots() (authorities.Pool, error) {
	var read authorities.Reader
	system := read.System()
	if system == nil {
		return authorities.Pool{}, nil
	}
	return read.Pool(authorities.Set{Others: system})
}

// clientRoots are what the client trusts, if its variables make a difference.
type clientRoots struct {
	clientrules.Roots
	name string // of the client
	read authorities.Reader
	pool authorities.Pool
	each map[clientrules.Bundle][]*x509.Certificate // of pool, those that a variable names
}

// clientRoots returns nil if the client trusts what this host does.
func (r *Options) clientRoots() (*clientRoots, error) {
	c := &clientRoots{name: r.Rules.Name, each: map[clientrules.Bundle][]*x509.Certificate{}}
	c.Roots = r.Rules.Trusting.Roots(r.variable, c.readFile)
	if !c.Differ() {
		return nil, nil
	}
	for _, b := range c.Partial {
		c.readFile(b)
	}
	for _, b := range c.Leading {
		if f, err := c.read.File(b.Path); err == nil {
			c.each[b] = f.Leading
		}
	}
	for _, b := range c.Dirs {
		c.each[b] = c.read.Directory(b.Path, c.Hashed)
	}
	var err error
	c.pool, err = c.read.Pool(c.set(r.ExtraCA))
	return c, err
}

func (c *clientRoots) readFile(b clientrules.Bundle) *clientrules.UnusableError {
	f, err := c.read.File(b.Path)
	if err == nil {
		c.each[b], err = f.All, f.Damage
	}
	if err == nil {
		return nil
	}
	return &clientrules.UnusableError{Bundle: b, Missing: errors.Is(err, authorities.ErrMissing),
		Some: len(c.each[b]) > 0, Blocks: errors.Is(err, authorities.ErrNamedPipe), Why: err.Error()}
}

// set returns what the client trusts, and the authorities of the file extra, if there is one.
func (c *clientRoots) set(extra string) authorities.Set {
	set := authorities.Set{BuiltIn: c.BuiltIn}
	add := func(all []*x509.Certificate) { set.Others = append(set.Others, all...) }
	switch {
	case c.System:
		system := c.read.System()
		set.GoSystem = system == nil
		add(system)
	case c.SystemDir:
		add(c.read.Directory(authorities.SystemDirectory, true))
	}
	for _, b := range c.Sources() {
		add(c.each[b])
	}
	if extra != "" {
		if f, err := c.read.File(extra); err == nil {
			add(f.All)
		}
	}
	return set
}
