package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"netwatchd/internal/probe"
	"netwatchd/internal/strictyaml"
)

// decodeExpectHTTP reads the expected HTTP response. status is expected unless the file sets one.
func decodeExpectHTTP(f strictyaml.Fields, status []int) Expect {
	e := Expect{Status: status}
	at, ok := f.Has("expect")
	if !ok {
		return e
	}
	x := at.Object("status", "headers", "body", "body_limit")
	if at, ok := x.Has("status"); ok {
		if e.Any = at.Value() == "any"; e.Any {
			e.Status = nil
		} else {
			e.Status = decodeStatuses(at)
		}
	}
	if at, ok := x.Has("headers"); ok {
		e.Headers = decodeHeaders(at)
	}
	var body string
	x.Text("body", &body, func(s string) (err error) {
		if s == "" {
			return nil
		}
		if e.Body, err = regexp.Compile(s); err != nil {
			return fmt.Errorf("is not a regular expression (%v): see https://golang.org/s/re2syntax", err)
		}
		return nil
	})
	x.Size("body_limit", &e.BodyLimit, probe.BodyLimit)
	return e
}

func decodeStatuses(n *strictyaml.Node) []int {
	items, ok := n.Items()
	if ok && len(items) == 0 {
		n.Errorf("is empty: list the expected statuses, or remove the key")
	}
	statuses := make([]int, len(items))
	for i, item := range items {
		strictyaml.Fields{"": item}.Integer("", &statuses[i], 100, 599)
	}
	return statuses
}

// decodeHeaders reads a mapping of names to values, sorted by name. Viper is not used because it lower-cases keys.
func decodeHeaders(n *strictyaml.Node) []Header { return headersOf(n.Mapping("names to values")) }

func checkHeaderName(name string, at *strictyaml.Node) {
	if !httpguts.ValidHeaderFieldName(name) {
		at.Errorf("is not a valid header name: use letters, digits and hyphens")
	}
}

func headersOf(f strictyaml.Fields) []Header {
	var headers []Header
	for name, at := range f {
		checkHeaderName(name, at)
		h := Header{Name: name}
		strictyaml.Fields{name: at}.Text(name, &h.Value, func(s string) error {
			if !httpguts.ValidHeaderFieldValue(s) {
				return fmt.Errorf("%s is not a valid header value: write one line of printable text", strictyaml.Quote(s))
			}
			return nil
		})
		headers = append(headers, h)
	}
	slices.SortFunc(headers, func(a, b Header) int { return strings.Compare(a.Name, b.Name) })
	return headers
}
