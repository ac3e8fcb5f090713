package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"netwatchd/internal/strictyaml"
)

// decodeExpectHTTP reads what an HTTP answer should be; without a word on the status it is one of the usual.
func decodeExpectHTTP(f strictyaml.Fields, usual []int) Expect {
	e := Expect{Status: usual}
	at, ok := f.Has("expect")
	if !ok {
		return e
	}
	x := at.Object("status", "headers", "body")
	if status, ok := x.Has("status"); ok {
		e.Status = decodeStatuses(status)
	}
	if headers, ok := x.Has("headers"); ok {
		e.Headers = decodeHeaders(headers)
	}
	var body string
	x.Text("body", &body, func(s string) (err error) {
		if s == "" {
			return nil
		}
		if e.Body, err = regexp.Compile(s); err != nil {
			return fmt.Errorf("is not a regular expression (%v): write one as in https://golang.org/s/re2syntax", err)
		}
		return nil
	})
	return e
}

func decodeStatuses(p *strictyaml.Node) []int {
	items, ok := p.Items()
	if ok && len(items) == 0 {
		p.Errorf("is empty: list the statuses that are right, or remove the key")
	}
	statuses := make([]int, len(items))
	for i, item := range items {
		strictyaml.Fields{"": item}.Integer("", &statuses[i], 100, 599)
	}
	return statuses
}

// decodeHeaders reads a mapping of names to values, sorted by name. Their case is kept, which viper would not do.
func decodeHeaders(p *strictyaml.Node) []Header {
	f := p.Mapping("names to values")
	var headers []Header
	for name, at := range f {
		if !httpguts.ValidHeaderFieldName(name) {
			at.Errorf("is not a header's name: use letters, digits and hyphens")
		}
		h := Header{Name: name}
		strictyaml.Fields{name: at}.Text(name, &h.Value, func(s string) error {
			if !httpguts.ValidHeaderFieldValue(s) {
				return fmt.Errorf("%s cannot be a header's value: write one line of printable text", strictyaml.Quote(s))
			}
			return nil
		})
		headers = append(headers, h)
	}
	slices.SortFunc(headers, func(a, b Header) int { return strings.Compare(a.Name, b.Name) })
	return headers
}
