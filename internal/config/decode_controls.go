package config

import (
	"netwatchd/internal/netvalue"
	"netwatchd/internal/strictyaml"
)

func (d *decoder) controls(n *strictyaml.Node) []Control {
	var controls []Control
	n.Named(func(item *strictyaml.Node) string {
		controls = append(controls, d.control(item))
		return controls[len(controls)-1].Name
	})
	return controls
}

func (d *decoder) control(n *strictyaml.Node) Control {
	var c Control
	f := n.NamedObject(&c.Name, checkName, "name", "url", "expect", "addresses")
	c.URL = decodeURL(n, f, "url", "http", "https")
	c.Expect = decodeExpectHTTP(f, success)
	strictyaml.Values(f, "addresses", &c.Addresses, netvalue.ParseAddress)
	return c
}
