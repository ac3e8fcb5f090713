package config

import "netwatchd/internal/strictyaml"

func (d *decoder) controls(p *strictyaml.Node) []Control {
	var controls []Control
	p.Named(func(item *strictyaml.Node) string {
		controls = append(controls, d.control(item))
		return controls[len(controls)-1].Name
	})
	return controls
}

func (d *decoder) control(p *strictyaml.Node) Control {
	known := []string{"name", "url", "expect", "addresses"}
	f := p.Mapping(known...)
	c := Control{Name: p.ReadName(f, checkName)}
	p.RejectUnknown(f, known, nil)
	c.URL = decodeURL(p, f, "url", nil, "http", "https")
	c.Expect = decodeExpectHTTP(f, success)
	strictyaml.Values(f, "addresses", &c.Addresses, parseAddress)
	return c
}
