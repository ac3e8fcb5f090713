package web

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"netwatchd/internal/causes"
	"netwatchd/internal/probe"
)

// described is the part of the document that is compared with the program. The laboratory compares it with the responses
// of a real daemon.
func described(t *testing.T) (d struct {
	Paths      map[string]map[string]any
	Components struct {
		Schemas map[string]struct{ Enum []string }
	}
}) {
	t.Helper()
	if err := yaml.Unmarshal(openAPI, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// pages are for people and not part of the API.
var pages = []string{"GET /{$}", "GET /services/{service}", "GET /incidents", "GET /incidents/{id}", "GET /incidents/{id}/{file}"}

// Every route is described, and every described path is served.
func TestEveryRouteIsDescribed(t *testing.T) {
	var served, documented []string
	for pattern := range newTestServer(t).routes() {
		if !slices.Contains(pages, pattern) {
			served = append(served, strings.Replace(pattern, "{picture}", "{service}.svg", 1))
		}
	}
	for path, methods := range described(t).Paths {
		for method := range methods {
			documented = append(documented, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(served)
	slices.Sort(documented)
	if diff := cmp.Diff(served, documented); diff != "" {
		t.Errorf("(-served +described):\n%s", diff)
	}
}

// Enumerations match the program.
func TestListsAreDescribed(t *testing.T) {
	schemas := described(t).Components.Schemas
	known := map[string][]string{
		"Cause":    all(causes.All()),
		"Severity": named(causes.None, causes.Page),
		"Class":    all(probe.Classes()),
		"Kind":     named(probe.KindHost, probe.KindStatus),
		"Vantage":  named(probe.FromHost, probe.Direct),
		"Role":     named(probe.OfService, probe.ResolverAsksPrefix),
		"Phase":    named(probe.NoPhase, probe.Executing),
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if diff := cmp.Diff(known[name], schemas[name].Enum); diff != "" {
			t.Errorf("%s (-known +described):\n%s", name, diff)
		}
	}
}

func all[T fmt.Stringer](values func(func(T) bool)) (names []string) {
	for v := range values {
		names = append(names, v.String())
	}
	return names
}

func named[T interface {
	~uint8
	fmt.Stringer
}](first, last T) (names []string) {
	for v := first; v <= last; v++ {
		names = append(names, v.String())
	}
	return names
}
