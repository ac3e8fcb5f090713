package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"netwatchd/internal/netvalue"
	"netwatchd/internal/strictyaml"
)

// adviceLimit keeps the advice readable: it is one line below the verdict on every screen and in each alert.
const adviceLimit = 500

func checkAdvice(s string) error {
	switch {
	case utf8.RuneCountInString(s) > adviceLimit:
		return fmt.Errorf("has %d characters, at most %d are shown: shorten it, and put the rest where runbook points to",
			utf8.RuneCountInString(s), adviceLimit)
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("contains a line break or a control character: write one line")
	}
	return nil
}

// link returns the check of a URL that people open. Empty: there is none.
func link(schemes ...string) func(string) error {
	return func(s string) error {
		if s == "" {
			return nil
		}
		_, err := netvalue.ParseURL(s, schemes...)
		return err
	}
}

// own reads what a service has of its own: words and links for people, controls, nameservers.
func (d *decoder) own(f strictyaml.Fields, s *Service) {
	f.Text("advice", &s.Advice, checkAdvice)
	f.Text("runbook", &s.Runbook, link("https"))
	f.Text("status_page", &s.StatusPage, link("https", "http"))
	ask := true
	f.Boolean("ask_status_page", &ask)
	s.StatusPageUnasked = !ask
	if at, ok := f.Has("controls"); ok {
		s.Controls = d.ownControls(at)
	}
	if at, ok := f.Has("resolvers"); ok {
		own := d.global
		d.resolvers(at, &own)
		s.Resolvers = &own
	}
}

// ownControls reads names of controls and controls of the service alone.
func (d *decoder) ownControls(n *strictyaml.Node) []Control {
	items, ok := n.Items()
	if !ok {
		return nil
	}
	if len(items) == 0 {
		n.Errorf("is empty: name at least one control, or remove the key to use all")
	}
	known := make([]string, len(d.controlled))
	for i, c := range d.controlled {
		known[i] = c.Name
	}
	var all []Control
	for _, item := range items {
		c, ok := d.ownControl(item, known)
		switch {
		case !ok:
		case slices.ContainsFunc(all, func(other Control) bool { return other.Name == c.Name }):
			item.Errorf("is the second control %q of this service: remove it, or give it another name", c.Name)
		default:
			all = append(all, c)
		}
	}
	return all
}

func (d *decoder) ownControl(item *strictyaml.Node, known []string) (Control, bool) {
	if !item.IsMapping() {
		name, ok := item.Text()
		if !ok {
			return Control{}, false
		}
		at := slices.Index(known, name)
		if at < 0 {
			item.Errorf("%v (a control of this service alone is written with name and url)", strictyaml.OneOf(known...)(name))
			return Control{}, false
		}
		return d.controlled[at], true
	}
	c := d.control(item)
	if c.URL == nil {
		return c, false
	}
	if other, seen := d.ownOnes[c.Name]; seen && other != c.URL.String() {
		item.Errorf("is a control %q with another URL than that of an earlier service: choose another name", c.Name)
		return c, false
	}
	d.ownOnes[c.Name] = c.URL.String()
	if slices.Contains(known, c.Name) {
		item.Errorf("is a second control %q: write the name alone to use the one of controls, or choose another name", c.Name)
		return c, false
	}
	return c, true
}
